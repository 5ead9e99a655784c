//! Rules of one graph, kept beside it: what they do, and what happens to them with their graph.

use std::collections::BTreeMap;

use redis::Value;

use crate::cluster::{Node, cluster, graph_of};
use testkit::harness::{Address, Redis, Server, Setup, module, path, wait_for};
use testkit::service::Service;

const PEOPLE: [&str; 6] = ["NODE", "Person", "TEXT", "name", "INTO", "name_vec"];
const BODY: &str = "NODE Person TEXT name INTO name_vec";

/// A server whose own settings fill `Doc` only.
pub fn setup(service: &Service) -> Setup {
    Setup::with(service).set("label", "Doc").arg("--repl-diskless-sync-delay", "0")
}

fn set(redis: &mut Redis, graph: &str, rule: &str, words: &[&str]) {
    let command = [&["VECTORFILL.RULE", "SET", graph, rule], words].concat();
    assert_eq!(redis.call::<String>(&command), "OK");
}

fn refused(redis: &mut Redis, graph: &str, rule: &str, words: &[&str]) -> String {
    redis.error(&[&["VECTORFILL.RULE", "SET", graph, rule], words].concat())
}

fn get(redis: &mut Redis, graph: &str, rule: &str) -> Option<String> {
    redis.call(&["VECTORFILL.RULE", "GET", graph, rule])
}

fn list(redis: &mut Redis, graph: &str) -> Vec<Vec<String>> {
    redis.call(&["VECTORFILL.RULE", "LIST", graph])
}

/// The hash of a graph's rules.
fn hash(redis: &mut Redis, graph: &str) -> BTreeMap<String, String> {
    redis.call(&["HGETALL", &format!("vectorfill:{{{graph}}}")])
}

fn people() -> BTreeMap<String, String> {
    BTreeMap::from([("rule:people".to_owned(), BODY.to_owned())])
}

fn create(redis: &mut Redis, graph: &str) {
    redis.query(graph, "CREATE (:Person {name: 'Ada'})");
}

fn filled(redis: &mut Redis, graph: &str) -> i64 {
    redis.number(graph, "MATCH (n) RETURN count(n.name_vec)")
}

/// Another person gets a vector. A server that was just restarted takes its time.
fn assert_fills(redis: &mut Redis, graph: &str) {
    create(redis, graph);
    let all = redis.number(graph, "MATCH (n:Person) RETURN count(n)");
    wait_for("the vectors", || {
        redis.try_call::<Value>(&["VECTORFILL.RUN", graph, "WAIT", "10000"]).ok();
        (filled(redis, graph) == all).then_some(())
    });
}

fn assert_fills_no_more(redis: &mut Redis, graph: &str) {
    create(redis, graph);
    let before = filled(redis, graph);
    redis.run(graph);
    assert_eq!(filled(redis, graph), before);
}

/// A graph with a rule and a filled person.
fn with_rule(redis: &mut Redis, graph: &str) {
    set(redis, graph, "people", &PEOPLE);
    assert_fills(redis, graph);
}

