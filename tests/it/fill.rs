//! Nodes get their vectors, and only those that should, and only their own.

use std::process::Command;

use redis::Value;
use serde_json::json;

use crate::vectors::own_vectors;
use testkit::harness::{Redis, Server, Setup, close, path, wait_for};
use testkit::service::{Answer, Service, good, vector_of};

const DIM: usize = 8;

fn start(service: &Service) -> (Server, Redis) {
    let server = Setup::with(service).start();
    let redis = server.connect();
    (server, redis)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[test]
fn every_kind_of_node_gets_what_it_should() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    let long = "x".repeat(200_000);
    let texts = [
        "plain",
        "Grüße aus Köln",
        "日本語のテキスト",
        "🦀 crab",
        "it's",
        "back\\slash",
        "\\'",
        "a\nb\tc",
        "\"] RETURN 1 //",
        " ",
        &long,
    ];
    for (i, text) in texts.iter().enumerate() {
        let label = [":Doc", ":Note:Draft", ":Person", ""][i % 4];
        redis.query("kb", &format!("CREATE ({label} {{i: {i}, text: {}}})", quoted(text)));
    }
    redis
        .query("kb", "CREATE (:Doc {i: 100, text: ''}), (:Doc {i: 101, text: 7}), (:Doc {i: 102})");
    redis.query("kb", "CREATE (:Doc {i: 103, text: ['a', 'b']}), (:Doc {i: 104, text: true})");
    redis.query("kb", "CREATE (:Other {i: 105, text: 'done', embedding: vecf32([1, 2])})");

    let tally = redis.run("kb");

    assert_eq!(tally.counts(), [11, 11, 0, 0, 0]);
    assert_eq!(tally.number("truncated"), 1);
    for (i, text) in texts.iter().enumerate() {
        let sent: String = text.chars().take(24_000).collect();
        let vector =
            redis.vector("kb", &format!("MATCH (n {{i: {i}}}) RETURN n.embedding")).unwrap();
        assert!(close(&vector, &vector_of(&sent, DIM)), "text {i}");
    }
    assert_eq!(redis.vector("kb", "MATCH (n {i: 105}) RETURN n.embedding"), Some(vec![1.0, 2.0]));
    let untouched = "MATCH (n) WHERE n.i IN [100, 101, 102, 103, 104] RETURN count(n.embedding)";
    assert_eq!(redis.number("kb", untouched), 0);
}

#[test]
fn a_text_that_is_no_utf8_is_embedded_and_does_not_harm_the_server() {
    let service = Service::start(DIM);
    let (mut server, mut redis) = start(&service);
    let texts: [&[u8]; 4] = [b"abc \xe2\x82", b"\xff\xfe\xc3 x", b"\xc3\x28 abc", b"abc\xff"];
    for text in texts {
        let query = [b"CREATE (:Doc {text: '", text, b"'})"].concat();
        redis::cmd("GRAPH.QUERY").arg("kb").arg(query).exec(&mut raw(&server)).unwrap();
    }
    assert_eq!(redis.run("kb").counts(), [4, 4, 0, 0, 0]);
    assert!(server.is_alive());
    assert!(service.texts().contains(&"abc \u{fffd}".to_owned()));
}

fn raw(server: &Server) -> redis::Connection {
    let url = format!("redis://127.0.0.1:{}/", server.port);
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

#[test]
fn names_may_hold_any_character_but_a_backtick() {
    let service = Service::start(DIM);
    let server = Setup::with(&service)
        .set("label", "My 'Label' é")
        .set("source", "a \"text\" $x")
        .set("target", "vec]tor \\ ü")
        .set("error-property", "er'ror")
        .start();
    let mut redis = server.connect();
    let graph = "a graph's \"näme\" {x}";
    redis.query(
        graph,
        "CREATE (:`My 'Label' é` {`a \"text\" $x`: 'hello'}), ({`a \"text\" $x`: 'no'})",
    );
    assert_eq!(redis.run(graph).counts(), [1, 1, 0, 0, 0]);
    let vector = redis.vector(graph, "MATCH (n:`My 'Label' é`) RETURN n.`vec]tor \\ ü`").unwrap();
    assert!(close(&vector, &vector_of("hello", DIM)));
    let indexed = "CALL db.indexes() YIELD label RETURN label";
    assert_eq!(redis.query(graph, indexed).len(), 1);
    for name in ["label", "source", "target", "error-property"] {
        let error = redis.error(&["CONFIG", "SET", &format!("vectorfill.{name}"), "a`b"]);
        assert!(error.contains("backtick") && error.contains("a`b"), "{error}");
    }
}

#[test]
fn several_graphs_are_filled_at_once_and_globs_are_honoured() {
    let service = Service::start(DIM);
    let server = Setup::with(&service).set("graphs", "kb-* notes").start();
    let mut redis = server.connect();
    for graph in ["kb-1", "kb-2", "notes", "other"] {
        redis.query(graph, "UNWIND range(1, 300) AS i CREATE (:Doc {text: 'text ' + toString(i)})");
    }
    let tally = testkit::harness::Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "60000"]));
    assert_eq!(tally.number("graphs"), 3);
    assert_eq!(tally.counts(), [900, 900, 0, 0, 0]);
    let filled = "MATCH (n:Doc) RETURN count(n.embedding)";
    assert_eq!(redis.number("notes", filled), 300);
    assert_eq!(redis.number("other", filled), 0);
    let error = redis.error(&["VECTORFILL.RUN", "other"]);
    assert!(error.contains("vectorfill.graphs"), "{error}");
}

