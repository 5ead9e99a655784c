//! What goes wrong is blamed on nobody who is not to blame, and told.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use testkit::harness::{Address as _, Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service};

fn refusal(status: u16, message: &str) -> Answer {
    Answer::Status(status, vec![], format!(r#"{{"error":{{"message":"{message}"}}}}"#))
}

#[test]
fn a_refused_batch_is_bisected_and_only_the_poison_is_quarantined() {
    let service = Service::scripted(8, |request| {
        if request.texts.iter().any(|text| text.contains("poison")) {
            return refusal(400, "content policy\\nviolation");
        }
        Answer::Vectors
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis
        .query("kb", "UNWIND range(1, 100) AS i CREATE (:Doc {i: i, text: 'text ' + toString(i)})");
    redis.query("kb", "MATCH (n {i: 33}) SET n.text = 'poison'");
    assert_eq!(redis.run("kb").counts(), [100, 99, 0, 1, 0]);
    let marked = "MATCH (n {i: 33}) WHERE n.embedding_error CONTAINS 'content policy violation' RETURN count(n)";
    assert_eq!(redis.number("kb", marked), 1);
    // Two batches; halving 50 down to one text takes at most two requests for each of six levels.
    assert!(service.requests().len() <= 2 + 12, "{}", service.requests().len());
    assert_eq!(redis.graph_status("kb").number("quarantined"), 1);
    assert_eq!(redis.run("kb").counts(), [0; 5], "a quarantined node is left alone");
}

#[test]
fn a_refused_request_blames_no_node_and_recovers_when_it_is_mended() {
    let service = Service::scripted(8, |request| {
        let good = request.headers.contains(&("authorization".into(), "Bearer good-key".into()));
        if good { Answer::Vectors } else { refusal(401, "Incorrect API key provided") }
    });
    let setup = Setup::with(&service);
    let file = setup.folder().join("key");
    fs::write(&file, "bad-key\n").unwrap();
    let server = setup.set("api-key-file", &file.to_string_lossy()).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 200) AS i CREATE (:Doc {text: toString(i)})");
    let tally = redis.run("kb");
    assert_eq!((tally.number("written"), tally.number("quarantined")), (0, 0));
    assert!(service.requests().len() <= 8, "nothing is hammered");
    let embedder = redis.status().get("embedder");
    assert_eq!(embedder.text("state"), "rejected");
    assert!(embedder.text("reason").contains("Incorrect API key"));
    fs::write(&file, "good-key\n").unwrap();
    assert_eq!(redis.run("kb").counts(), [200, 200, 0, 0, 0]);
    assert_eq!(redis.status().get("embedder").text("state"), "ready");
}

#[test]
fn writes_to_a_graph_do_not_hammer_a_service_that_refuses_us() {
    let service = Service::scripted(8, |_| refusal(401, "Incorrect API key provided"));
    let server = Setup::with(&service).set("wake-on-write", "yes").set("concurrency", "1").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'first'})");
    service.wait_for_requests(1);
    wait_for("the state", || {
        (redis.status().get("embedder").text("state") == "rejected").then_some(())
    });
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        redis.query("kb", "CREATE (:Doc {text: 'another'})");
    }
    assert_eq!(service.requests().len(), 1);
    let passes = server.log().lines().filter(|line| line.contains("pass done")).count();
    assert_eq!(passes, 1, "{}", server.log());
}

#[test]
fn a_throttled_request_costs_no_attempt_and_waits_as_long_as_asked() {
    let service = Service::scripted(8, |request| match request.number {
        0..8 => Answer::Status(429, vec![("retry-after", "1".into())], "{}".into()),
        _ => Answer::Vectors,
    });
    let server = Setup::with(&service).set("max-attempts", "1").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 400) AS i CREATE (:Doc {text: toString(i)})");
    let begun = Instant::now();
    assert_eq!(redis.run("kb").counts(), [400, 400, 0, 0, 0]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(service.requests().len(), 16);
}