/// The hash is, or becomes, what it should be.
fn wait_hash(redis: &mut Redis, graph: &str, expected: &BTreeMap<String, String>) {
    let mut last = BTreeMap::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::time::Instant::now() < deadline {
        last = hash(redis, graph);
        if last == *expected {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{graph}: {last:?} instead of {expected:?}");
}

#[test]
fn a_rule_beside_a_graph_fills_it_until_it_is_deleted() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    with_rule(&mut redis, "kb");
    assert_eq!(redis.number("kb", "MATCH (n:Doc) RETURN count(n.embedding)"), 1);
    let words = ["into", "name_vec", "order", "NEWEST", "index", "cosine", "Text", "{name}"];
    set(&mut redis, "kb", "people", &[&words[..], &["node", "Person"]].concat());
    assert_eq!(get(&mut redis, "kb", "people").unwrap(), "NODE Person TEXT {name} INTO name_vec");
    set(&mut redis, "kb", "people", &PEOPLE);
    assert_eq!(get(&mut redis, "kb", "people").unwrap(), BODY);
    assert_eq!(hash(&mut redis, "kb"), people());
    assert_eq!(get(&mut redis, "kb", "nobody"), None);
    assert_eq!(get(&mut redis, "other", "people"), None);
    let delete = ["VECTORFILL.RULE", "DEL", "kb", "people"];
    assert_eq!(redis.call::<i64>(&delete), 1);
    assert_eq!(redis.call::<i64>(&delete), 0);
    assert_eq!(hash(&mut redis, "kb"), BTreeMap::new());
    assert_fills_no_more(&mut redis, "kb");
    assert!(filled(&mut redis, "kb") > 0, "what was filled stays");
}

#[test]
fn list_tells_where_each_rule_comes_from() {
    let service = Service::start(8);
    let setup = setup(&service).env(
        "VECTORFILL_DEFINITIONS",
        "RULE titles GRAPHS kb* NODE Doc TEXT title INTO title_vec\n\
         RULE people NODE Person TEXT nick INTO nick_vec",
    );
    let server = setup.start();
    let mut redis = server.connect();
    set(&mut redis, "kb", "people", &PEOPLE);
    let settings = ["default", "settings", "NODE Doc TEXT text INTO embedding"];
    let titles = ["titles", "definitions", "NODE Doc TEXT title INTO title_vec"];
    assert_eq!(list(&mut redis, "kb"), [["people", "graph", BODY], titles, settings]);
    let defined = ["people", "definitions", "NODE Person TEXT nick INTO nick_vec"];
    assert_eq!(list(&mut redis, "x"), [defined, settings]);
    let all: Vec<Vec<String>> = redis.call(&["VECTORFILL.RULE", "LIST"]);
    assert_eq!(all, [titles, defined, settings]);
    assert_eq!(get(&mut redis, "kb", "titles").unwrap(), titles[2]);
    assert_eq!(get(&mut redis, "kb", "default").unwrap(), settings[2]);
}

#[test]
fn what_is_wrong_with_a_rule_is_named_with_what_would_be_right() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    create(&mut redis, "kb");
    set(&mut redis, "kb", "people", &PEOPLE);
    let pets = ["NODE", "Pet", "TEXT", "name", "INTO", "name_vec"];
    let with = |words: &[&'static str]| [&pets[..], words].concat();
    let person = |text, into| vec!["NODE", "X", "TEXT", text, "INTO", into];
    for (words, expected) in [
        (with(&["EMBEDDER", "ada"]), &["EMBEDDER 'ada'", "default"][..]),
        (PEOPLE.to_vec(), &["'other'", "'people'", "'name_vec'", "another INTO"]),
        (person("{name", "v"), &["argument 7", "'{name'", "TEXT"]),
        (with(&["GRAPHS", "*"]), &["argument 10", "'GRAPHS'", "beside"]),
        (with(&["WHERE", "n. = 1"]), &["WHERE 'n. = 1'"]),
        (with(&["WHERE", "true) RETURN n //"]), &["argument 11", "WHERE"]),
        (with(&["WHERE", "m.x = 1"]), &["WHERE 'm.x = 1'", "m"]),
        (with(&["URL", "http://x"]), &["argument 10", "'URL'", "one of: "]),
        (with(&["KEY-ENV", "HOME"]), &["'KEY-ENV'", "one of: "]),
        (with(&["KEY-FILE", "/etc/passwd"]), &["'KEY-FILE'", "one of: "]),
        (vec!["NODE", "X", "INTO", "v"], &["argument 3", "'other'", "TEXT"]),
        (vec![], &["argument 3", "NODE"]),
        (person("a", "a"), &["argument 9", "'a'", "INTO"]),
    ] {
        let error = refused(&mut redis, "kb", "other", &words);
        assert!(error.starts_with("ERR "), "{words:?}: {error}");
        for part in expected {
            assert!(error.contains(part), "{words:?}: {error} lacks {part}");
        }
    }
    for graph in ["a}b", "{a}"] {
        let error = refused(&mut redis, graph, "people", &PEOPLE);
        assert!(error.contains(graph) && error.contains("hash tag"), "{error}");
    }
    let error = refused(&mut redis, "kb", "a b", &PEOPLE);
    assert!(error.contains("argument 3") && error.contains("letters"), "{error}");
    assert!(redis.error(&["VECTORFILL.RULE", "PUT", "kb"]).contains("SET, DEL, GET, LIST or TEST"));
    redis.call::<String>(&["SELECT", "1"]);
    assert!(refused(&mut redis, "kb", "x", &PEOPLE).contains("database 0"));
    redis.call::<String>(&["SELECT", "0"]);
    assert_eq!(hash(&mut redis, "kb"), people(), "nothing was kept");
}

#[test]
fn rules_survive_a_power_cut_with_an_aof() {
    let service = Service::start(8);
    let mut server =
        setup(&service).arg("--appendonly", "yes").arg("--appendfsync", "always").start();
    let mut redis = server.connect();
    with_rule(&mut redis, "kb");
    set(&mut redis, "later", "people", &PEOPLE);
    redis.call::<String>(&["RENAME", "kb", "renamed"]);
    server.kill();
    server.start_again();
    let mut redis = server.connect();
    assert_eq!(hash(&mut redis, "kb"), BTreeMap::new());
    for graph in ["renamed", "later"] {
        assert_eq!(hash(&mut redis, graph), people());
        wait_for("the rule", || get(&mut redis, graph, "people"));
    }
    // Before it is settled, too.
    redis.call::<String>(&["RENAME", "renamed", "again"]);
    assert_eq!(hash(&mut redis, "again"), people());
    assert_fills(&mut redis, "again");
    assert_fills(&mut redis, "later");
}

#[test]
fn rules_survive_in_a_snapshot() {
    let service = Service::start(8);
    let mut server = setup(&service).start();
    let mut redis = server.connect();
    with_rule(&mut redis, "kb");
    set(&mut redis, "later", "people", &PEOPLE);
    redis.call::<String>(&["SAVE"]);
    server.kill();
    server.start_again();
    let mut redis = server.connect();
    assert_eq!(hash(&mut redis, "kb"), people());
    assert_fills(&mut redis, "kb");
    assert_fills(&mut redis, "later");
    redis.call::<String>(&["DEBUG", "RELOAD"]);
    assert_fills(&mut redis, "kb");
}

fn linked(redis: &mut Redis) {
    wait_for("the link", || {
        redis.call::<String>(&["INFO", "replication"]).contains("state=online").then_some(())
    });
}

fn replica_of(master: &Server, service: &Service) -> Server {
    setup(service).arg("--replicaof", &format!("127.0.0.1 {}", master.port)).start()
}

#[test]
fn a_replica_gets_the_rules_by_a_full_resync_and_fills_by_them_once_promoted() {
    let (first, second) = (Service::start(8), Service::start(8));
    let master = setup(&first).start();
    let mut redis = master.connect();
    with_rule(&mut redis, "kb");
    let replica = replica_of(&master, &second);
    let mut copy = replica.connect();
    linked(&mut redis);
    wait_for("the rule", || get(&mut copy, "kb", "people"));
    assert_eq!(list(&mut copy, "kb")[0], ["people", "graph", BODY]);
    assert!(refused(&mut copy, "kb", "x", &PEOPLE).starts_with("READONLY "));
    assert!(copy.error(&["VECTORFILL.RULE", "DEL", "kb", "people"]).starts_with("READONLY "));
    copy.call::<String>(&["REPLICAOF", "NO", "ONE"]);
    assert_fills(&mut copy, "kb");
    assert!(!second.requests().is_empty());
}

#[test]
fn a_replica_gets_the_rules_by_a_partial_resync() {
    let (first, second) = (Service::start(8), Service::start(8));
    let master = setup(&first).start();
    let replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    linked(&mut redis);
    redis.call::<i64>(&["CLIENT", "KILL", "TYPE", "replica"]);
    with_rule(&mut redis, "kb");
    wait_hash(&mut copy, "kb", &people());
    let stats: String = redis.call(&["INFO", "stats"]);
    assert!(!stats.contains("sync_partial_ok:0"), "{stats}");
    wait_for("the rule", || get(&mut copy, "kb", "people"));
    copy.call::<String>(&["REPLICAOF", "NO", "ONE"]);
    assert_fills(&mut copy, "kb");
}

#[test]
fn after_a_failover_the_new_master_fills_by_the_rules() {
    let (first, second) = (Service::start(8), Service::start(8));
    let master = setup(&first).start();
    let replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    linked(&mut redis);
    with_rule(&mut redis, "kb");
    wait_hash(&mut copy, "kb", &people());
    redis.call::<String>(&["FAILOVER"]);
    wait_for("the promotion", || {
        copy.call::<String>(&["INFO", "replication"]).contains("role:master").then_some(())
    });
    assert_fills(&mut copy, "kb");
    copy.call::<String>(&["RENAME", "kb", "new"]);
    wait_hash(&mut redis, "new", &people());
    assert_eq!(hash(&mut redis, "kb"), BTreeMap::new());
}

/// All hashes of rules.
fn hashes(redis: &mut Redis) -> BTreeMap<String, BTreeMap<String, String>> {
    let keys: Vec<String> = redis.call(&["KEYS", "vectorfill:*"]);
    keys.into_iter()
        .map(|key| {
            let hash = redis.call(&["HGETALL", &key]);
            (key, hash)
        })
        .collect()
}

#[test]
fn a_replica_follows_its_masters_graphs_and_writes_nothing_itself() {
    let (first, second) = (Service::start(8), Service::start(8));
    let master = setup(&first).start();
    let replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    linked(&mut redis);
    for graph in ["a", "b", "c", "d"] {
        create(&mut redis, graph);
        set(&mut redis, graph, graph, &PEOPLE);
    }
    redis.call::<String>(&["RENAME", "a", "b"]);
    redis.call::<Value>(&["GRAPH.DELETE", "c"]);
    redis.call::<Value>(&["GRAPH.COPY", "d", "e"]);
    let copied = BTreeMap::from([("rule:d".to_owned(), BODY.to_owned())]);
    wait_hash(&mut redis, "e", &copied);
    wait_for("the replica", || {
        redis.call::<i64>(&["WAIT", "1", "5000"]);
        (hashes(&mut copy).len() == 3).then_some(())
    });
    let expected = hashes(&mut redis);
    let renamed = BTreeMap::from([("rule:a".to_owned(), BODY.to_owned())]);
    assert_eq!(expected["vectorfill:{b}"], renamed);
    assert_eq!(hashes(&mut copy), expected);
    let digest = |redis: &mut Redis| -> Vec<String> {
        let keys = ["vectorfill:{b}", "vectorfill:{d}", "vectorfill:{e}"];
        redis.call(&[&["DEBUG", "DIGEST-VALUE"][..], &keys].concat())
    };
    assert_eq!(digest(&mut redis), digest(&mut copy));
    let offset = |redis: &mut Redis| {
        let info: String = redis.call(&["INFO", "replication"]);
        let line = info.lines().find(|line| line.starts_with("master_repl_offset:"));
        line.unwrap().to_owned()
    };
    wait_for("the same offset", || (offset(&mut redis) == offset(&mut copy)).then_some(()));
}

#[test]
fn rules_move_with_a_graph_that_is_renamed() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    with_rule(&mut redis, "a");
    redis.call::<String>(&["RENAME", "a", "b"]);
    assert_eq!((hash(&mut redis, "a"), hash(&mut redis, "b")), (BTreeMap::new(), people()));
    assert_fills(&mut redis, "b");
    // Over a graph with rules of its own.
    create(&mut redis, "c");
    set(&mut redis, "c", "others", &["NODE", "Pet", "TEXT", "name", "INTO", "v"]);
    redis.call::<String>(&["RENAME", "b", "c"]);
    assert_eq!((hash(&mut redis, "b"), hash(&mut redis, "c")), (BTreeMap::new(), people()));
    assert_eq!(get(&mut redis, "c", "others"), None);
    // A graph without rules over one that has some.
    create(&mut redis, "plain");
    redis.call::<String>(&["RENAME", "plain", "c"]);
    wait_for("no rule", || get(&mut redis, "c", "people").is_none().then_some(()));
    assert_eq!(hash(&mut redis, "c"), BTreeMap::new());
    assert_fills_no_more(&mut redis, "c");
    let stats: String = redis.call(&["INFO", "commandstats"]);
    for line in stats.lines().filter(|line| line.starts_with("cmdstat_")) {
        assert!(line.contains("rejected_calls=0,failed_calls=0"), "{line}");
    }
}