#[test]
fn a_second_run_writes_nothing_and_sends_nothing() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 120) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    let sent = service.requests().len();
    assert_eq!(redis.run("kb").counts(), [0; 5]);
    assert_eq!(service.requests().len(), sent);
}

#[test]
fn equal_texts_are_paid_for_once_a_batch() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 50) AS i CREATE (:Doc {text: 'same'})");
    assert_eq!(redis.run("kb").counts(), [50, 50, 0, 0, 0]);
    assert_eq!(service.texts(), ["same"]);
}

#[test]
fn no_vector_lands_on_a_text_it_was_not_made_from() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 6) AS i CREATE (:Doc {i: i, text: 'text ' + toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.query("kb", "MATCH (n {i: 1}) DELETE n");
    redis.query("kb", "MATCH (n {i: 2}) SET n.text = 'edited'");
    redis.query("kb", "MATCH (n {i: 3}) REMOVE n.text");
    redis.query("kb", "MATCH (n {i: 4}) SET n.embedding = vecf32([1, 2, 3, 4, 5, 6, 7, 8])");
    let before = redis.number("kb", "MATCH (n {i: 5}) RETURN ID(n)");
    redis.query("kb", "MATCH (n {i: 5}) DELETE n");
    redis.query("kb", "CREATE (:Doc {i: 7, text: 'reborn'})");
    redis.query("kb", "CREATE (:Doc {i: 8, text: 'reborn too'})");
    let reused = format!("MATCH (n) WHERE ID(n) = {before} AND n.i IN [7, 8] RETURN count(n)");
    assert_eq!(redis.number("kb", &reused), 1, "the engine gives the id away again");
    service.release();

    redis.run("kb");

    for (i, text) in [(2, "edited"), (6, "text 6"), (7, "reborn"), (8, "reborn too")] {
        let vector =
            redis.vector("kb", &format!("MATCH (n {{i: {i}}}) RETURN n.embedding")).unwrap();
        assert!(close(&vector, &vector_of(text, DIM)), "node {i}");
    }
    let own = redis.vector("kb", "MATCH (n {i: 4}) RETURN n.embedding").unwrap();
    assert_eq!(own[..2], [1.0, 2.0], "a vector somebody else wrote stays");
    assert_eq!(redis.number("kb", "MATCH (n {i: 3}) RETURN count(n.embedding)"), 0);
    assert!(redis.status().get("totals").number("stale") >= 5);
}

#[test]
fn a_graph_deleted_meanwhile_does_not_come_back() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.call::<String>(&["GRAPH.DELETE", "kb"]);
    service.release();
    wait_for("the pass to end", || (redis.status().text("state") == "idle").then_some(()));
    assert_eq!(redis.call::<Vec<String>>(&["GRAPH.LIST"]), Vec::<String>::new());
    wait_for("the tally", || (redis.status().get("totals").number("selected") == 20).then_some(()));
    assert_eq!(redis.status().get("totals").counts(), [20, 0, 20, 0, 0]);
    assert!(
        redis.full_status().get("graphs").keys().is_empty(),
        "a graph that is gone is forgotten"
    );
}

#[test]
fn a_reply_in_any_order_is_matched_by_index() {
    let service = Service::scripted(DIM, |request| {
        let mut body = good(request, DIM);
        body["data"].as_array_mut().unwrap().reverse();
        Answer::Body(body)
    });
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 40) AS i CREATE (:Doc {i: i, text: 'text ' + toString(i)})");
    assert_eq!(redis.run("kb").counts(), [40, 40, 0, 0, 0]);
    for i in 1..=40 {
        let vector =
            redis.vector("kb", &format!("MATCH (n {{i: {i}}}) RETURN n.embedding")).unwrap();
        assert!(close(&vector, &vector_of(&format!("text {i}"), DIM)), "node {i}");
    }
}

#[test]
fn floats_are_taken_from_a_service_that_knows_no_base64() {
    let ignores = Service::scripted(DIM, |request| {
        let mut plain = request.clone();
        plain.body["encoding_format"] = json!("float");
        Answer::Body(good(&plain, DIM))
    });
    let refuses = Service::scripted(DIM, |request| {
        if request.body.get("encoding_format").is_none() {
            return Answer::Vectors;
        }
        let words = r#"{"error":{"message":"Unknown parameter: 'encoding_format'"}}"#;
        Answer::Status(400, vec![], words.into())
    });
    for service in [ignores, refuses] {
        let (_server, mut redis) = start(&service);
        redis.query("kb", "CREATE (:Doc {text: 'hello'})");
        assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
        let vector = redis.vector("kb", "MATCH (n) RETURN n.embedding").unwrap();
        assert!(close(&vector, &vector_of("hello", DIM)));
    }
}

