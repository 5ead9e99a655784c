//! Who may do what, and what nobody may see.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use redis::Value;

use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service};

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";

/// As long as keys are, with what JSON may escape.
const KEY: &str = "sk-Ab/Cd+Ef&0123456789==";
/// What is left of it after any escaping.
const CORE: &str = "0123456789";

fn refusal(status: u16, body: &str) -> Answer {
    Answer::Status(status, vec![], body.to_owned())
}

/// All the ways in which a service may repeat the key.
fn echoes() -> Vec<Answer> {
    let (php, net) = (KEY.replace('/', "\\/"), KEY.replace('+', "\\u002B").replace('&', "\\u0026"));
    let message = |key: &str| format!(r#"{{"error": {{"message": "Incorrect key: {key}"}}}}"#);
    let to = format!("https://elsewhere.example/{KEY}");
    vec![
        refusal(401, &message(KEY)),
        refusal(401, &message(&php)),
        refusal(401, &message(&net)),
        refusal(403, &format!(r#"{{"detail": "bad key {php}"}}"#)),
        refusal(403, &format!(r#"{{"detail": "bad key {net}"}}"#)),
        refusal(502, &format!("<p>Bad key: {KEY}</p>")),
        refusal(200, &format!("bad key {KEY}")),
        refusal(200, &format!(r#"{{"data": "bad key {KEY}"}}"#)),
        refusal(200, &format!(r#"{{"data": "bad key {net}"}}"#)),
        Answer::Status(308, vec![("location", to)], String::new()),
        // Good for the probe, and so the text's own fault.
        Answer::Vectors,
    ]
}

/// Everything clients send, as MONITOR shows it.
fn monitor(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(b"MONITOR\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream
}

fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything a user can get to see, and everything in the files.
pub fn shown(server: &Server, redis: &mut Redis) -> String {
    let places: [&[&str]; 8] = [
        &["CONFIG", "GET", "*"],
        &["MODULE", "LIST"],
        &["INFO", "everything"],
        &["SLOWLOG", "GET", "1000"],
        &["VECTORFILL.STATUS"],
        &["VECTORFILL.FAILURES", "kb"],
        &["GRAPH.QUERY", "kb", "MATCH (n) RETURN n"],
        &["GRAPH.SLOWLOG", "kb"],
    ];
    let replies = places.map(|place| format!("{:?}", redis.call::<Value>(place))).concat();
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", server.pid())).unwrap();
    let question = redis.try_call::<Value>(&["VECTORFILL.EMBED", "a question"]);
    replies + &arguments + &server.log() + &format!("{question:?}")
}

#[test]
fn a_key_that_the_service_repeats_in_any_way_is_nowhere_to_be_read() {
    for (way, _) in echoes().iter().enumerate() {
        let service = Service::scripted(8, move |request| match request.texts.as_slice() {
            [text] if text == "poison" && way == 10 => {
                refusal(400, &format!(r#"{{"error": {{"message": "no: {KEY}"}}}}"#))
            }
            _ => echoes().swap_remove(way),
        });
        let setup = Setup::with(&service).env("OPENAI_API_KEY", KEY).set("max-attempts", "1");
        let server = setup.arg("--loglevel", "debug").arg("--slowlog-log-slower-than", "0").start();
        let (mut redis, monitor) = (server.connect(), monitor(&server));
        redis.query("kb", "CREATE (:Doc {text: 'poison'})");
        let tally = redis.run("kb");
        assert_eq!(tally.number("written"), 0);
        let monitored = read_all(monitor);
        assert!(monitored.contains("VECTORFILL.RUN"), "{monitored}");
        let shown = format!("{tally:?}") + &shown(&server, &mut redis) + &monitored;
        assert!(shown.contains("***"), "way {way} was told: {shown}");
        assert!(!shown.contains(CORE), "way {way}: {shown}");
    }
}

#[test]
fn a_user_who_may_only_read_a_graph_sees_it_and_changes_nothing() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.run("kb");
    let user = ["ACL", "SETUSER", "eve", "on", "nopass", "%R~kb", "+@vectorfill", "+hello"];
    redis.call::<String>(&user);
    let mut eve = server.connect();
    eve.call::<String>(&["AUTH", "eve", "x"]);
    assert_eq!(eve.graph_status("kb").number("embedded"), 1);
    assert_eq!(eve.full_status().get("graphs").keys(), ["kb"]);
    assert_eq!(eve.call::<Vec<Value>>(&["VECTORFILL.FAILURES", "kb"]), []);
    for change in [&["VECTORFILL.RUN", "kb"][..], &["VECTORFILL.RETRY", "kb"], &["VECTORFILL.RUN"]]
    {
        assert!(eve.error(change).starts_with("NOPERM "), "{change:?}");
    }
}

#[test]
fn a_client_that_may_do_nothing_cannot_busy_the_filler_with_made_up_graphs() {
    let service = Service::start(8);
    let server = Setup::with(&service).set("wake-on-write", "yes").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.call::<String>(&["CONFIG", "SET", "requirepass", "secret"]);
    let mut stranger = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut answer = [0; 64];
    for i in 0..10_000 {
        stranger.write_all(format!("GRAPH.QUERY made-up-{i} x\r\n").as_bytes()).unwrap();
        let read = stranger.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"-NOAUTH"));
    }
    redis.query("new", "CREATE (:Doc {text: 'b'})");
    wait_for("the vectors", || {
        let filled = ["kb", "new"].map(|graph| redis.number(graph, FILLED));
        (filled == [1, 1]).then_some(())
    });
    assert_eq!(redis.full_status().get("graphs").keys(), ["kb", "new"]);
}

#[test]
fn questions_give_nobody_more_than_the_engine_gives_them() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.run("kb");
    let user = ["ACL", "SETUSER", "bob", "on", "nopass", "~kb", "+@vectorfill", "+hello"];
    redis.call::<String>(&user);
    let mut bob = server.connect();
    bob.call::<String>(&["AUTH", "bob", "x"]);
    let search: [&str; 5] = ["VECTORFILL.SEARCH", "kb", "Doc", "1", "a"];
    let query: [&str; 5] = ["VECTORFILL.QUERY", "kb", "RETURN 1", "TEXT", "a"];
    for question in [search, query] {
        let error = bob.error(&question);
        assert!(error.starts_with("NOPERM ") && error.contains("GRAPH.RO_QUERY"), "{error}");
    }
    let paid = service.requests().len();
    redis.call::<String>(&["ACL", "SETUSER", "bob", "+graph.ro_query"]);
    for question in [search, query] {
        bob.call::<Value>(&question);
    }
    assert!(service.requests().len() > paid, "what was refused cost nothing");
}

#[test]
fn a_percent_sign_is_logged_as_it_is() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    let name = "100%s%n%d";
    redis.query(name, "CREATE (:Doc {text: 'a'})");
    assert_eq!(redis.run(name).counts(), [1, 1, 0, 0, 0]);
    assert!(server.log().contains("pass done graph=\"100%s%n%d\""), "{}", server.log());
}

#[test]
fn the_modules_own_calls_show_as_no_failed_ones() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 200) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    redis.call::<Value>(&["VECTORFILL.SEARCH", "kb", "Doc", "1", "a"]);
    let stats: String = redis.call(&["INFO", "commandstats"]);
    let failed: Vec<&str> = stats
        .lines()
        .filter(|line| line.starts_with("cmdstat_"))
        .filter(|line| !line.contains("rejected_calls=0,failed_calls=0"))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}