#[test]
fn rules_follow_what_a_transaction_and_a_script_do_to_their_graph() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    let transact = |redis: &mut Redis, commands: &[&[&str]]| {
        redis.call::<String>(&["MULTI"]);
        commands.iter().for_each(|command| drop(redis.call::<Value>(command)));
        redis.call::<Vec<Value>>(&["EXEC"]);
    };
    with_rule(&mut redis, "a");
    transact(&mut redis, &[&["RENAME", "a", "b"], &["RENAME", "b", "c"]]);
    assert_eq!(hashes(&mut redis).into_keys().collect::<Vec<_>>(), ["vectorfill:{c}"]);
    transact(&mut redis, &[&["RENAME", "c", "d"], &["GRAPH.DELETE", "d"]]);
    assert_eq!(hashes(&mut redis), BTreeMap::new());
    with_rule(&mut redis, "e");
    transact(&mut redis, &[&["GRAPH.DELETE", "e"]]);
    assert_eq!(hashes(&mut redis), BTreeMap::new());
    with_rule(&mut redis, "f");
    let script = "return redis.call('RENAME', KEYS[1], KEYS[2])";
    redis.call::<String>(&["EVAL", script, "2", "f", "g"]);
    assert_eq!(hashes(&mut redis).into_keys().collect::<Vec<_>>(), ["vectorfill:{g}"]);
    assert_fills(&mut redis, "g");
}

