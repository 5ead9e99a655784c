//! Other clients of the server: one that sends PING, and readers of the graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::stage::{GRAPH, Stage};
use crate::stats::quantile;
use testkit::harness::{Redis, Server};

const PACE: Duration = Duration::from_millis(1);

/// Something that is repeated on a thread of its own until it is stopped.
pub struct Client<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Client<T> {
    /// `turn` is given what it has gathered so far.
    pub fn start(server: &Server, mut turn: impl FnMut(&mut Redis, &mut T) + Send + 'static) -> Self
    where
        T: Default,
    {
        let (mut redis, stop) = (server.connect(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut gathered = T::default();
            while !stopped.load(Ordering::Relaxed) {
                turn(&mut redis, &mut gathered);
            }
            gathered
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Answer times of PING.
pub struct Pings(Vec<Duration>);

impl Pings {
    /// Sends PING every millisecond while `work` is done.
    pub fn during<R>(stage: &mut Stage, work: impl FnOnce(&mut Stage) -> R) -> (Self, R) {
        let client = Client::start(&stage.server, |redis, times: &mut Vec<Duration>| {
            let begun = Instant::now();
            redis.call::<String>(&["PING"]);
            note(times, begun.elapsed());
            std::thread::sleep(PACE);
        });
        let result = work(stage);
        let mut times = client.stop();
        times.sort();
        (Self(times), result)
    }

    pub fn p999(&self) -> Duration {
        quantile(&self.0, 999)
    }

    pub fn longest(&self) -> Duration {
        quantile(&self.0, 1_000)
    }
}

/// A PING that took 40 ms stands for the 39 others that could not be sent meanwhile: without them,
/// the longer the server hangs the less it would count.
fn note(times: &mut Vec<Duration>, took: Duration) {
    let mut left = took;
    loop {
        times.push(left);
        let Some(shorter) = left.checked_sub(PACE).filter(|shorter| *shorter > PACE) else {
            return;
        };
        left = shorter;
    }
}

/// Runs small queries one after the other; counts them.
pub fn small_reads(server: &Server) -> Client<usize> {
    Client::start(server, |redis, count: &mut usize| {
        *count += 1;
        let node = *count % 1_000;
        redis.number(GRAPH, &small_read(node));
    })
}

/// A query that finds its one node at once.
pub fn small_read(node: usize) -> String {
    format!("CYPHER i={node} MATCH (n) WHERE ID(n) = $i RETURN n.id")
}

/// A query that runs for about so long on an idle machine, whatever the graph. Two short ranges and
/// not a long one: that is made before the query takes the lock which a write waits for.
pub fn long_read(redis: &mut Redis, lasting: Duration) -> String {
    let count = |rows: u64| {
        format!("UNWIND range(1, {rows}) AS a UNWIND range(1, 1000) AS b RETURN count(b)")
    };
    let tried = 3_000;
    let begun = Instant::now();
    redis.number(GRAPH, &count(tried));
    count((tried as f64 * lasting.as_secs_f64() / begun.elapsed().as_secs_f64()) as u64)
}

/// Runs a long query, pauses, and begins again.
pub fn long_reads(server: &Server, query: String, pause: Duration) -> Client<usize> {
    Client::start(server, move |redis, count: &mut usize| {
        redis.number(GRAPH, &query);
        *count += 1;
        std::thread::sleep(pause);
    })
}
