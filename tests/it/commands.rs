//! The commands as clients see them.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::Value;

use testkit::harness::{Address as _, Engine, Redis, Server, Setup, Tally, wait_for};
use testkit::service::{Answer, Service};

fn start() -> (Service, Server, Redis) {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let redis = server.connect();
    (service, server, redis)
}

#[test]
fn run_answers_at_once_and_the_pass_follows() {
    let (_service, _server, mut redis) = start();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    assert_eq!(redis.call::<String>(&["VECTORFILL.RUN", "kb"]), "OK");
    let filled = "MATCH (n) RETURN count(n.embedding)";
    wait_for("the vector", || (redis.number("kb", filled) == 1).then_some(()));
}

#[test]
fn run_covers_what_was_written_while_a_pass_was_under_way() {
    let (service, server, mut redis) = start();
    redis.query("kb", "CREATE (:Doc {text: 'first'})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.query("kb", "CREATE (:Doc {text: 'second'})");
    let mut other = server.connect();
    let waiting = std::thread::spawn(move || other.run("kb"));
    wait_for("the waiting client", || {
        let blocked = redis.call::<String>(&["INFO", "clients"]);
        blocked.contains("blocked_clients:1").then_some(())
    });
    service.release();
    waiting.join().unwrap();
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding)"), 2);
}

#[test]
fn run_fails_fast_with_a_code_word() {
    let (_service, _server, mut redis) = start();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.call::<String>(&["SET", "string", "x"]);
    assert!(redis.error(&["VECTORFILL.RUN", "nope"]).starts_with("NOGRAPH "));
    assert!(redis.error(&["VECTORFILL.RUN", "string"]).starts_with("NOGRAPH "));
    assert!(redis.error(&["VECTORFILL.RUN", "kb", "WAIT"]).contains("syntax"));
    assert!(redis.error(&["VECTORFILL.RUN", "kb", "WAIT", "-1"]).contains("-1"));
    assert!(redis.error(&["VECTORFILL.RUN", "kb", "WAIT", "x", "y"]).contains("syntax"));
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.enabled", "no"]);
    assert!(redis.error(&["VECTORFILL.RUN", "kb"]).starts_with("DISABLED "));
    assert_eq!(redis.call::<Vec<String>>(&["GRAPH.LIST"]), ["kb"], "no graph came of it");
}

#[test]
fn run_says_what_is_missing() {
    let service = Service::start(8);
    let keyless = Setup::default().set("base-url", &service.url()).start();
    let mut redis = keyless.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    let error = redis.error(&["VECTORFILL.RUN", "kb"]);
    assert!(error.starts_with("NOKEY ") && error.contains("OPENAI_API_KEY"), "{error}");

    let alone = Setup::with(&service).engine(Engine::Missing).start();
    let mut redis = alone.connect();
    wait_for("the state", || (redis.status().text("state") == "no-engine").then_some(()));
    assert!(redis.error(&["VECTORFILL.RUN"]).starts_with("NOENGINE "));
}

#[test]
fn wait_gives_up_when_its_time_is_up_and_the_pass_goes_on() {
    let (service, _server, mut redis) = start();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    service.hold();
    assert!(redis.error(&["VECTORFILL.RUN", "kb", "WAIT", "50"]).starts_with("TIMEOUT "));
    assert_eq!(redis.status().text("state"), "running");
    service.release();
    let filled = "MATCH (n) RETURN count(n.embedding)";
    wait_for("the vector", || (redis.number("kb", filled) == 1).then_some(()));
}

#[test]
fn wait_is_refused_where_a_client_cannot_block() {
    let (_service, _server, mut redis) = start();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.call::<String>(&["MULTI"]);
    redis.call::<String>(&["VECTORFILL.RUN", "kb", "WAIT", "0"]);
    let outcome = redis.try_call::<Vec<Value>>(&["EXEC"]);
    assert!(format!("{outcome:?}").contains("MULTI"), "{outcome:?}");
    let script = "return redis.call('VECTORFILL.RUN', 'kb', 'WAIT', '0')";
    assert!(redis.error(&["EVAL", script, "0"]).contains("script"));
}

