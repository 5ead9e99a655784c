//! Texts that users ask for: EMBED, QUERY and SEARCH.

use std::time::{Duration, Instant};

use redis::Value;

use testkit::harness::{Engine, Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service, paced, vector_of};

const NEAREST: &str = "CALL db.idx.vector.queryNodes('Doc', 'embedding', 2, vecf32($vector)) \
    YIELD node, score RETURN node, score ORDER BY score";

/// Three nodes with their vectors and their index.
fn filled(service: &Service) -> (Server, Redis) {
    let server = Setup::with(service).start();
    let mut redis = server.connect();
    for text in ["apple", "pear", "stone"] {
        redis.query("kb", &format!("CREATE (:Doc {{text: '{text}'}})"));
    }
    assert_eq!(redis.run("kb").counts(), [3, 3, 0, 0, 0]);
    (server, redis)
}

#[test]
fn embed_gives_one_vector_a_text_as_floats_or_as_a_blob() {
    let service = Service::start(8);
    let (_server, mut redis) = filled(&service);
    let floats: Vec<Vec<f32>> = redis.call(&["VECTORFILL.EMBED", "red", "green"]);
    assert_eq!(floats, [vector_of("red", 8), vector_of("green", 8)]);
    let blobs: Vec<Vec<u8>> = redis.call(&["VECTORFILL.EMBED", "red", "FORMAT", "blob"]);
    let bytes: Vec<u8> = vector_of("red", 8).iter().flat_map(|n| n.to_le_bytes()).collect();
    assert_eq!(blobs, [bytes]);
    let error = redis.error(&["VECTORFILL.EMBED", "red", "FORMAT", "json"]);
    assert_eq!(error, "ERR FORMAT 'json': floats or blob");
}

#[test]
fn query_replies_as_the_engine_does_with_the_vector_ready_made() {
    let service = Service::start(8);
    let (_server, mut redis) = filled(&service);
    let vector = format!("{:?}", vector_of("fruit", 8));
    for protocol in ["2", "3"] {
        redis.call::<Value>(&["HELLO", protocol]);
        for compact in [&[][..], &["--compact"]] {
            for (own, mine) in [("", ""), ("CYPHER a=1 ", "a=1 ")] {
                let asked = format!("{own}{NEAREST}");
                let ready = format!("CYPHER vector={vector} {mine}{NEAREST}");
                let asked = ["VECTORFILL.QUERY", "kb", &asked, "TEXT", "fruit"];
                let ready = ["GRAPH.RO_QUERY", "kb", &ready];
                let asked = redis.call::<Vec<Value>>(&[&asked, compact].concat());
                let ready = redis.call::<Vec<Value>>(&[&ready, compact].concat());
                assert_eq!(asked[..2], ready[..2], "protocol {protocol} {compact:?} {own}");
                assert_eq!(asked.len(), ready.len());
            }
        }
    }
}

#[test]
fn search_lists_the_nearest_nodes() {
    let service = Service::start(8);
    let (_server, mut redis) = filled(&service);
    let found: Vec<(i64, f64, String)> =
        redis.call(&["VECTORFILL.SEARCH", "kb", "Doc", "2", "pear"]);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].0, found[0].2.as_str()), (1, "pear"));
    assert!(found[0].1.abs() < 1e-6 && found[1].1 > found[0].1, "{found:?}");
}