#[test]
fn rules_go_with_their_graph() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    let ways: [&[&str]; 6] = [
        &["GRAPH.DELETE", "kb"],
        &["DEL", "kb"],
        &["UNLINK", "kb"],
        &["SET", "kb", "a string"],
        &["PEXPIRE", "kb", "1"],
        &["FLUSHALL"],
    ];
    for way in ways {
        with_rule(&mut redis, "kb");
        redis.call::<Value>(way);
        wait_hash(&mut redis, "kb", &BTreeMap::new());
        wait_for("no rule", || get(&mut redis, "kb", "people").is_none().then_some(()));
        redis.call::<Value>(&["DEL", "kb"]);
        create(&mut redis, "kb");
        assert_fills_no_more(&mut redis, "kb");
        redis.call::<Value>(&["GRAPH.DELETE", "kb"]);
    }
}

#[test]
fn rules_are_copied_with_their_graph() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    with_rule(&mut redis, "a");
    redis.call::<Value>(&["GRAPH.COPY", "a", "b"]);
    wait_hash(&mut redis, "b", &people());
    assert_eq!(hash(&mut redis, "a"), people());
    wait_for("the rule", || get(&mut redis, "b", "people"));
    assert_fills(&mut redis, "b");
    create(&mut redis, "plain");
    redis.call::<Value>(&["GRAPH.COPY", "plain", "c"]);
    assert_eq!(hash(&mut redis, "c"), BTreeMap::new());
}

