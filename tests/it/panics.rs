//! A panic anywhere in the module leaves the server serving, and is told.

use redis::Value;

use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::Service;

fn start(service: &Service) -> (Server, Redis) {
    let server = Setup::with(service).with_injection().start();
    let redis = server.connect();
    (server, redis)
}

fn arm(redis: &mut Redis, point: &str) {
    redis.call::<String>(&["VECTORFILL.INJECT", point]);
}

/// Fills ten more nodes.
fn still_works(redis: &mut Redis) {
    redis.query("kb", "UNWIND range(1, 10) AS i CREATE (:Doc {text: toString(rand())})");
    assert_eq!(redis.run("kb").counts(), [10, 10, 0, 0, 0]);
}

#[test]
fn a_panic_in_a_command_is_an_error_reply() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    arm(&mut redis, "command");
    let error = redis.error(&["VECTORFILL.STATUS"]);
    assert!(error.starts_with("ERR vectorfill failed unexpectedly"), "{error}");
    still_works(&mut redis);
}

#[test]
fn a_panic_in_the_command_filter_costs_no_command() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    arm(&mut redis, "filter");
    assert_eq!(redis.call::<String>(&["PING"]), "PONG");
    still_works(&mut redis);
}

#[test]
fn a_panic_in_an_event_handler_costs_no_event() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    arm(&mut redis, "event");
    redis.call::<Value>(&["FLUSHALL"]);
    still_works(&mut redis);
}

#[test]
fn a_panic_while_an_answer_of_the_engine_is_read_costs_one_try() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    arm(&mut redis, "reply");
    still_works(&mut redis);
}

#[test]
fn a_panic_on_the_http_runtime_costs_one_try() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    arm(&mut redis, "http");
    still_works(&mut redis);
    assert_eq!(redis.status().get("embedder").number("retries"), 1);
}

#[test]
fn a_worker_that_panics_begins_anew_and_says_so() {
    let service = Service::start(8);
    let (server, mut redis) = start(&service);
    service.hold();
    redis.query("kb", "UNWIND range(1, 10) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    arm(&mut redis, "worker");
    service.release();
    wait_for("the word", || {
        redis.status().text("reason").contains("injected at Worker").then_some(())
    });
    assert!(server.log().contains("worker panicked, restarting in 1s: injected at Worker"));
    // Whoever waits is told; the pass at the new beginning finds what was left.
    wait_for("the restart", || redis.status().text("reason").contains("restarted 1").then_some(()));
    wait_for("the vectors", || {
        (redis.number("kb", "MATCH (n) RETURN count(n.embedding)") == 10).then_some(())
    });
    let info: String = redis.call(&["INFO", "vectorfill"]);
    assert!(info.contains("vectorfill_restarts:1"), "{info}");
}