#[test]
fn a_service_that_stumbles_is_tried_again() {
    let service = Service::scripted(8, |request| match request.number {
        0 => refusal(500, "oops"),
        1 => Answer::Reset,
        2 => Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"data\"".to_vec()),
        3 => Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ht>".to_vec()),
        _ => Answer::Vectors,
    });
    let server = Setup::with(&service).set("concurrency", "1").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
    assert_eq!(redis.status().get("embedder").number("retries"), 4);
}

#[test]
fn a_service_out_of_reach_defers_and_a_later_pass_finds_the_nodes() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Setup::default()
        .set("base-url", &format!("http://127.0.0.1:{port}/v1"))
        .set("interval", "0")
        .set("wake-on-write", "no")
        .set("max-attempts", "2")
        .arg("--enable-protected-configs", "yes")
        .env("OPENAI_API_KEY", "sk-x")
        .start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 10) AS i CREATE (:Doc {text: toString(i)})");
    let tally = redis.run("kb");
    assert_eq!(tally.counts(), [10, 0, 0, 0, 10]);
    assert!(tally.text("error").contains("127.0.0.1"), "{}", tally.text("error"));
    let service = Service::start(8);
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.base-url", &service.url()]);
    let filled = "MATCH (n) RETURN count(n.embedding)";
    wait_for("the vectors", || (redis.number("kb", filled) == 10).then_some(()));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Service::start(8);
    let target = elsewhere.url();
    let service = Service::scripted(8, move |_| {
        Answer::Status(307, vec![("location", format!("{target}/embeddings"))], String::new())
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    assert_eq!(redis.run("kb").counts(), [1, 0, 0, 0, 1]);
    assert!(elsewhere.requests().is_empty(), "the key went elsewhere");
}

#[test]
fn the_engines_limits_are_lived_with() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 500) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["GRAPH.CONFIG", "SET", "RESULTSET_SIZE", "10"]);
    redis.call::<String>(&["GRAPH.CONFIG", "SET", "TIMEOUT", "1000"]);
    let tally = testkit::harness::Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "60000"]));
    assert_eq!(tally.counts(), [500, 500, 0, 0, 0]);
}

#[test]
fn memory_that_is_full_pauses_the_fill() {
    let service = Service::start(64);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 50) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = redis.error(&["VECTORFILL.RUN", "kb"]);
    assert!(error.starts_with("OOM "), "{error}");
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "0"]);
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "1"]);
    service.release();
    wait_for("the pause", || (redis.status().text("state") == "paused").then_some(()));
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding)"), 0);
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "0"]);
    wait_for("the end", || (redis.status().text("state") == "idle").then_some(()));
    assert_eq!(redis.status().get("totals").counts(), [50, 50, 0, 0, 0]);
}

#[test]
fn a_service_that_refuses_everything_blames_no_node_even_after_it_has_worked() {
    let service = Service::scripted(8, |request| match request.number {
        0..4 => Answer::Vectors,
        _ => refusal(400, "Budget has been exceeded"),
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 200) AS i CREATE (:Doc {text: toString(i)})");
    assert_eq!(redis.run("kb").counts(), [200, 200, 0, 0, 0]);
    redis.query("kb", "UNWIND range(1, 400) AS i CREATE (:Doc {text: 'later ' + toString(i)})");
    let [selected, written, _, quarantined, deferred] = redis.run("kb").counts();
    assert_eq!((written, quarantined, deferred), (0, 0, selected));
    let embedder = redis.status().get("embedder");
    assert_eq!(embedder.text("state"), "rejected");
    assert!(embedder.text("reason").contains("Budget"), "{}", embedder.text("reason"));
    // Eight batches, their halves, and a probe: not every text on its own.
    assert!(service.requests().len() <= 4 + 8 * 3 + 1, "{}", service.requests().len());
}

#[test]
fn a_text_the_service_always_stumbles_over_is_set_aside_and_keeps_no_other_waiting() {
    let service = Service::scripted(8, |request| {
        if request.texts.iter().any(|text| text == "stumble") {
            return refusal(500, "internal error");
        }
        Answer::Vectors
    });
    let server = Setup::with(&service).set("max-attempts", "2").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 7) AS i CREATE (:Doc {text: toString(i)})");
    redis.query("kb", "CREATE (:Doc {text: 'stumble'})");
    assert_eq!(redis.run("kb").counts(), [8, 7, 0, 1, 0]);
}