#[test]
fn a_dumped_graph_is_restored_without_rules_and_into_those_that_are_there() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    with_rule(&mut redis, "kb");
    // By a script: the client of these tests has no bytes.
    let script = "local dump = redis.call('DUMP', KEYS[1]) \
                  return redis.call('RESTORE', KEYS[2], 0, dump, 'REPLACE')";
    redis.call::<String>(&["EVAL", script, "2", "kb", "other"]);
    assert_eq!(hash(&mut redis, "other"), BTreeMap::new());
    redis.call::<String>(&["EVAL", script, "2", "other", "kb"]);
    assert_eq!(hash(&mut redis, "kb"), people());
    // Once it has replaced a graph, 4.16 stands still, and 4.18 counts its nodes twice.
    if redis.engine() >= Some((4, 20, 0)) {
        assert_fills(&mut redis, "kb");
    }
}

#[test]
fn a_module_that_is_loaded_later_finds_the_rules() {
    let service = Service::start(8);
    let engine = path("VECTORFILL_FALKORDB");
    let mut setup = Setup::default().env("OPENAI_API_KEY", "sk-test-key-1234");
    setup = setup.arg("--loadmodule", &engine.to_string_lossy()).arg("CMD_INFO", "no");
    setup.only_file();
    let server = setup.launch();
    let mut redis = wait_for("the server", || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.connect())).ok()
    });
    wait_for("the engine", || redis.engine());
    create(&mut redis, "kb");
    let key = |graph| format!("vectorfill:{{{graph}}}");
    for graph in ["kb", "later"] {
        redis.call::<i64>(&["HSET", &key(graph), "rule:people", BODY]);
    }
    for i in 0..3_000 {
        redis.call::<String>(&["SET", &format!("key {i}"), "x"]);
    }
    let (module, url) = (module(), service.url());
    let load = ["MODULE", "LOAD", &module.to_string_lossy(), "base-url", &url];
    let settings = ["interval", "0", "wake-on-write", "no", "label", "Doc"];
    redis.call::<String>(&[&load[..], &settings].concat());
    wait_for("the rule", || get(&mut redis, "kb", "people"));
    wait_for("the rule", || get(&mut redis, "later", "people"));
    assert_fills(&mut redis, "kb");
    assert_fills(&mut redis, "later");
}

