//! The server never waits for us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service, paced};

/// Sends PING without end; gives the answer times, the longest first.
fn pinger(server: &Server, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<Duration>> {
    let (mut redis, stop) = (server.connect(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut times = vec![Duration::ZERO];
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            redis.call::<String>(&["PING"]);
            times.push(begun.elapsed());
        }
        times.sort_unstable_by(|a, b| b.cmp(a));
        times
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
    let longest = pinger.join().unwrap()[0];
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
        let graphs = redis.full_status().get("graphs");
        let waiting =
            graphs.keys().contains(&"kb".to_owned()) && graphs.get("kb").text("state") == "waiting";
        waiting.then_some(())
    });
    let took = reading.join().unwrap();
    assert_eq!(filling.join().unwrap(), [400, 400, 0, 0, 0]);
    stop.store(true, Ordering::Relaxed);
    let longest = pinger.join().unwrap()[0];
    assert!(longest < took / 3, "longest PING {longest:?} during a query of {took:?}");
}

/// How long the reader's queries take, and the gap between them.
const LONG: Duration = Duration::from_millis(200);
const GAP: Duration = Duration::from_millis(50);

/// Sends `at_once` long queries, and again after a gap, until it is stopped; gives the number of
/// rounds.
fn reader(server: &Server, stop: &Arc<AtomicBool>, at_once: usize) -> JoinHandle<usize> {
    let query =
        |rows| format!("UNWIND range(1, {rows}) AS x MATCH (n) WHERE n.text = 'x' RETURN count(n)");
    let mut clients: Vec<Redis> = (0..at_once).map(|_| server.connect()).collect();
    let begun = Instant::now();
    clients[0].number("kb", &query(100));
    let long = query((LONG.as_micros() * 100 / begun.elapsed().as_micros()).max(100));
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            std::thread::scope(|scope| {
                for redis in &mut clients {
                    scope.spawn(|| redis.number("kb", &long));
                }
            });
            rounds += 1;
            std::thread::sleep(GAP);
        }
        rounds
    })
}

/// A fill by many small writes, which go into the gaps between long queries on the graph.
fn fill_in_the_gaps(at_once: usize) {
    let service = paced(64, Duration::from_millis(1), Duration::ZERO);
    let setup = Setup::with(&service).set("batch-size", "2").set("concurrency", "1");
    // The engine enables an index as soon as it is built, whoever reads meanwhile.
    let server = setup.set("auto-index", "no").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 500) AS i CREATE (:Doc {text: toString(i)})");
    let stop = Arc::new(AtomicBool::new(false));
    let (reader, pinger) = (reader(&server, &stop, at_once), pinger(&server, &stop));
    assert_eq!(redis.run("kb").counts(), [500, 500, 0, 0, 0]);
    stop.store(true, Ordering::Relaxed);
    let (times, rounds) = (pinger.join().unwrap(), reader.join().unwrap());
    let stalls: Vec<_> = times.into_iter().filter(|took| *took > LONG / 2).collect();
    assert!(rounds > 4, "it went on in the gaps");
    // The cores are not ours alone; a write that is not put off stalls in every second or third.
    assert!(stalls.len() * 5 <= rounds, "{rounds} rounds, PINGs of {stalls:?}");
}

#[test]
fn long_queries_one_after_another_stop_neither_the_fill_nor_the_server() {
    fill_in_the_gaps(1);
}

#[test]
fn long_queries_two_at_once_stop_neither_the_fill_nor_the_server() {
    fill_in_the_gaps(2);
}

#[test]
fn clients_that_write_during_a_fill_never_stop_the_server() {
    let service = paced(64, Duration::from_millis(1), Duration::ZERO);
    let server = Setup::with(&service).set("batch-size", "10").set("auto-index", "no").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 2000) AS i CREATE (:Doc {i: i, text: toString(i)})");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = |client| {
        let (mut redis, stop) = (server.connect(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut i = 0;
            while !stop.load(Ordering::Relaxed) {
                i += 1;
                let set = format!("MATCH (n:Doc {{i: {}}}) SET n.note{client} = {i}", i % 2_000);
                redis.query("kb", &set);
            }
        })
    };
    let writers: Vec<_> = (0..4).map(writer).collect();
    let pinger = pinger(&server, &stop);
    assert_eq!(redis.run("kb").counts(), [2_000, 2_000, 0, 0, 0]);
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let longest = pinger.join().unwrap()[0];
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

/// Five thousand nodes of a label: their index is built for more than a second.
fn label(redis: &mut Redis, label: &str) {
    let texts = format!("UNWIND range(1, 5000) AS i CREATE (:{label} {{text: '{label} ' + i}})");
    redis.query("kb", &texts);
}

#[test]
fn an_index_is_not_created_while_another_is_built() {
    let service = Service::start(256);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    label(&mut redis, "Doc");
    label(&mut redis, "Note");
    let stop = Arc::new(AtomicBool::new(false));
    let pinger = pinger(&server, &stop);
    assert_eq!(redis.run("kb").number("written"), 10_000);
    stop.store(true, Ordering::Relaxed);
    let longest = pinger.join().unwrap()[0];
    assert!(longest < Duration::from_millis(300), "{longest:?}");
    let ready = "CALL db.indexes() YIELD status WHERE status = 'OPERATIONAL' RETURN count(status)";
    assert_eq!(redis.number("kb", ready), 2);
}

#[test]
fn nothing_is_written_while_an_index_is_built() {
    let service = Service::start(256);
    let server = Setup::with(&service).set("auto-index", "no").start();
    let mut redis = server.connect();
    label(&mut redis, "Doc");
    redis.run("kb");
    redis.query("kb", "CREATE (:Doc {text: 'later'})");
    redis.query("kb", "CREATE VECTOR INDEX FOR (n:Doc) ON (n.embedding) OPTIONS {dimension: 256, similarityFunction: 'cosine'}");
    let stop = Arc::new(AtomicBool::new(false));
    let pinger = pinger(&server, &stop);
    assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
    stop.store(true, Ordering::Relaxed);
    let longest = pinger.join().unwrap()[0];
    assert!(longest < Duration::from_millis(300), "{longest:?}");
}
