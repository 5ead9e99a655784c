//! How soon a new node has its vector, in a graph of few finished nodes and of many.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::chart::{Chart, Scale};
use crate::options::{Options, SHORT};
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Stage, numbers};
use crate::stats::{Samples, ms, number, quantile};
use testkit::harness::{LIMIT, Redis};

const EVERY: Duration = Duration::from_millis(100);
/// So many times longer than others are watched: the slowest hundredth is to be more than one node.
const LONGER: u32 = 3;
/// How often somebody looks for the vectors: as much as the figures can be too large by.
const LOOK: Duration = Duration::from_millis(4);

/// A node that was created, and when that was asked for.
type Created = (i64, Instant);

pub fn measure(options: &Options) {
    let about = format!(
        "From CREATE to the vector being readable, in milliseconds, with {} creates a second for {} \
         s, less the {} ms the service takes for one text. Wake-on-write, all settings at their \
         defaults.",
        1_000 / EVERY.as_millis(),
        (options.watch * LONGER).as_secs(),
        number(ms(Latency::COMMON.of(1)))
    );
    let mut section = Section::new("fresh", "From CREATE to the vector", &about);
    section.head(&["finished nodes", "p50, ms", "p99, ms", "longest, ms", "nodes looked at"]);
    let mut chart = Chart::new("From CREATE to the vector", "ms", Scale::Logarithmic);
    for &finished in &options.fresh {
        let times = fresh(options, finished);
        let [p50, p99, longest] = [500, 990, 1_000].map(|part| ms(quantile(&times, part)));
        let figures = [p50, p99, longest].map(number);
        let mut cells = vec![number(finished as f64)];
        cells.extend(figures);
        cells.push(times.len().to_string());
        section.row(&cells);
        for (name, value) in [("p50", p50), ("p99", p99)] {
            let mut samples = Samples::default();
            samples.push(value);
            chart.bar(format!("vectorfill, {} nodes, {name}", number(finished as f64)), &samples);
        }
    }
    section.chart(chart);
    section.finish();
}

/// The times of all nodes, shortest first.
fn fresh(options: &Options, finished: usize) -> Vec<Duration> {
    let service = Service::start(SHORT, Latency::COMMON);
    let mut stage = Stage::empty(options, &service);
    stage.create_finished(finished, SHORT);
    // The pass that finds nothing to do is not what is measured.
    stage.run();
    stage.configure("interval", "300");
    stage.configure("wake-on-write", "yes");
    let (created, arrivals) = channel();
    let mut watcher = stage.server.connect();
    let watching = std::thread::spawn(move || watch(&mut watcher, &arrivals));
    let begun = Instant::now();
    for turn in 0.. {
        let due = begun + EVERY * turn;
        if due >= begun + options.watch * LONGER {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        created.send(create(&mut stage.redis, turn)).unwrap();
    }
    drop(created);
    let mut times = watching.join().unwrap();
    times.sort();
    times
}

fn create(redis: &mut Redis, turn: u32) -> Created {
    let query = format!("CREATE (n:Doc {{text: 'a fresh text {turn}'}}) RETURN ID(n)");
    let begun = Instant::now();
    (numbers(redis, "GRAPH.QUERY", &query)[0], begun)
}

/// Looks for the vectors of all nodes that were created, until there are no more.
fn watch(redis: &mut Redis, arrivals: &Receiver<Created>) -> Vec<Duration> {
    let service = Latency::COMMON.of(1);
    let (mut waiting, mut times): (VecDeque<Created>, _) = (VecDeque::new(), Vec::new());
    loop {
        waiting.extend(arrivals.try_iter());
        if waiting.is_empty() {
            // The last sender is gone once the last node was created.
            let Ok(created) = arrivals.recv() else { return times };
            waiting.push_back(created);
        }
        let filled = filled(redis, &waiting);
        let now = Instant::now();
        let done = |(id, _): &Created| filled.contains(id);
        let took = waiting.iter().filter(|created| done(created));
        times.extend(took.map(|(_, at)| (now - *at).saturating_sub(service)));
        waiting.retain(|created| !done(created));
        let oldest = waiting.front().map_or(Duration::ZERO, |(_, at)| at.elapsed());
        assert!(oldest < LIMIT, "a node has waited for its vector for {oldest:?}");
        std::thread::sleep(LOOK);
    }
}

/// Which of these nodes have their vector.
fn filled(redis: &mut Redis, waiting: &VecDeque<Created>) -> Vec<i64> {
    let ids: Vec<String> = waiting.iter().map(|(id, _)| id.to_string()).collect();
    let query = format!(
        "CYPHER ids=[{}] UNWIND $ids AS i MATCH (n) WHERE ID(n) = i AND n.embedding IS NOT NULL \
         RETURN i",
        ids.join(",")
    );
    // A GRAPH.QUERY would be taken for a write, and wake the filler.
    numbers(redis, "GRAPH.RO_QUERY", &query)
}
