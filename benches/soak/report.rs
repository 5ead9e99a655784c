//! What is told at the end, and what of it must not be.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::Plan;
use crate::check::Verdict;
use crate::clients::{GRAPHS, Load};
use crate::faults::Faults;
use crate::watch::{Memory, Pings, field};

/// What is not data may not grow by more than this.
const MOST_GROWTH: i64 = 64 << 20;
/// A server that keeps somebody waiting for longer has stopped.
const MOST_PING: Duration = Duration::from_secs(1);

/// All that was seen.
pub struct Outcome {
    pub plan: Plan,
    pub faults: Arc<Faults>,
    pub load: Arc<Load>,
    pub loaded: Duration,
    pub failed_clients: usize,
    pub drained: Result<Duration, String>,
    /// Once warm, and at the end.
    pub memory: (Memory, Memory),
    pub pings: Pings,
    pub stops: Vec<(String, u64)>,
    pub verdict: Verdict,
    pub info: String,
}

impl Outcome {
    /// The figures as Markdown.
    pub fn table(&self) -> String {
        let rows = [self.work(), self.service(), self.nodes(), self.server()].concat();
        let rows: String =
            rows.into_iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
        format!("| figure | value |\n|---|---|\n{rows}")
    }

    fn work(&self) -> Vec<(String, String)> {
        let load = &self.load;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
        let drained = self.drained.as_ref().map_or_else(String::clone, |took| seconds(*took));
        vec![
            row("seed", self.plan.seed),
            row("graphs", GRAPHS),
            row("nodes created", count(&load.created)),
            row("nodes edited", count(&load.edited)),
            row("nodes deleted", count(&load.deleted)),
            row("the clients took", seconds(self.loaded)),
            row("nothing pending after a further", drained),
        ]
    }

    fn service(&self) -> Vec<(String, String)> {
        let (requests, faults) = (self.faults.requests(), self.faults.total());
        let share = 100.0 * faults as f64 / requests.max(1) as f64;
        let mut rows = vec![
            row("requests while the service failed", requests),
            row("of these with poison", self.faults.poisoned()),
            row("faults injected", format!("{faults} ({share:.1} %)")),
        ];
        rows.extend(self.faults.injected().into_iter().map(|(kind, times)| row(kind, times)));
        rows
    }

    fn nodes(&self) -> Vec<(String, String)> {
        let verdict = &self.verdict;
        let total = |name: &str| field(&self.info, &format!("vectorfill_total_{name}:"));
        vec![
            row("vectors written", total("written")),
            row("refused, because the node was edited or deleted meanwhile", total("stale")),
            row("left for a later pass", total("deferred")),
            row("nodes at the end", verdict.nodes),
            row("with the vector of their text", verdict.filled),
            row("poison, quarantined", verdict.quarantined),
            row("quarantined wrongly", verdict.misjudged),
            row("wrong vectors", verdict.wrong),
            row("lost nodes", verdict.lost),
        ]
    }

    fn server(&self) -> Vec<(String, String)> {
        let (start, end) = &self.memory;
        let stops = self.stops.iter().map(|(cause, longest)| format!("{cause} {longest} ms"));
        let both = |of: fn(&Memory) -> i64| format!("{} → {} MB", mb(of(start)), mb(of(end)));
        vec![
            row("memory measured at", format!("{} → {}", seconds(start.at), seconds(end.at))),
            row("RSS", both(|memory| memory.rss)),
            row("used_memory", both(|memory| memory.used)),
            row("RSS − used_memory", both(Memory::beside_data)),
            row("RSS − allocator_resident", both(Memory::beside_allocator)),
            row("PINGs", self.pings.number),
            row("PING p99.9", ms(self.pings.tail)),
            row("longest PING", ms(self.pings.longest)),
            row("longest stops by cause", stops.collect::<Vec<_>>().join(", ")),
        ]
    }

    /// What must not be, in words.
    pub fn violations(&self) -> Vec<String> {
        let (verdict, (start, end)) = (&self.verdict, &self.memory);
        let growth = end.beside_data() - start.beside_data();
        let live = self.load.live();
        let restarts = field(&self.info, "vectorfill_restarts:");
        let mut violations: Vec<String> = [
            (self.failed_clients > 0, format!("{} clients failed", self.failed_clients)),
            (verdict.nodes != live, format!("{} nodes instead of {live}", verdict.nodes)),
            (verdict.wrong > 0, format!("{} wrong vectors", verdict.wrong)),
            (verdict.lost > 0, format!("{} lost nodes", verdict.lost)),
            (verdict.misjudged > 0, format!("{} quarantined wrongly", verdict.misjudged)),
            (restarts > 0, format!("the worker panicked {restarts} times")),
            (growth > MOST_GROWTH, format!("RSS − used_memory grew by {} MB", mb(growth))),
            (self.pings.longest > MOST_PING, format!("a PING took {}", ms(self.pings.longest))),
        ]
        .into_iter()
        .filter_map(|(violated, words)| violated.then_some(words))
        .collect();
        violations.extend(self.drained.as_ref().err().cloned());
        violations.extend(verdict.examples.iter().map(|example| format!("for example {example}")));
        violations
    }
}

fn row(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

pub fn mb(bytes: i64) -> i64 {
    bytes / (1 << 20)
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}

/// Leaves a file in `target/soak`.
pub fn keep(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("soak");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}