#[test]
fn a_lone_text_that_is_refused_is_told_from_a_bad_request_by_a_probe() {
    let service = Service::scripted(8, |request| {
        if request.texts == ["poison"] { refusal(400, "no") } else { Answer::Vectors }
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'poison'})");
    assert_eq!(redis.run("kb").counts(), [1, 0, 0, 1, 0]);
    assert_eq!(redis.status().get("embedder").text("state"), "ready");
}

/// A fill whose vectors have come and not been written yet.
fn held_up(server: &Server, service: &Service) -> Redis {
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis
}

/// Nothing is written, for a reason that STATUS tells, until `cure` is applied.
fn is_paused(redis: &mut Redis, code: &str, cure: &[&str]) {
    wait_for("the pause", || (redis.status().text("state") == "paused").then_some(()));
    let reason = redis.status().text("reason");
    assert!(reason.contains(code), "{reason}");
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding)"), 0);
    redis.call::<String>(cure);
    wait_for("the vectors", || {
        (redis.number("kb", "MATCH (n) RETURN count(n.embedding)") == 20).then_some(())
    });
}

#[test]
fn too_few_replicas_stop_our_writes_like_anybodys() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = held_up(&server, &service);
    redis.call::<String>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    service.release();
    is_paused(&mut redis, "NOREPLICAS", &["CONFIG", "SET", "min-replicas-to-write", "0"]);
}

#[test]
fn a_snapshot_that_failed_stops_our_writes_like_anybodys() {
    let service = Service::start(8);
    let setup = Setup::with(&service).arg("--dbfilename", "taken.rdb");
    // No snapshot can take the name of a directory that is not empty.
    let folder = setup.folder().join("taken.rdb");
    let server = setup.start();
    fs::create_dir_all(folder.join("full")).unwrap();
    let mut redis = held_up(&server, &service);
    redis.call::<String>(&["CONFIG", "SET", "save", "3600 1"]);
    redis.call::<String>(&["BGSAVE"]);
    wait_for("the failed snapshot", || {
        let info: String = redis.call(&["INFO", "persistence"]);
        info.contains("rdb_last_bgsave_status:err").then_some(())
    });
    service.release();
    is_paused(&mut redis, "MISCONF", &["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
}

#[test]
fn a_vector_for_everything_is_stored_and_warned_of_once_per_embedder() {
    let broken = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&broken);
    let service = Service::scripted(8, move |request| {
        if !now.load(Ordering::Relaxed) {
            return Answer::Vectors;
        }
        let item = |index| json!({ "index": index, "embedding": vec![0.5; 8] });
        Answer::Body(json!({ "data": (0..request.texts.len()).map(item).collect::<Vec<_>>() }))
    });
    let server = Setup::with(&service).arg("--enable-protected-configs", "yes").start();
    let mut redis = server.connect();
    let told = |redis: &mut Redis| {
        let warning = redis.status().get("embedder").text("warning");
        warning.contains("different texts were given the same vector")
    };
    let logged = || server.log().matches("embedder warning=").count();
    let fill = |redis: &mut Redis, nodes: i64, text: &str| {
        let text = format!("'{text}' + toString(i)");
        redis.query("kb", &format!("UNWIND range(1, {nodes}) AS i CREATE (:Doc {{text: {text}}})"));
        assert_eq!(redis.run("kb").counts(), [nodes, nodes, 0, 0, 0]);
    };
    // Too few to tell.
    fill(&mut redis, 10, "a");
    assert!(!told(&mut redis));
    fill(&mut redis, 60, "b");
    fill(&mut redis, 60, "c");
    assert!(told(&mut redis) && redis.status().get("embedder").text("state") == "ready");
    assert_eq!(logged(), 1);
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.model", "another"]);
    // The pass that a new model begins is over.
    redis.run("kb");
    fill(&mut redis, 60, "d");
    assert_eq!(logged(), 2);
    broken.store(false, Ordering::Relaxed);
    fill(&mut redis, 10, "e");
    assert!(!told(&mut redis));
}
