//! What is data is never taken for anything else: a line, a query, a header.

use redis::Value;

use crate::vectors::own_vectors;
use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service};

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";

fn refusal(status: u16, body: &str) -> Answer {
    Answer::Status(status, vec![], body.to_owned())
}

/// A line as the server's log has them, made up by somebody else.
const FAKE: &str = "1:M 01 Jan 2026 00:00:00.000 # fake";

fn assert_no_fake(server: &Server, redis: &mut Redis) {
    let (log, info) = (server.log(), redis.call::<String>(&["INFO", "vectorfill"]));
    assert!(log.contains("fake") || info.contains("fake"), "it was told");
    for line in log.lines().chain(info.lines()) {
        assert!(!line.starts_with("1:M") && !line.starts_with("fake"), "{line}");
    }
}

#[test]
fn a_graphs_name_breaks_no_line_and_no_query() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    let names = [
        &format!("a\r\n{FAKE}"),
        &format!("\n{FAKE}"),
        "it's \"quoted\" \\ `",
        "'}) DETACH DELETE n //",
        // The lowest bytes of these are a NUL, a line break and no UTF-8.
        "\u{4e00} \u{1f600} \u{10a} \u{e9}",
        "\u{1b}[31m\u{7}\u{2028}",
        "*",
        " ",
        "WAIT",
        "-1",
        "",
    ];
    for name in names {
        let missing = redis.error(&["VECTORFILL.RUN", name]);
        let told = name.replace(['\r', '\n'], " ");
        assert_eq!(missing, format!("NOGRAPH there is no graph '{told}'"));
        redis.call::<String>(&["PING"]);
        redis.query(name, "CREATE (:Doc {text: 'a'})");
        assert_eq!(redis.run(name).counts(), [1, 1, 0, 0, 0], "{name:?}");
        assert_eq!(own_vectors(&mut redis, name), 1);
        assert_eq!(redis.graph_status(name).number("embedded"), 1);
    }
    assert_eq!(redis.full_status().get("graphs").keys().len(), names.len());
    assert_no_fake(&server, &mut redis);
}

/// Nodes with these texts, whatever their bytes; and what is stored.
fn store(server: &Server, texts: &[Vec<u8>]) -> Vec<Value> {
    let url = format!("redis://127.0.0.1:{}/", server.port);
    let mut client = redis::Client::open(url).unwrap().get_connection().unwrap();
    for text in texts {
        let escaped = text.iter().flat_map(|byte| match byte {
            b'\\' | b'\'' => vec![b'\\', *byte],
            _ => vec![*byte],
        });
        let query = [b"CREATE (:Doc {text: '".to_vec(), escaped.collect(), b"'})".to_vec()];
        redis::cmd("GRAPH.QUERY").arg("kb").arg(query.concat()).exec(&mut client).unwrap();
    }
    stored(&mut server.connect())
}

fn stored(redis: &mut Redis) -> Vec<Value> {
    redis.query("kb", "MATCH (n) RETURN n.text, labels(n) ORDER BY ID(n)").concat()
}

#[test]
fn a_text_that_holds_cypher_or_broken_bytes_stays_a_text() {
    const WORDS: [&[u8]; 16] = [
        b"'}) DETACH DELETE n //",
        b"\\",
        b"'",
        b"\"",
        b"`",
        b"]",
        b" vectors=[[1]] ",
        b"\r\n",
        b"$ids",
        b"\\u0027",
        b"/*",
        "🦀".as_bytes(),
        "é".as_bytes(),
        b"\xe2\x82",
        b"\xff",
        b"\xc3",
    ];
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut rng = fastrand::Rng::with_seed(5);
    let mut text = || (0..rng.usize(1..6)).flat_map(|_| WORDS[rng.usize(..16)].to_vec()).collect();
    let texts: Vec<Vec<u8>> = (0..300).map(|_| text()).collect();
    let before = store(&server, &texts);
    let mut redis = server.connect();
    assert_eq!(redis.run("kb").counts(), [300, 300, 0, 0, 0]);
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding)"), 300);
    assert!(stored(&mut redis) == before, "a text or a label has changed");
    let lossy = |text: &Vec<u8>| String::from_utf8_lossy(text).into_owned();
    let (sent, wanted) = (service.texts(), texts.iter().map(lossy));
    assert!(wanted.into_iter().all(|text| sent.contains(&text)), "sent as it is");
}

#[test]
fn a_property_name_that_holds_cypher_stays_a_name() {
    let service = Service::start(8);
    let (source, target) = ("text} SET n.x = 1 //", "v = 1, n.y");
    let setup = Setup::with(&service).set("source", source).set("target", target);
    let server = setup.set("label", "Doc) DETACH DELETE (n").start();
    let mut redis = server.connect();
    redis.query("kb", &format!("CREATE (:`Doc) DETACH DELETE (n` {{`{source}`: 'hello'}})"));
    assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
    let keys = redis.query("kb", "MATCH (n) UNWIND keys(n) AS k RETURN k ORDER BY k").concat();
    let keys: Vec<String> = keys.into_iter().map(|k| redis::from_redis_value(k).unwrap()).collect();
    assert_eq!(keys, [source, target]);
}

#[test]
fn a_models_name_reaches_the_service_as_it_is() {
    let service = Service::start(8);
    let server = Setup::with(&service).arg("--enable-protected-configs", "yes").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    let model = format!("a\"b\\c\", \"input\": []\r\nX-Evil: 1\r\n{FAKE}");
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.model", &model]);
    // A new model is tried at once.
    wait_for("the vector", || (redis.number("kb", FILLED) == 1).then_some(()));
    let request = &service.requests()[0];
    assert_eq!(request.body["model"], model);
    assert_eq!(request.texts, ["a"]);
    assert!(!request.headers.iter().any(|(name, _)| name == "x-evil"));
    assert_eq!(redis.status().get("embedder").text("model"), model);
    assert!(!server.log().lines().any(|line| line.starts_with("1:M")), "{}", server.log());
}

#[test]
fn what_a_service_says_stays_one_line() {
    let service = Service::scripted(8, |request| match request.texts.as_slice() {
        [text] if text == "ok" => Answer::Vectors,
        [text] if text == "poison" => {
            let words =
                format!("no\r\n{FAKE}\n\t\u{4e00}").replace('\r', "\\r").replace('\n', "\\n");
            let words = words.replace('\t', "\\t");
            refusal(400, &format!(r#"{{"error": {{"message": "{words}"}}}}"#))
        }
        _ => refusal(500, &format!("oops\r\n{FAKE}")),
    });
    let server = Setup::with(&service).set("max-attempts", "1").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'poison'})");
    assert_eq!(redis.run("kb").counts(), [1, 0, 0, 1, 0]);
    let one_line = format!("the service answered 400: no {FAKE} \u{4e00}");
    let failures: Vec<(i64, String)> = redis.call(&["VECTORFILL.FAILURES", "kb"]);
    assert_eq!(failures[0].1, one_line);
    let marked =
        format!("MATCH (n) WHERE n.embedding_error STARTS WITH '{one_line}' RETURN count(n)");
    assert_eq!(redis.number("kb", &marked), 1);
    let asked = redis.error(&["VECTORFILL.EMBED", "poison"]);
    assert_eq!(asked, format!("EMBED {one_line}"));
    redis.query("kb", "CREATE (:Doc {text: 'another'})");
    wait_for("the fault in the log", || {
        redis.run("kb");
        server.log().contains("oops").then_some(())
    });
    assert_no_fake(&server, &mut redis);
}
