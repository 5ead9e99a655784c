//! Nodes a second and the longest PING, on a real server and a scripted service: `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    missing_debug_implementations,
    unreachable_pub,
    dead_code,
    reason = "a measurement that cannot go on says where; the harness is shared with the tests"
)]

#[path = "../tests/it/harness.rs"]
mod harness;
#[path = "../tests/it/service.rs"]
mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use harness::{Redis, Server, Setup};
use service::{Answer, Service, paced};

const NODES: usize = 10_000;
const DIMENSIONS: usize = 1_536;
const ROUNDS: usize = 3;
/// The service of the comparison: 50 ms a request and 0.2 ms a text.
const BASE: Duration = Duration::from_millis(50);
const EACH: Duration = Duration::from_micros(200);

fn start(service: &Service, indexed: bool) -> (Server, Redis) {
    let server = Setup::with(service).start();
    let mut redis = server.connect();
    let create =
        format!("UNWIND range(1, {NODES}) AS i CREATE (:Doc {{text: 'some text ' + toString(i)}})");
    redis.query("kb", &create);
    if indexed {
        redis.query("kb", &format!(
            "CREATE VECTOR INDEX FOR (n:Doc) ON (n.embedding) OPTIONS {{dimension: {DIMENSIONS}, similarityFunction: 'cosine'}}"
        ));
    }
    (server, redis)
}

/// Seconds from RUN until the last vector is readable; the index is built after that.
fn fill(server: &Server, redis: &mut Redis) -> f64 {
    let begun = Instant::now();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    let mut watcher = server.connect();
    loop {
        let graph = watcher.status().get("graphs");
        if graph.keys().contains(&"kb".to_owned())
            && graph.get("kb").number("embedded") >= NODES as i64
        {
            return begun.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends PING every millisecond; gives all answer times.
fn pinger(server: &Server, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<Duration>> {
    let (mut redis, stop) = (server.connect(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut times = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            redis.call::<String>(&["PING"]);
            times.push(begun.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        times.sort();
        times
    })
}

fn pings(server: &Server, work: impl FnOnce()) -> (Duration, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let pinger = pinger(server, &stop);
    work();
    stop.store(true, Ordering::Relaxed);
    let times = pinger.join().unwrap();
    let at = times.len() * 999 / 1_000;
    (times[at.min(times.len() - 1)], *times.last().unwrap())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000.0)
}

fn fills(indexed: bool) {
    let (mut quiet, mut watched, mut p999, mut longest) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let service = paced(DIMENSIONS, BASE, EACH);
        let (server, mut redis) = start(&service, indexed);
        quiet.push(NODES as f64 / fill(&server, &mut redis));
        let service = paced(DIMENSIONS, BASE, EACH);
        let (server, mut redis) = start(&service, indexed);
        let mut seconds = 0.0;
        let (tail, worst) = pings(&server, || seconds = fill(&server, &mut redis));
        watched.push(NODES as f64 / seconds);
        p999.push(tail.as_secs_f64());
        longest.push(worst.as_secs_f64());
    }
    let index = if indexed { "present" } else { "created after" };
    println!(
        "| {index} | {:.0} | {:.0} | {} | {} |",
        median(quiet),
        median(watched),
        ms(Duration::from_secs_f64(median(p999))),
        ms(Duration::from_secs_f64(median(longest))),
    );
}

fn idle() {
    let service = paced(DIMENSIONS, BASE, EACH);
    let (server, _redis) = start(&service, false);
    let (tail, longest) = pings(&server, || std::thread::sleep(Duration::from_secs(5)));
    println!("| no fill | | | {} | {} |", ms(tail), ms(longest));
}

fn hang() {
    let service = Service::scripted(DIMENSIONS, |_| {
        std::thread::sleep(Duration::from_secs(10));
        Answer::Vectors
    });
    let (server, mut redis) = start(&service, false);
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(8);
    let (tail, longest) = pings(&server, || std::thread::sleep(Duration::from_secs(9)));
    println!("| none: the service hangs for 10 s | | | {} | {} |", ms(tail), ms(longest));
}

fn main() {
    println!("{NODES} nodes, {DIMENSIONS} dimensions, medians of {ROUNDS}\n");
    println!("| index | nodes/s | nodes/s with PING | PING p99.9 ms | longest PING ms |");
    println!("|---|---|---|---|---|");
    idle();
    fills(false);
    fills(true);
    hang();
}