#[test]
fn a_rule_whose_embedder_is_gone_rests_and_list_tells_why() {
    let (service, other) = (Service::start(8), Service::start(4));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definitions");
    let embedder = |name: &str| {
        let url = other.url();
        format!("EMBEDDER {name} PROVIDER openai MODEL m URL {url} KEY-ENV OPENAI_API_KEY\n")
    };
    std::fs::write(&file, embedder("gone")).unwrap();
    let setup = setup(&service)
        .set("definitions-file", &file.to_string_lossy())
        .env("VECTORFILL_DEFINITIONS", &embedder("stays"));
    let server = setup.start();
    let mut redis = server.connect();
    set(&mut redis, "kb", "people", &[&PEOPLE[..], &["EMBEDDER", "gone"]].concat());
    let pets = ["NODE", "Pet", "TEXT", "name", "INTO", "v", "EMBEDDER", "stays"];
    set(&mut redis, "kb", "pets", &pets);
    assert_fills(&mut redis, "kb");
    assert_eq!(redis.vector("kb", "MATCH (n:Person) RETURN n.name_vec").unwrap().len(), 4);
    redis.query("kb", "CREATE (:Doc {text: 'a'}), (:Pet {name: 'Rex'})");

    std::fs::write(&file, "").unwrap();
    redis.call::<String>(&["VECTORFILL.RELOAD"]);
    wait_for("no rule", || get(&mut redis, "kb", "people").is_none().then_some(()));
    let body = format!("{BODY} EMBEDDER gone");
    let rows = list(&mut redis, "kb");
    let idle = rows.iter().find(|row| row[0] == "people").unwrap();
    assert_eq!(idle[..3], ["people", "graph", &body]);
    assert!(idle[3].contains("no embedder 'gone'"), "{idle:?}");
    assert_fills_no_more(&mut redis, "kb");
    assert_eq!(redis.number("kb", "MATCH (n:Pet) RETURN count(n.v)"), 1);
    assert_eq!(redis.number("kb", "MATCH (n:Doc) RETURN count(n.embedding)"), 1);
    // A graph whose rules all rest keeps them, and loses them with itself.
    redis.call::<i64>(&["VECTORFILL.RULE", "DEL", "kb", "pets"]);
    redis.call::<String>(&["RENAME", "kb", "new"]);
    assert_eq!(hash(&mut redis, "new"), BTreeMap::from([("rule:people".to_owned(), body)]));

    std::fs::write(&file, embedder("gone")).unwrap();
    redis.call::<String>(&["VECTORFILL.RELOAD"]);
    wait_for("the rule", || get(&mut redis, "new", "people"));
    assert_fills(&mut redis, "new");
    std::fs::write(&file, "").unwrap();
    redis.call::<String>(&["VECTORFILL.RELOAD"]);
    wait_for("no rule", || get(&mut redis, "new", "people").is_none().then_some(()));
    redis.call::<Value>(&["GRAPH.DELETE", "new"]);
    assert_eq!(hash(&mut redis, "new"), BTreeMap::new());
}

#[test]
fn a_hash_that_holds_anything_else_harms_nothing() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    let key = "vectorfill:{kb}";
    for (field, value) in [
        ("rule:people", BODY),
        ("rule:clashes", BODY),
        ("rule:a b", BODY),
        ("rule:two", "NODE A TEXT b INTO c\nNODE D TEXT e INTO f"),
        ("rule:", ""),
        ("rule:all", "GRAPHS * NODE A TEXT b INTO c"),
        ("something", "else"),
    ] {
        redis.call::<i64>(&["HSET", key, field, value]);
    }
    wait_for("a rule", || get(&mut redis, "kb", "clashes"));
    let rows = list(&mut redis, "kb");
    let reasons = rows.iter().filter(|row| row.len() == 4).count();
    assert_eq!((rows.len(), reasons), (7, 5), "{rows:?}");
    assert_fills(&mut redis, "kb");
    redis.call::<i64>(&["DEL", key]);
    redis.call::<String>(&["SET", key, "a string"]);
    wait_for("no rule", || get(&mut redis, "kb", "clashes").is_none().then_some(()));
    assert!(refused(&mut redis, "kb", "people", &PEOPLE).starts_with("ERR "));
    assert_fills_no_more(&mut redis, "kb");
    redis.call::<i64>(&["DEL", key]);
    assert_fills_again(&mut redis);
}

