//! The server never waits for us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::{Server, Setup, wait_for};
use crate::service::{Answer, Service, paced};

/// Sends PING without end; gives the longest answer time.
fn pinger(server: &Server, stop: &Arc<AtomicBool>) -> JoinHandle<Duration> {
    let (mut redis, stop) = (server.connect(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            redis.call::<String>(&["PING"]);
            longest = longest.max(begun.elapsed());
        }
        longest
    })
}

#[test]
fn a_service_that_hangs_does_not_make_the_server_hang() {
    let service = Service::scripted(8, |_| {
        std::thread::sleep(Duration::from_secs(3));
        Answer::Vectors
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 400) AS i CREATE (:Doc {text: toString(i)})");
    let stop = Arc::new(AtomicBool::new(false));
    let pinger = pinger(&server, &stop);
    assert_eq!(redis.run("kb").counts(), [400, 400, 0, 0, 0]);
    stop.store(true, Ordering::Relaxed);
    let longest = pinger.join().unwrap();
    // A tenth of the hang: other tests share these cores.
    assert!(longest < Duration::from_millis(300), "{longest:?}");
}

#[test]
fn a_long_query_on_the_graph_makes_the_fill_wait_and_not_the_server() {
    let service = paced(64, Duration::from_millis(5), Duration::ZERO);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 400) AS i CREATE (:Doc {text: toString(i)})");
    let mut reader = server.connect();
    let reading = std::thread::spawn(move || {
        let begun = Instant::now();
        let long = "UNWIND range(0, 60000000) AS x RETURN count(x)";
        reader.call::<redis::Value>(&["GRAPH.RO_QUERY", "kb", long]);
        begun.elapsed()
    });
    wait_for("the query", || {
        let info: redis::Value = redis.call(&["GRAPH.INFO", "RunningQueries"]);
        format!("{info:?}").contains("60000000").then_some(())
    });
    let stop = Arc::new(AtomicBool::new(false));
    let pinger = pinger(&server, &stop);
    let filling = {
        let mut redis = server.connect();
        std::thread::spawn(move || redis.run("kb").counts())
    };
    wait_for("the graph to wait", || {
        let graphs = redis.status().get("graphs");
        let waiting =
            graphs.keys().contains(&"kb".to_owned()) && graphs.get("kb").text("state") == "waiting";
        waiting.then_some(())
    });
    let took = reading.join().unwrap();
    assert_eq!(filling.join().unwrap(), [400, 400, 0, 0, 0]);
    stop.store(true, Ordering::Relaxed);
    let longest = pinger.join().unwrap();
    assert!(longest < took / 3, "longest PING {longest:?} during a query of {took:?}");
}
