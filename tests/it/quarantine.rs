//! Quarantined nodes: listed, released by an edit, lifted by a user.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::Value;

use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service};

const REFUSAL: &str = r#"{"error":{"message":"this text is not allowed"}}"#;

/// A service that refuses texts with "poison", until it is told to take them.
fn strict() -> (Service, Arc<AtomicBool>) {
    let lenient = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&lenient);
    let service = Service::scripted(8, move |request| {
        let poison = request.texts.iter().any(|text| text.contains("poison"));
        if poison && !switch.load(Ordering::Relaxed) {
            return Answer::Status(400, vec![], REFUSAL.into());
        }
        Answer::Vectors
    });
    (service, lenient)
}

/// Ten good nodes and `poisons` that are refused, all tried once.
fn filled(service: &Service, poisons: i64) -> (Server, Redis) {
    let server = Setup::with(service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 10) AS i CREATE (:Doc {text: 'good ' + toString(i)})");
    redis.query(
        "kb",
        &format!("UNWIND range(1, {poisons}) AS i CREATE (:Doc {{text: 'poison ' + toString(i)}})"),
    );
    assert_eq!(redis.run("kb").counts(), [10 + poisons, 10, 0, poisons, 0]);
    (server, redis)
}

fn failures(redis: &mut Redis, words: &[&str]) -> Vec<(i64, String)> {
    let command = [&["VECTORFILL.FAILURES", "kb"], words].concat();
    redis.call(&command)
}

#[test]
fn failures_lists_quarantined_nodes_with_the_services_words() {
    let (service, _) = strict();
    let (_server, mut redis) = filled(&service, 5);
    let all = failures(&mut redis, &[]);
    assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert_eq!(all[0].1, "the service answered 400: this text is not allowed");
    assert_eq!(failures(&mut redis, &["COUNT", "2"]), all[..2]);
    for (words, expected) in [
        (vec!["VECTORFILL.FAILURES", "nothing"], "NOGRAPH there is no graph 'nothing'"),
        (vec!["VECTORFILL.FAILURES", "kb", "COUNT", "0"], "ERR COUNT '0': a whole number from 1"),
        (vec!["VECTORFILL.FAILURES", "kb", "LIMIT", "5"], "ERR syntax"),
        (vec!["VECTORFILL.RETRY", "nothing"], "NOGRAPH"),
        (vec!["VECTORFILL.RETRY", "kb", "x"], "ERR id 'x': a whole number from 0"),
        (vec!["VECTORFILL.RETRY", "kb", "-1"], "ERR id '-1'"),
    ] {
        let error = redis.error(&words);
        assert!(error.starts_with(expected), "{words:?}: {error}");
    }
}

#[test]
fn an_edit_of_the_text_releases_a_node_at_the_next_pass() {
    let (service, _) = strict();
    let (_server, mut redis) = filled(&service, 3);
    redis.query("kb", "MATCH (n) WHERE ID(n) = 11 SET n.text = 'mended'");
    redis.query("kb", "MATCH (n) WHERE ID(n) = 12 SET n.text = 'poison again'");
    assert_eq!(redis.run("kb").counts(), [2, 1, 0, 1, 0], "the third is left alone");
    assert_eq!(redis.number("kb", "MATCH (n) WHERE ID(n) = 11 RETURN count(n.embedding)"), 1);
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding_error)"), 2);
    let status = redis.graph_status("kb");
    assert_eq!((status.number("quarantined"), status.number("pending")), (2, 0));
    assert_eq!(redis.run("kb").counts(), [0; 5]);
}

#[test]
fn a_mark_set_by_hand_keeps_a_node_out_until_it_is_lifted() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'private', embedding_error: 'not this one'})");
    redis.query("kb", "CREATE (:Doc {text: 'number', embedding_error: 7})");
    assert_eq!(redis.run("kb").counts(), [0; 5]);
    redis.query("kb", "MATCH (n {text: 'private'}) SET n.text = 'still private'");
    assert_eq!(redis.run("kb").counts(), [0; 5]);
    assert_eq!(failures(&mut redis, &[]), [(0, "not this one".into()), (1, "7".into())]);
    assert!(service.requests().is_empty());
    assert_eq!(redis.call::<i64>(&["VECTORFILL.RETRY", "kb"]), 2);
    wait_for("the vectors", || {
        (redis.number("kb", "MATCH (n) RETURN count(n.embedding)") == 2).then_some(())
    });
}

#[test]
fn retry_tries_all_or_the_named_nodes_again_at_once() {
    let (service, lenient) = strict();
    // More than one window and one write.
    let (_server, mut redis) = filled(&service, 300);
    lenient.store(true, Ordering::Relaxed);
    let filled = "MATCH (n) RETURN count(n.embedding)";
    assert_eq!(redis.call::<i64>(&["VECTORFILL.RETRY", "kb", "10", "11", "3", "99999"]), 2);
    wait_for("the two", || (redis.number("kb", filled) == 12).then_some(()));
    assert_eq!(redis.call::<i64>(&["VECTORFILL.RETRY", "kb"]), 298);
    wait_for("the others", || (redis.number("kb", filled) == 310).then_some(()));
    wait_for("the figures", || {
        let status = redis.graph_status("kb");
        ((status.number("quarantined"), status.number("pending")) == (0, 0)).then_some(())
    });
    assert_eq!(failures(&mut redis, &[]), []);
}

#[test]
fn poison_in_front_of_good_nodes_does_not_hold_them_up() {
    let (service, _) = strict();
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 600) AS i CREATE (:Doc {text: 'poison ' + toString(i)})");
    redis.query("kb", "UNWIND range(1, 1000) AS i CREATE (:Doc {text: 'good ' + toString(i)})");
    assert_eq!(redis.run("kb").counts(), [1600, 1000, 0, 600, 0]);
    let sent = service.requests().len();
    // Each poison alone, the half above it, and once more beside a probe, which several share.
    assert!(sent <= 20 + 4 * 600, "{sent} requests");
}

#[test]
fn the_quarantine_can_be_read_on_a_replica_and_lifted_only_on_its_master() {
    let (service, _) = strict();
    let (server, mut master) = filled(&service, 2);
    let replica = Setup::with(&service).start();
    let mut redis = replica.connect();
    redis.call::<Value>(&["REPLICAOF", "127.0.0.1", &server.port.to_string()]);
    wait_for("the replica", || {
        (redis.try_call::<Vec<(i64, String)>>(&["VECTORFILL.FAILURES", "kb"]).ok()?.len() == 2)
            .then_some(())
    });
    let error = redis.error(&["VECTORFILL.RETRY", "kb"]);
    assert!(error.starts_with("READONLY"), "{error}");
    assert_eq!(failures(&mut master, &[]).len(), 2);
}