#[test]
fn what_cannot_be_answered_is_told_under_a_code() {
    let service = Service::scripted(8, |request| {
        if request.texts[0] == "bad" {
            let body = r#"{"error":{"message":"not this text"}}"#;
            return Answer::Status(400, vec![], body.into());
        }
        Answer::Vectors
    });
    let (_server, mut redis) = filled(&service);
    redis.query("kb", "CREATE VECTOR INDEX FOR (n:Short) ON (n.embedding) OPTIONS {dimension: 3, similarityFunction: 'cosine'}");
    redis.query("kb", "CREATE (:Short {embedding: vecf32([1, 2, 3])})");
    let short = NEAREST.replace("Doc", "Short");
    for (words, expected) in [
        (vec!["VECTORFILL.QUERY", "no", "RETURN 1", "TEXT", "x"], "NOGRAPH there is no graph 'no'"),
        (
            vec!["VECTORFILL.QUERY", "kb", "RETURN 1", "TEXT", "bad"],
            "EMBED the service answered 400: not this text",
        ),
        (vec!["VECTORFILL.QUERY", "kb", "RETURN 1", "TEXTS", "x"], "ERR syntax: VECTORFILL.QUERY"),
        (
            vec!["VECTORFILL.QUERY", "kb", "CREATE (:X)", "TEXT", "x"],
            "graph.RO_QUERY is to be executed only on read-only",
        ),
        (
            vec![
                "VECTORFILL.QUERY",
                "kb",
                "UNWIND range(1, 100000000) AS x RETURN count(x)",
                "TEXT",
                "x",
                "TIMEOUT",
                "50",
            ],
            "TIMEOUT Query timed out",
        ),
        (
            vec!["VECTORFILL.QUERY", "kb", &short, "TEXT", "x"],
            "ERR the model 'text-embedding-3-small' gives vectors of 8 dimensions: Vector dimension mismatch, expected 3 but got 8",
        ),
        (
            vec!["VECTORFILL.SEARCH", "kb", "Nope", "2", "x"],
            "ERR there is no vector index on (:Nope).embedding",
        ),
        (
            vec!["VECTORFILL.SEARCH", "kb", "Doc", "0", "x"],
            "ERR k '0': a whole number from 1 to 10000",
        ),
        (vec!["VECTORFILL.EMBED", "bad"], "EMBED the service answered 400: not this text"),
    ] {
        let error = redis.error(&words);
        let error =
            error.strip_prefix("ERR ").filter(|_| !expected.starts_with("ERR")).unwrap_or(&error);
        assert!(error.starts_with(expected), "{words:?}: {error}");
    }
    assert_eq!(redis.status().get("embedder").text("state"), "ready");
}

#[test]
fn bad_cypher_is_told_in_the_engines_own_words() {
    let service = Service::start(8);
    let (_server, mut redis) = filled(&service);
    let theirs = redis.error(&["GRAPH.RO_QUERY", "kb", "MATCH (n RETURN n"]);
    let ours = redis.error(&["VECTORFILL.QUERY", "kb", "MATCH (n RETURN n", "TEXT", "x"]);
    let beginning = |text: &str| text.split("line").next().unwrap().to_owned();
    assert_eq!(beginning(&ours), beginning(&theirs));
}

#[test]
fn an_answer_that_does_not_come_in_time_is_a_timeout() {
    let service = Service::start(8);
    let (_server, mut redis) = filled(&service);
    service.hold();
    let begun = Instant::now();
    let words = ["VECTORFILL.QUERY", "kb", "RETURN 1", "TEXT", "x", "TIMEOUT", "100"];
    let error = redis.error(&words);
    assert!(error.starts_with("TIMEOUT "), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    service.release();
}

#[test]
fn equal_questions_go_out_once_and_are_remembered() {
    let service = Service::start(8);
    let (server, mut redis) = filled(&service);
    let before = service.requests().len();
    service.hold();
    let askers: Vec<_> = (0..5)
        .map(|_| {
            let mut redis = server.connect();
            std::thread::spawn(move || {
                redis.call::<Vec<Value>>(&["VECTORFILL.SEARCH", "kb", "Doc", "1", "what"]).len()
            })
        })
        .collect();
    wait_for("all questions", || {
        (redis.status().get("embedder").number("questions") == 5).then_some(())
    });
    service.release();
    assert!(askers.into_iter().all(|asker| asker.join().unwrap() == 1));
    redis.call::<Value>(&["VECTORFILL.EMBED", "what"]);
    assert_eq!(service.requests().len() - before, 1);
    let embedder = redis.status().get("embedder");
    assert_eq!(
        (embedder.number("query_cache_hits"), embedder.number("query_cache_entries")),
        (1, 1)
    );
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.query-cache", "0"]);
    redis.call::<Value>(&["VECTORFILL.EMBED", "what"]);
    redis.call::<Value>(&["VECTORFILL.EMBED", "what"]);
    assert_eq!(service.requests().len() - before, 3);
}

#[test]
fn questions_and_documents_get_their_own_prefix() {
    let service = Service::start(8);
    let server = Setup::with(&service)
        .set("query-prefix", "query: ")
        .set("document-prefix", "passage: ")
        .start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'apple'})");
    redis.run("kb");
    redis.call::<Value>(&["VECTORFILL.SEARCH", "kb", "Doc", "1", "apple"]);
    assert_eq!(service.texts(), ["passage: apple", "query: apple"]);
}

