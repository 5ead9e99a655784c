//! The engine's bad days: limits, and graphs that change under a fill.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis::Value;

use crate::vectors::own_vectors;
use testkit::harness::{Redis, Server, Setup, Tally, wait_for};
use testkit::service::{Service, paced};

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";
const INDEXED: &str = "CALL db.indexes() YIELD options RETURN options.embedding.dimension";

fn start(service: &Service) -> (Server, Redis) {
    let server = Setup::with(service).start();
    let redis = server.connect();
    (server, redis)
}

fn texts(redis: &mut Redis, graph: &str, from: usize, to: usize) {
    let texts = format!("UNWIND range({from}, {to}) AS i CREATE (:Doc {{text: 'text ' + i}})");
    redis.query(graph, &texts);
}

/// Waits until `selected` nodes are settled and no pass runs; gives the totals.
fn settled(redis: &mut Redis, selected: i64) -> [i64; 5] {
    wait_for("the totals", || {
        let status = redis.status();
        let counts = status.get("totals").counts();
        (counts[0] >= selected && status.text("state") == "idle").then_some(counts)
    })
}

/// The fill is under way, and far from its end.
fn under_way(redis: &mut Redis, graph: &str) {
    redis.call::<String>(&["VECTORFILL.RUN", graph]);
    wait_for("a part of it", || (redis.number(graph, FILLED) > 20).then_some(()));
}

/// Keeps all of the engine's threads for some five seconds, and one query more waiting.
fn occupy(server: &Server, redis: &mut Redis) -> Vec<JoinHandle<()>> {
    let threads: Vec<Value> = redis.call(&["GRAPH.CONFIG", "GET", "THREAD_COUNT"]);
    let threads: usize = redis::from_redis_value(threads[1].clone()).unwrap();
    let begun = Instant::now();
    redis.query("busy", "UNWIND range(1, 300000) AS x RETURN count(x)");
    let rows = 1_500_000.0 / begun.elapsed().as_secs_f64();
    let query = format!("UNWIND range(1, {rows:.0}) AS x RETURN count(x)");
    let client = |_| {
        let (mut redis, query) = (server.connect(), query.clone());
        // The queue is full for a moment when all come at once.
        let accepted = move || redis.try_call::<Value>(&["GRAPH.RO_QUERY", "busy", &query]).ok();
        std::thread::spawn(|| drop(wait_for("a place in the queue", accepted)))
    };
    (0..=threads).map(client).collect()
}

#[test]
fn a_full_queue_of_the_engine_is_waited_for() {
    let service = Service::start(8);
    let (server, mut redis) = start(&service);
    texts(&mut redis, "kb", 1, 300);
    redis.call::<String>(&["GRAPH.CONFIG", "SET", "MAX_QUEUED_QUERIES", "1"]);
    let busy = occupy(&server, &mut redis);
    // A query that comes to a free thread waits for a moment, too.
    wait_for("a full queue", || {
        let mut listed = |kind| {
            let queries: Value = redis.call(&["GRAPH.INFO", kind]);
            format!("{queries:?}").matches("count(x)").count()
        };
        let (running, waiting) = (listed("RunningQueries"), listed("WaitingQueries"));
        (running + 1 == busy.len() && waiting == 1).then_some(())
    });
    let refused = redis.error(&["GRAPH.RO_QUERY", "busy", "RETURN 1"]);
    assert!(refused.contains("pending queries exceeded"), "{refused}");
    assert_eq!(redis.run("kb").counts(), [300, 300, 0, 0, 0]);
    busy.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn a_timeout_of_one_millisecond_for_reads_and_writes_is_lived_with() {
    let service = Service::start(256);
    // Slices as large as the budget allows are more than the engine does in a millisecond.
    let server = Setup::with(&service).set("write-budget-ms", "100").start();
    let mut redis = server.connect();
    texts(&mut redis, "kb", 1, 3_000);
    redis.query("kb", "UNWIND range(1, 200000) AS i CREATE (:Other {number: i})");
    redis.call::<String>(&["GRAPH.CONFIG", "SET", "TIMEOUT_MAX", "1"]);
    redis.call::<String>(&["GRAPH.CONFIG", "SET", "TIMEOUT_DEFAULT", "1"]);
    for query in
        ["MATCH (n) WHERE n.number > 7 RETURN count(n)", "MATCH (n:Other) SET n.number = 7"]
    {
        let error = redis.error(&["GRAPH.QUERY", "kb", query]);
        assert!(error.contains("timed out"), "{error}");
    }
    assert_eq!(redis.run("kb").counts(), [3_000, 3_000, 0, 0, 0]);
}

#[test]
fn a_graph_that_is_replaced_in_a_fill_gets_only_vectors_of_its_own() {
    let service = paced(8, Duration::from_millis(10), Duration::ZERO);
    let setup = Setup::with(&service).set("batch-size", "10").set("concurrency", "2");
    let server = setup.set("wake-on-write", "yes").start();
    let mut redis = server.connect();
    let ways: [&[&str]; 4] =
        [&["GRAPH.DELETE", "kb"], &["DEL", "kb"], &["UNLINK", "kb"], &["FLUSHALL"]];
    for (round, way) in ways.iter().enumerate() {
        let first = round * 1_000;
        texts(&mut redis, "kb", first, first + 299);
        under_way(&mut redis, "kb");
        redis.call::<Value>(way);
        texts(&mut redis, "kb", first + 300, first + 400);
        wait_for("the new vectors", || (redis.number("kb", FILLED) == 101).then_some(()));
        assert_eq!(own_vectors(&mut redis, "kb"), 101, "{way:?}");
        redis.call::<Value>(way);
    }
}

#[test]
fn a_graph_that_is_gone_in_the_middle_of_a_fill_does_not_come_back() {
    let service = paced(8, Duration::from_millis(10), Duration::ZERO);
    let server = Setup::with(&service).set("batch-size", "10").set("concurrency", "2").start();
    let mut redis = server.connect();
    let ways: [&[&str]; 3] = [&["GRAPH.DELETE", "kb"], &["FLUSHALL"], &["FLUSHDB", "ASYNC"]];
    let mut before = [0; 5];
    for (turn, way) in ways.into_iter().enumerate() {
        // Texts that are known would be written at once.
        texts(&mut redis, "kb", turn * 400 + 1, turn * 400 + 400);
        under_way(&mut redis, "kb");
        redis.call::<Value>(way);
        let totals = settled(&mut redis, before[0] + 1);
        assert_eq!(redis.call::<i64>(&["EXISTS", "kb"]), 0, "{way:?}");
        assert!(totals[1] - before[1] < 400 && totals[2] > before[2], "{way:?}: {totals:?}");
        assert_eq!(totals[3..], [0, 0], "{way:?}");
        before = totals;
    }
}

#[test]
fn a_string_set_over_a_graph_in_a_fill_stays_what_it_is() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    texts(&mut redis, "kb", 1, 60);
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(2);
    redis.call::<String>(&["SET", "kb", "a string"]);
    service.release();
    assert_eq!(settled(&mut redis, 60), [60, 0, 60, 0, 0]);
    assert_eq!(redis.call::<String>(&["GET", "kb"]), "a string");
    assert!(redis.error(&["VECTORFILL.RUN", "kb"]).starts_with("NOGRAPH "));
    assert_eq!(Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "60000"])).counts(), [0; 5]);
}

