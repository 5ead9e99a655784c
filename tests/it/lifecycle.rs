//! Loading, unloading, stopping, starting again.

use std::time::Duration;

use testkit::harness::{Address as _, Engine, Redis, Setup, module, wait_for};
use testkit::service::Service;

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";

fn idle(redis: &mut Redis) {
    wait_for("idle", || (redis.status().text("state") == "idle").then_some(()));
}

#[test]
fn the_module_may_be_loaded_before_or_after_the_engine() {
    for engine in [Engine::Before, Engine::After] {
        let service = Service::start(8);
        let server = Setup::with(&service).engine(engine).start();
        let mut redis = server.connect();
        idle(&mut redis);
        redis.query("kb", "CREATE (:Doc {text: 'a'})");
        assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
    }
}

#[test]
fn a_plain_http_service_needs_no_certificates() {
    let service = Service::start(8);
    let nowhere = "/no/such/place";
    let server =
        Setup::with(&service).env("SSL_CERT_FILE", nowhere).env("SSL_CERT_DIR", nowhere).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
}

#[test]
fn a_pass_runs_at_load_and_then_every_interval() {
    let service = Service::start(8);
    let mut server = Setup::with(&service).arg("--appendonly", "yes").set("interval", "1").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    wait_for("a scheduled pass", || (redis.number("kb", FILLED) == 1).then_some(()));
    redis.query("kb", "CREATE (:Doc {text: 'b'})");
    wait_for("the next one", || (redis.number("kb", FILLED) == 2).then_some(()));
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.interval", "0"]);
    redis.query("kb", "CREATE (:Doc {text: 'c'})");
    server.kill();
    server.start_again();
    let mut redis = server.connect();
    wait_for("the pass at load", || (redis.number("kb", FILLED) == 3).then_some(()));
}

#[test]
fn disabled_means_that_nothing_new_starts() {
    let service = Service::start(8);
    let server = Setup::with(&service).set("concurrency", "1").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 200) AS i CREATE (:Doc {text: toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.enabled", "no"]);
    service.release();
    wait_for("disabled", || (redis.status().text("state") == "disabled").then_some(()));
    assert_eq!(service.requests().len(), 1);
    assert_eq!(redis.number("kb", FILLED), 50, "what was in flight is written");
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.enabled", "yes"]);
    wait_for("the rest", || (redis.number("kb", FILLED) == 200).then_some(()));
}

#[test]
fn an_idle_module_can_be_unloaded_and_loaded_again() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    for round in 1..=5 {
        redis.query("kb", "CREATE (:Doc {text: 'a'})");
        assert_eq!(redis.run("kb").number("written"), 1);
        idle(&mut redis);
        redis.call::<String>(&["MODULE", "UNLOAD", "vectorfill"]);
        assert!(redis.try_call::<String>(&["VECTORFILL.RUN"]).is_err());
        redis.query("kb", "RETURN 1");
        let (path, url) = (module(), service.url());
        let path = path.to_string_lossy();
        let load =
            ["MODULE", "LOAD", &path, "base-url", &url, "interval", "0", "wake-on-write", "no"];
        redis.call::<String>(&load);
        wait_for("the worker", || (redis.status().text("state") == "idle").then_some(()));
        assert_eq!(redis.number("kb", FILLED), round);
    }
    assert_eq!(redis.run("kb").counts(), [0; 5]);
}

#[test]
fn a_busy_module_refuses_to_be_unloaded_and_goes_on() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    assert!(redis.try_call::<String>(&["MODULE", "UNLOAD", "vectorfill"]).is_err());
    assert!(server.log().contains("vectorfill.enabled no"), "the log says what to do");
    service.release();
    wait_for("the vectors", || (redis.number("kb", FILLED) == 20).then_some(()));
    idle(&mut redis);
    redis.call::<String>(&["MODULE", "UNLOAD", "vectorfill"]);
}

#[test]
fn a_server_killed_while_filling_starts_again_and_finishes() {
    let service = testkit::service::paced(8, Duration::from_millis(20), Duration::ZERO);
    let setup = Setup::with(&service).arg("--appendonly", "yes").arg("--appendfsync", "always");
    let mut server = setup.set("concurrency", "2").set("batch-size", "10").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 600) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    wait_for("half of it", || (redis.number("kb", FILLED) > 200).then_some(()));
    server.kill();
    server.start_again();
    let mut redis = server.connect();
    wait_for("all of it", || (redis.number("kb", FILLED) == 600).then_some(()));
}

#[test]
fn a_shutdown_does_not_wait_for_the_service() {
    let service = Service::start(8);
    let mut server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    let begun = std::time::Instant::now();
    redis.try_call::<String>(&["SHUTDOWN", "NOSAVE"]).ok();
    assert!(server.wait_exit().success());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_reload_of_the_data_in_the_middle_loses_nothing() {
    let service = testkit::service::paced(8, Duration::from_millis(10), Duration::ZERO);
    let mut server = Setup::with(&service).set("batch-size", "10").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 400) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    wait_for("a part of it", || (redis.number("kb", FILLED) > 50).then_some(()));
    redis.call::<String>(&["DEBUG", "RELOAD"]);
    assert!(server.is_alive());
    wait_for("all of it", || (redis.number("kb", FILLED) == 400).then_some(()));
}

/// From Redis 8.6 on, a command that one of its threads has read and not run yet would be run by what is
/// no longer there.
#[test]
fn beside_io_threads_and_clients_the_module_stays() {
    let service = Service::start(8);
    let mut server = Setup::with(&service).arg("--io-threads", "4").start();
    let (mut redis, mut other) = (server.connect(), server.connect());
    idle(&mut redis);
    other.call::<String>(&["PING"]);
    redis.error(&["MODULE", "UNLOAD", "vectorfill"]);
    assert!(server.log().contains("io-threads is above 1"), "{}", server.log());
    drop(other);
    wait_for("the other client to be gone", || {
        let info: String = redis.call(&["INFO", "clients"]);
        info.contains("connected_clients:1\r").then_some(())
    });
    redis.call::<String>(&["MODULE", "UNLOAD", "vectorfill"]);
    assert!(server.is_alive());
}