#[test]
fn who_may_not_read_the_graph_spends_no_money() {
    let service = Service::start(8);
    let (server, mut redis) = filled(&service);
    redis.call::<String>(&[
        "ACL",
        "SETUSER",
        "eve",
        "on",
        "nopass",
        "~other",
        "+@vectorfill",
        "-vectorfill.embed",
        "+hello",
    ]);
    let mut eve = server.connect();
    eve.call::<String>(&["AUTH", "eve", "x"]);
    let before = service.requests().len();
    for words in [
        &["VECTORFILL.QUERY", "kb", "RETURN 1", "TEXT", "x"][..],
        &["VECTORFILL.SEARCH", "kb", "Doc", "1", "x"],
        &["VECTORFILL.EMBED", "x"],
    ] {
        let error = eve.error(words);
        assert!(error.starts_with("NOPERM "), "{error}");
    }
    assert_eq!(service.requests().len(), before);
}

#[test]
fn a_replica_answers_questions() {
    let service = Service::start(8);
    let (server, _master) = filled(&service);
    let replica = Setup::with(&service).start();
    let mut redis = replica.connect();
    redis.call::<Value>(&["REPLICAOF", "127.0.0.1", &server.port.to_string()]);
    let found = wait_for("the replica", || {
        redis
            .try_call::<Vec<(i64, f64, String)>>(&["VECTORFILL.SEARCH", "kb", "Doc", "1", "stone"])
            .ok()
    });
    assert_eq!(found[0].2, "stone");
}

#[test]
fn without_an_engine_only_embed_works() {
    let service = Service::start(8);
    let server = Setup::with(&service).engine(Engine::Missing).start();
    let mut redis = server.connect();
    assert_eq!(redis.call::<Vec<Vec<f32>>>(&["VECTORFILL.EMBED", "x"]).len(), 1);
    let error = redis.error(&["VECTORFILL.SEARCH", "kb", "Doc", "1", "x"]);
    assert!(error.starts_with("NOENGINE "), "{error}");
}

#[test]
fn a_question_does_not_wait_behind_a_backfill() {
    let latency = Duration::from_millis(100);
    let service = paced(8, latency, Duration::ZERO);
    let (_server, mut redis) = filled(&service);
    redis.query("kb", "UNWIND range(1, 20000) AS i CREATE (:Doc {text: 'text ' + toString(i)})");
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    wait_for("the fill", || {
        (redis.status().get("embedder").number("in_flight") == 8).then_some(())
    });
    // The first may find all places taken; from then on one is kept free.
    redis.call::<Value>(&["VECTORFILL.EMBED", "first"]);
    let mut times: Vec<Duration> = (0..20)
        .map(|i| {
            let begun = Instant::now();
            redis.call::<Value>(&["VECTORFILL.EMBED", &format!("question {i}")]);
            begun.elapsed()
        })
        .collect();
    assert!(redis.graph_status("kb").number("pending") > 0, "the fill was over too soon");
    times.sort();
    assert!(times[18] < latency * 3 / 2, "{times:?}");
}

#[test]
fn questions_are_refused_where_a_client_cannot_be_blocked() {
    let service = Service::start(8);
    let (_server, mut redis) = filled(&service);
    redis.call::<String>(&["MULTI"]);
    redis.call::<String>(&["VECTORFILL.EMBED", "x"]);
    let error = redis.error(&["EXEC"]);
    assert!(error.contains("not possible inside MULTI"), "{error}");
}

/// Before 4.20 each write to an indexed node leaves a dead entry that takes a place in a search.
#[test]
fn search_gives_as_many_distinct_nodes_as_there_are_after_any_number_of_updates() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 60) AS i CREATE (:Doc {text: 'text ' + i})");
    redis.run("kb");
    for turn in 0..6 {
        redis.query("kb", &format!("MATCH (n:Doc) SET n.seen = {turn}"));
    }
    redis.query("kb", "MATCH (n:Doc) WHERE n.text IN ['text 7', 'text 8'] DELETE n");
    let wanted = |k: usize, question: &str| {
        let (vector, mut texts) = (vector_of(question, 8), Vec::new());
        for i in (1..=60).filter(|i| ![7, 8].contains(i)) {
            let text = format!("text {i}");
            texts.push((distance(&vector, &vector_of(&text, 8)), text));
        }
        texts.sort_by(|a, b| a.0.total_cmp(&b.0));
        texts.into_iter().take(k).map(|(_, text)| text).collect::<Vec<String>>()
    };
    for k in [1, 10, 58, 100] {
        for question in ["text 7", "text 33", "something else"] {
            let words = ["VECTORFILL.SEARCH", "kb", "Doc", &k.to_string(), question];
            let found: Vec<(i64, f64, String)> = redis.call(&words);
            let texts: Vec<String> = found.into_iter().map(|(_, _, text)| text).collect();
            assert_eq!(texts, wanted(k, question), "{k} of {question}");
        }
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