#[test]
fn a_copy_of_a_graph_is_filled() {
    let service = Service::start(8);
    let server = Setup::with(&service).set("wake-on-write", "yes").set("graphs", "copy").start();
    let mut redis = server.connect();
    texts(&mut redis, "kb", 1, 60);
    redis.call::<Value>(&["GRAPH.COPY", "kb", "copy"]);
    wait_for("the vectors", || (redis.number("copy", FILLED) == 60).then_some(()));
    assert_eq!(own_vectors(&mut redis, "copy"), 60);
    assert_eq!(redis.number("kb", FILLED), 0);
}

#[test]
fn a_graph_renamed_in_a_fill_is_filled_and_its_old_name_does_not_come_back() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    texts(&mut redis, "kb", 1, 60);
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(2);
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.wake-on-write", "yes"]);
    redis.call::<String>(&["RENAME", "kb", "moved"]);
    service.release();
    wait_for("the vectors", || (redis.number("moved", FILLED) == 60).then_some(()));
    assert_eq!(own_vectors(&mut redis, "moved"), 60);
    assert_eq!(settled(&mut redis, 120)[1..3], [60, 60]);
    assert_eq!(redis.call::<i64>(&["EXISTS", "kb"]), 0);
    assert_eq!(redis.full_status().get("graphs").keys(), ["moved"]);
}

#[test]
fn databases_swapped_in_a_fill_mix_up_no_vectors() {
    let service = Service::start(8);
    let (mut server, mut redis) = start(&service);
    texts(&mut redis, "kb", 1, 60);
    redis.call::<String>(&["SWAPDB", "0", "1"]);
    texts(&mut redis, "kb", 101, 180);
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(2);
    redis.call::<String>(&["SWAPDB", "0", "1"]);
    service.release();
    settled(&mut redis, 80);
    redis.run("kb");
    assert_eq!(own_vectors(&mut redis, "kb"), 60, "of the graph that came into database 0");
    redis.call::<String>(&["SWAPDB", "0", "1"]);
    assert_eq!(redis.number("kb", FILLED), 0, "the other was out of reach");
    redis.run("kb");
    assert_eq!(own_vectors(&mut redis, "kb"), 80);
    assert!(server.is_alive());
}

#[test]
fn an_index_that_was_dropped_is_made_again_by_the_next_run_over_all_graphs() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    texts(&mut redis, "kb", 1, 20);
    redis.run("kb");
    assert_eq!(redis.number("kb", INDEXED), 8);
    redis.query("kb", "DROP VECTOR INDEX FOR (n:Doc) ON (n.embedding)");
    assert!(redis.query("kb", INDEXED).is_empty());
    redis.call::<Value>(&["VECTORFILL.RUN", "WAIT", "60000"]);
    assert_eq!(redis.number("kb", INDEXED), 8);
}

#[test]
fn an_index_of_another_dimension_is_told_and_mended_by_dropping_it() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    texts(&mut redis, "kb", 1, 60);
    let index = "CREATE VECTOR INDEX FOR (n:Doc) ON (n.embedding) OPTIONS {dimension: 5, similarityFunction: 'cosine'}";
    redis.query("kb", index);
    let tally = redis.run("kb");
    assert_eq!((tally.number("written"), redis.number("kb", FILLED)), (0, 0));
    assert_eq!(tally.number("deferred"), tally.number("selected"));
    let told = redis.graph_status("kb").text("last_error");
    assert!(told.contains("vectors of 5 numbers") && told.contains("gives 8"), "{told}");
    assert!(service.texts().iter().all(|text| text == "ok"), "no text is paid for");
    assert_eq!(redis.status().get("embedder").text("state"), "ready", "others are served");
    redis.query("kb", "DROP VECTOR INDEX FOR (n:Doc) ON (n.embedding)");
    assert_eq!(redis.run("kb").counts(), [60, 60, 0, 0, 0]);
    assert_eq!(redis.number("kb", INDEXED), 8);
    assert_eq!(redis.status().get("embedder").text("state"), "ready");
}