#[test]
fn a_reply_that_does_not_fit_writes_nothing_and_loses_nothing() {
    type Spoil = fn(&mut serde_json::Value);
    let spoilt: [(&str, Spoil); 4] = [
        ("too few", |body| drop(body["data"].as_array_mut().unwrap().pop())),
        ("an index that was not sent", |body| body["data"][0]["index"] = json!(7)),
        ("not a number", |body| {
            for item in body["data"].as_array_mut().unwrap() {
                item["embedding"] = json!([0.5, null, 1, 1, 1, 1, 1, 1]);
            }
        }),
        ("nothing but zeros", |body| {
            for item in body["data"].as_array_mut().unwrap() {
                item["embedding"] = json!([0, 0, 0, 0, 0, 0, 0, 0]);
            }
        }),
    ];
    for (name, spoil) in spoilt {
        let service = Service::scripted(DIM, move |request| {
            let mut body = good(request, DIM);
            spoil(&mut body);
            Answer::Body(body)
        });
        let server = Setup::with(&service).set("max-attempts", "2").start();
        let mut redis = server.connect();
        redis.query("kb", "UNWIND range(1, 3) AS i CREATE (:Doc {text: toString(i)})");
        let tally = redis.run("kb");
        assert_eq!(tally.counts(), [3, 0, 0, 0, 3], "{name}");
        assert!(!tally.text("error").is_empty(), "{name}");
        assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding)"), 0, "{name}");
    }
}

#[test]
fn an_answer_with_vectors_of_two_lengths_is_asked_for_again() {
    let service = Service::scripted(DIM, move |request| {
        let mut body = good(request, DIM);
        if request.number == 0 {
            body["data"][0]["embedding"] = json!([0.5, 0.5]);
        }
        Answer::Body(body)
    });
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 3) AS i CREATE (:Doc {text: toString(i)})");
    assert_eq!(redis.run("kb").counts(), [3, 3, 0, 0, 0]);
    assert_eq!(own_vectors(&mut redis, "kb"), 3);
}

#[test]
fn vectors_of_another_length_than_the_index_are_not_written() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "CREATE (:Doc {text: 'hello'})");
    redis.query("kb", "CREATE VECTOR INDEX FOR (n:Doc) ON (n.embedding) OPTIONS {dimension: 5, similarityFunction: 'cosine'}");
    assert_eq!(redis.run("kb").counts(), [1, 0, 0, 0, 1]);
    let reason = redis.graph_status("kb").text("last_error");
    assert!(reason.contains('5') && reason.contains('8'), "{reason}");
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding)"), 0);
}

#[test]
fn an_index_is_created_for_each_label_and_answers_questions() {
    let service = Service::start(DIM);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 30) AS i CREATE (:Doc {text: 'doc ' + toString(i)})");
    redis
        .query("kb", "UNWIND range(1, 30) AS i CREATE (:Note:Draft {text: 'note ' + toString(i)})");
    redis.query("kb", "CREATE ({text: 'no label'})");
    redis.run("kb");
    let labels = redis
        .query("kb", "CALL db.indexes() YIELD label, status RETURN label, status ORDER BY label");
    let text = |value: &Value| redis::FromRedisValue::from_redis_value(value.clone()).unwrap();
    let labels: Vec<(String, String)> =
        labels.iter().map(|row| (text(&row[0]), text(&row[1]))).collect();
    let ready = |label: &str| (label.to_owned(), "OPERATIONAL".to_owned());
    assert_eq!(labels, [ready("Doc"), ready("Note")]);
}

#[test]
fn a_real_client_reads_the_vectors_and_asks_the_index() {
    let service = Service::start(DIM);
    let (server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 30) AS i CREATE (:Doc {i: i, text: 'doc ' + toString(i)})");
    redis.run("kb");
    let vector = format!("{:?}", vector_of("doc 7", DIM));
    let script = format!(
        "from falkordb import FalkorDB\n\
         g = FalkorDB(port={}).select_graph('kb')\n\
         v = g.query('MATCH (n:Doc {{i: 7}}) RETURN n.embedding').result_set[0][0]\n\
         assert all(abs(a - b) < 1e-6 for a, b in zip(v, {vector})), v\n\
         q = \"CALL db.idx.vector.queryNodes('Doc', 'embedding', 1, vecf32($v)) YIELD node RETURN node.i\"\n\
         assert g.query(q, {{'v': {vector}}}).result_set == [[7]]\n",
        server.port
    );
    let output = Command::new(path("VECTORFILL_PYTHON")).args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