fn assert_fills_again(redis: &mut Redis) {
    set(redis, "kb", "people", &PEOPLE);
    assert_fills(redis, "kb");
    assert_eq!(redis.call::<i64>(&["HDEL", "vectorfill:{kb}", "rule:people"]), 1);
    wait_for("no rule", || get(redis, "kb", "people").is_none().then_some(()));
}

#[test]
fn rules_need_the_permissions_of_their_graph() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    set(&mut redis, "kb", "people", &PEOPLE);
    let mut user = |name: &str, rules: &[&str]| {
        let command = [&["ACL", "SETUSER", name, "on", "nopass", "+hello"], rules].concat();
        redis.call::<String>(&command);
        let mut user = server.connect();
        user.call::<String>(&["AUTH", name, "x"]);
        user
    };
    let mut writer = user("writer", &["~kb", "+@vectorfill"]);
    let mut reader = user("reader", &["%R~kb", "+@vectorfill"]);
    let mut stranger = user("stranger", &["~*", "+@all", "-@vectorfill"]);
    set(&mut writer, "kb", "people", &PEOPLE);
    assert!(refused(&mut writer, "other", "people", &PEOPLE).starts_with("NOPERM "));
    for command in [&["LIST", "other"][..], &["GET", "other", "people"]] {
        let command = [&["VECTORFILL.RULE"], command].concat();
        assert!(writer.error(&command).starts_with("NOPERM "), "{command:?}");
    }
    assert_eq!(get(&mut reader, "kb", "people").unwrap(), BODY);
    assert_eq!(list(&mut reader, "kb").len(), 2);
    assert!(refused(&mut reader, "kb", "people", &PEOPLE).starts_with("NOPERM "));
    assert!(reader.error(&["VECTORFILL.RULE", "DEL", "kb", "people"]).starts_with("NOPERM "));
    assert!(refused(&mut stranger, "kb", "people", &PEOPLE).starts_with("NOPERM "));
    assert!(stranger.error(&["VECTORFILL.RULE", "LIST"]).starts_with("NOPERM "));
}

#[test]
fn the_key_of_each_form_is_its_graph() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    let mut keys = |words: &[&str]| -> Vec<String> {
        redis.call(&[&["COMMAND", "GETKEYS", "VECTORFILL.RULE"], words].concat())
    };
    assert_eq!(keys(&[&["SET", "kb", "people"], &PEOPLE[..]].concat()), ["kb"]);
    assert_eq!(keys(&["DEL", "kb", "people"]), ["kb"]);
    assert_eq!(keys(&["GET", "kb", "people"]), ["kb"]);
    assert_eq!(keys(&["LIST", "kb"]), ["kb"]);
    assert_eq!(keys(&["LIST"]), [""; 0]);
    let flags = |redis: &mut Redis, words: &[&str]| -> Vec<(String, Vec<String>)> {
        redis.call(&[&["COMMAND", "GETKEYSANDFLAGS", "VECTORFILL.RULE"], words].concat())
    };
    assert!(flags(&mut redis, &["LIST", "kb"])[0].1.contains(&"access".to_owned()));
    assert!(flags(&mut redis, &["DEL", "kb", "x"])[0].1.contains(&"update".to_owned()));
}

#[test]
fn a_transaction_and_a_script_may_set_a_rule() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    create(&mut redis, "kb");
    redis.call::<String>(&["MULTI"]);
    let words = [&PEOPLE[..], &["WHERE", "n.name <> 'x'"]].concat();
    redis.call::<String>(&[&["VECTORFILL.RULE", "SET", "kb", "people"], &words[..]].concat());
    redis.call::<String>(&["VECTORFILL.RULE", "GET", "kb", "people"]);
    let replies: Vec<String> = redis.call(&["EXEC"]);
    let body = format!("{BODY} WHERE \"n.name <> 'x'\"");
    assert_eq!(replies, ["OK", &body]);
    let script = "return redis.call('VECTORFILL.RULE', 'SET', KEYS[1], unpack(ARGV))";
    let set = [&["EVAL", script, "1", "kb", "people"], &PEOPLE[..]].concat();
    assert_eq!(redis.call::<String>(&set), "OK");
    assert_fills(&mut redis, "kb");
    let read_only = [&["EVAL_RO"], &set[1..]].concat();
    assert!(redis.error(&read_only).to_lowercase().contains("read-only"));
}

