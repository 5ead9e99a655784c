//! Looks on: how long PING takes, and how much memory the server holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::harness::{Redis, Server};

const PAUSE: Duration = Duration::from_millis(1);

/// The server's memory at one moment, in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    pub at: Duration,
    pub rss: i64,
    /// What Redis and the engine have allocated: the data.
    pub used: i64,
    /// What their allocator holds, with its gaps.
    pub resident: i64,
}

impl Memory {
    /// What is not data: the module's own memory, code, stacks, gaps. Less than nothing while the
    /// engine has allocated pages it has not touched yet.
    pub fn beside_data(&self) -> i64 {
        self.rss - self.used
    }

    /// Without the gaps of the allocator that holds the data, which the module does not use.
    pub fn beside_allocator(&self) -> i64 {
        self.rss - self.resident
    }
}

/// Samples the memory whenever it is told to, and PING all the time.
pub struct Watch {
    begun: Instant,
    pid: u32,
    redis: Redis,
    pub samples: Vec<Memory>,
    stop: Arc<AtomicBool>,
    pings: JoinHandle<Vec<Duration>>,
}

/// The answer times of PING.
pub struct Pings {
    pub number: usize,
    pub tail: Duration,
    pub longest: Duration,
}

impl Watch {
    pub fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pings = pinger(server.connect(), Arc::clone(&stop));
        let (begun, samples) = (Instant::now(), Vec::new());
        Self { begun, pid: server.pid(), redis: server.connect(), samples, stop, pings }
    }

    pub fn sample(&mut self) -> Memory {
        let info: String = self.redis.call(&["INFO", "memory"]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let memory = Memory {
            at: self.begun.elapsed(),
            rss: field(&status, "VmRSS:") * 1_024,
            used: field(&info, "used_memory:"),
            resident: field(&info, "allocator_resident:"),
        };
        self.samples.push(memory);
        memory
    }

    /// The first sample at or after `at`, and the last.
    pub fn first_and_last(&self, at: Duration) -> (Memory, Memory) {
        let last = *self.samples.last().expect("a sample");
        (self.samples.iter().find(|memory| memory.at >= at).copied().unwrap_or(last), last)
    }

    pub fn stop(self) -> Pings {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.pings.join().expect("the server answers PING");
        times.sort_unstable();
        let number = times.len();
        Pings { number, tail: times[number * 999 / 1_000], longest: times[number - 1] }
    }
}

fn pinger(mut redis: Redis, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Duration>> {
    std::thread::spawn(move || {
        let mut times = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            redis.call::<String>(&["PING"]);
            times.push(begun.elapsed());
            std::thread::sleep(PAUSE);
        }
        times
    })
}

/// What has stopped the server longest, by cause, in milliseconds: LATENCY LATEST.
pub fn stops(redis: &mut Redis) -> Vec<(String, u64)> {
    let events: Vec<(String, u64, u64, u64)> = redis.call(&["LATENCY", "LATEST"]);
    events.into_iter().map(|(cause, _, _, longest)| (cause, longest)).collect()
}

/// The number that follows a name at the beginning of a line.
pub fn field(text: &str, name: &str) -> i64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let rest = rest.unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