#[test]
fn status_tells_everything_under_its_name() {
    let (_service, _server, mut redis) = start();
    redis.query("kb", "UNWIND range(1, 60) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    let status = redis.status();
    let expected = [
        "definitions_error",
        "embedder",
        "embedders",
        "engine",
        "engine_tested",
        "graphs",
        "next_run_in_ms",
        "reason",
        "state",
        "sums",
        "totals",
        "version",
        "writes",
        "writes_reason",
    ];
    assert_eq!(status.keys(), expected);
    assert_eq!(
        (status.text("engine_tested"), status.text("writes")),
        ("yes".into(), "effects".into())
    );
    assert_eq!(status.get("sums").number("embedded"), 60);
    assert!(status.get("graphs").keys().is_empty(), "a finished graph needs no look");
    assert_eq!(redis.full_status().get("graphs").keys(), ["kb"]);
    assert!(status.text("engine").starts_with("FalkorDB "));
    assert_eq!(status.text("state"), "idle");
    let embedder = status.get("embedder");
    assert_eq!(embedder.number("dimensions"), 8);
    assert_eq!(embedder.text("host"), "127.0.0.1");
    assert_eq!(embedder.number("requests"), 2);
    let graph = redis.graph_status("kb");
    assert_eq!(graph.number("eligible"), 60);
    assert_eq!((graph.number("embedded"), graph.number("pending")), (60, 0));
    assert_eq!(graph.text("coverage"), "1");
    assert_eq!(graph.get("last_pass").counts(), [60, 60, 0, 0, 0]);
    assert!(graph.number("last_run_unix") > 1_700_000_000);
    assert!(redis.error(&["VECTORFILL.STATUS", "nope"]).starts_with("NOGRAPH "));
}

#[test]
fn maps_are_maps_in_resp3() {
    let (_service, _server, mut redis) = start();
    redis.call::<Value>(&["HELLO", "3"]);
    assert!(matches!(redis.status().0, Value::Map(_)));
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    assert!(matches!(redis.run("kb").0, Value::Map(_)));
}

#[test]
fn info_is_flat_and_stable() {
    let (_service, _server, mut redis) = start();
    redis.query("kb: 1", "CREATE (:Doc {text: 'a'})");
    redis.run("kb: 1");
    let info: String = redis.call(&["INFO", "vectorfill"]);
    assert!(info.contains("\nvectorfill_total_written:1\r"), "{info}");
    assert!(info.contains("\nvectorfill_embedder_state:ready\r"), "{info}");
    let line = "\nvectorfill_graph_kb%3A%201:state=idle,pending=0,eligible=1,embedded=1,";
    assert!(info.contains(line), "{info}");
    let again: String = redis.call(&["INFO", "vectorfill"]);
    assert_eq!(info, again);
}

#[test]
fn the_commands_are_documented_and_in_a_category() {
    let (_service, _server, mut redis) = start();
    let docs = Tally(redis.call(&["COMMAND", "DOCS", "VECTORFILL.RUN"])).get("vectorfill.run");
    assert!(docs.text("summary").contains("vectors"));
    assert!(format!("{:?}", docs.get("arguments").0).contains("timeout-ms"));
    let mut commands: Vec<String> = redis.call(&["ACL", "CAT", "vectorfill"]);
    commands.sort();
    assert_eq!(commands, NAMES.map(|name| format!("vectorfill.{name}")));
    let help: Vec<String> = redis.call(&["VECTORFILL.HELP"]);
    assert!(help[0].starts_with("VECTORFILL.RUN"));
    for name in commands {
        let command = name.to_uppercase();
        assert!(help.iter().any(|line| line.starts_with(&command)), "{name} has no help");
        let docs = Tally(redis.call(&["COMMAND", "DOCS", &name])).get(&name);
        assert!(docs.text("summary").ends_with('.'), "{name}");
    }
}

const NAMES: [&str; 11] = [
    "embed", "estimate", "failures", "help", "query", "reload", "retry", "rule", "run", "search",
    "status",
];

#[test]
fn every_documented_argument_is_in_the_help() {
    let (_service, _server, mut redis) = start();
    let help: Vec<String> = redis.call(&["VECTORFILL.HELP"]);
    for name in NAMES.map(|name| format!("vectorfill.{name}")) {
        let docs = Tally(redis.call(&["COMMAND", "DOCS", &name])).get(&name);
        if !docs.keys().contains(&"arguments".to_owned()) {
            continue;
        }
        let command = name.to_uppercase();
        let lines: Vec<&String> = help.iter().filter(|line| line.starts_with(&command)).collect();
        let Value::Array(arguments) = docs.get("arguments").0 else { panic!("{name}") };
        for argument in arguments.into_iter().map(Tally) {
            if argument.keys().contains(&"token".to_owned()) {
                let token = argument.text("token");
                assert!(lines.iter().any(|line| line.contains(&token)), "{name} {token}");
            }
        }
    }
}

#[test]
fn status_shows_one_rule_of_a_graph() {
    let service = Service::start(8);
    let setup = Setup::with(&service).set("label", "Doc");
    let rules = "RULE people NODE Person TEXT name INTO vec";
    let server = setup.env("VECTORFILL_DEFINITIONS", rules).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'}), (:Person {name: 'b'}), (:Person {name: 'c'})");
    redis.run("kb");
    let of = |redis: &mut Redis, rule: &str| {
        Tally(redis.call(&["VECTORFILL.STATUS", "kb", "RULE", rule])).number("embedded")
    };
    assert_eq!((of(&mut redis, "people"), of(&mut redis, "default")), (2, 1));
    let error = redis.error(&["VECTORFILL.STATUS", "kb", "RULE", "nobody"]);
    assert!(error.starts_with("NORULE "), "{error}");
    let error = redis.error(&["VECTORFILL.STATUS", "nope", "RULE", "people"]);
    assert!(error.starts_with("NOGRAPH "), "{error}");
    assert!(redis.error(&["VECTORFILL.STATUS", "kb", "people"]).contains("syntax"));
}

#[test]
fn a_user_without_the_key_neither_runs_nor_sees_the_graph() {
    let (_service, server, mut redis) = start();
    redis.query("mine", "CREATE (:Doc {text: 'a'})");
    redis.query("theirs", "CREATE (:Doc {text: 'a'})");
    redis.call::<Value>(&["VECTORFILL.RUN", "WAIT", "0"]);
    let user = ["ACL", "SETUSER", "bob", "on", "nopass", "~mine", "+@vectorfill", "+hello"];
    redis.call::<String>(&user);
    let mut bob = server.connect();
    bob.call::<String>(&["AUTH", "bob", "x"]);
    assert!(bob.error(&["VECTORFILL.RUN", "theirs"]).starts_with("NOPERM "));
    assert!(bob.error(&["VECTORFILL.STATUS", "theirs"]).starts_with("NOPERM "));
    assert_eq!(bob.full_status().get("graphs").keys(), ["mine"]);
    assert_eq!(bob.call::<String>(&["VECTORFILL.RUN", "mine"]), "OK");
    let all = bob.error(&["VECTORFILL.RUN"]);
    assert!(all.starts_with("NOPERM this user may not write all graphs"), "{all}");
}

#[test]
fn one_line_is_logged_a_pass_and_none_for_nothing() {
    let (_service, server, mut redis) = start();
    redis.query("kb", "UNWIND range(1, 60) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    redis.run("kb");
    let log = server.log();
    let passes: Vec<&str> = log.lines().filter(|line| line.contains("pass done")).collect();
    assert_eq!(passes.len(), 1, "{passes:?}");
    assert!(passes[0].contains("graph=\"kb\" selected=60 written=60 stale=0"), "{passes:?}");
}

#[test]
fn of_many_graphs_status_shows_the_sums_and_those_that_are_behind() {
    static REFUSES: AtomicBool = AtomicBool::new(false);
    let service = Service::scripted(8, |_| {
        let refused = || Answer::Status(401, vec![], String::new());
        if REFUSES.load(Ordering::SeqCst) { refused() } else { Answer::Vectors }
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    for graph in 0..130 {
        redis.query(&format!("g{graph:03}"), "CREATE (:Doc {text: 'a'})");
    }
    let tally = Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "60000"]));
    assert_eq!((tally.number("graphs"), tally.number("written")), (130, 130));
    let sums = redis.status().get("sums");
    let figures = ["graphs", "eligible", "embedded", "pending"].map(|name| sums.number(name));
    assert_eq!(figures, [130, 130, 130, 0]);
    assert!(redis.status().get("graphs").keys().is_empty());
    assert_eq!(redis.full_status().get("graphs").keys().len(), 130);
    let info: String = redis.call(&["INFO", "vectorfill"]);
    assert_eq!(info.matches("vectorfill_graph_").count(), 100);
    // A service that refuses leaves those behind that have something to be done.
    REFUSES.store(true, Ordering::SeqCst);
    for graph in ["g007", "g099"] {
        redis.query(graph, "CREATE (:Doc {text: 'new'})");
        redis.try_call::<Value>(&["VECTORFILL.RUN", graph, "WAIT", "60000"]).ok();
    }
    assert_eq!(redis.status().get("graphs").keys(), ["g007", "g099"]);
    let info: String = redis.call(&["INFO", "vectorfill"]);
    let first = info.lines().find(|line| line.starts_with("vectorfill_graph_")).unwrap();
    assert!(first.starts_with("vectorfill_graph_g007:"), "the worst comes first: {first}");
}