#[test]
fn a_pause_of_writes_holds_back_a_rule() {
    let service = Service::start(8);
    let mut server = setup(&service).arg("--appendonly", "yes").start();
    let mut redis = server.connect();
    redis.call::<String>(&["CLIENT", "PAUSE", "300", "WRITE"]);
    set(&mut redis, "kb", "people", &PEOPLE);
    assert!(server.is_alive());
    assert_fills(&mut redis, "kb");
}

#[test]
fn a_full_server_takes_no_rule_and_lets_one_go() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    with_rule(&mut redis, "kb");
    with_rule(&mut redis, "other");
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = refused(&mut redis, "kb", "x", &["NODE", "X", "TEXT", "a", "INTO", "b"]);
    assert!(error.starts_with("OOM "), "{error}");
    assert_eq!(redis.call::<i64>(&["VECTORFILL.RULE", "DEL", "kb", "people"]), 1);
    redis.call::<i64>(&["DEL", "other"]);
    assert_eq!(hash(&mut redis, "other"), BTreeMap::new());
}

#[test]
fn the_limit_of_characters_applies_to_rules_beside_graphs_at_once() {
    let service = Service::start(8);
    let server = setup(&service).start();
    let mut redis = server.connect();
    set(&mut redis, "kb", "people", &PEOPLE);
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.max-text-chars", "2"]);
    assert_fills(&mut redis, "kb");
    assert!(service.texts().contains(&"Ad".to_owned()), "{:?}", service.texts());
}

/// Moves the slot of a graph; its keys go one by one, as redis-cli may send them.
fn migrate(nodes: &[Node], graph: &str, keys: &[&str]) {
    let (source, target) = (&nodes[0], &nodes[1]);
    let slot: i64 = source.connect().call(&["CLUSTER", "KEYSLOT", graph]);
    let (slot, port) = (slot.to_string(), target.server.port.to_string());
    let set = |node: &Node, words: &[&str]| {
        node.connect().call::<String>(&[&["CLUSTER", "SETSLOT", &slot], words].concat());
    };
    set(target, &["IMPORTING", &source.id]);
    set(source, &["MIGRATING", &target.id]);
    for key in keys {
        let command = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        assert_eq!(source.connect().call::<String>(&command), "OK", "{key}");
    }
    set(target, &["NODE", &target.id]);
    set(source, &["NODE", &target.id]);
}

fn people_only(setup: Setup) -> Setup {
    setup.set("label", "Doc")
}

#[test]
fn rules_move_with_the_slot_of_their_graph() {
    let nodes = cluster(3, people_only);
    for hash_first in [false, true] {
        let graph = graph_of(&nodes, 0, if hash_first { "one" } else { "other" });
        let mut redis = nodes[0].connect();
        with_rule(&mut redis, &graph);
        let key = format!("vectorfill:{{{graph}}}");
        let mut keys = [graph.as_str(), key.as_str()];
        if hash_first {
            keys.reverse();
        }
        migrate(&nodes, &graph, &keys);
        let mut target = nodes[1].connect();
        assert_eq!(hash(&mut target, &graph), people());
        assert_fills(&mut target, &graph);
        assert_eq!(redis.call::<i64>(&["DBSIZE"]), 0, "nothing is left, and nothing came back");
    }
}

#[test]
fn rules_move_with_a_slot_that_is_moved_at_once() {
    let nodes = cluster(3, people_only);
    let mut target = nodes[1].connect();
    if target.try_call::<Value>(&["CLUSTER", "MIGRATION", "STATUS", "ALL"]).is_err() {
        // Redis moves slots at once from 8.4 on.
        return;
    }
    let graph = graph_of(&nodes, 0, "kb");
    let mut redis = nodes[0].connect();
    with_rule(&mut redis, &graph);
    let slot = target.call::<i64>(&["CLUSTER", "KEYSLOT", &graph]).to_string();
    target.call::<String>(&["CLUSTER", "MIGRATION", "IMPORT", &slot, &slot]);
    wait_for("the slot at the target", || {
        target.try_call::<Value>(&["GRAPH.RO_QUERY", &graph, "RETURN 1"]).ok()
    });
    assert_eq!(hash(&mut target, &graph), people());
    wait_for("the rule", || get(&mut target, &graph, "people"));
    assert_fills(&mut target, &graph);
    wait_for("the end at the source", || (redis.call::<i64>(&["DBSIZE"]) == 0).then_some(()));
}
