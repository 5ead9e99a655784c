//! What the kernel says of the server: the time its threads ran, and its memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// How the module's own threads are named.
const OURS: &str = "vectorfill";

/// Time of threads of one name.
#[derive(Default, Clone, Copy)]
pub struct Times {
    /// On a core.
    pub ran: Duration,
    /// Ready to run, and without a core: what others on the machine cost.
    pub waited: Duration,
}

/// Times of all threads of a process so far, by name.
#[derive(Default, Clone)]
pub struct Cpu(BTreeMap<String, Times>);

impl Cpu {
    /// `schedstat` counts nanoseconds, where `stat` counts hundredths of a second: too coarse for a
    /// thread that sleeps.
    pub fn of(pid: u32) -> Self {
        let mut cpu = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let read = |file: &str| fs::read_to_string(thread.path().join(file)).ok();
            // A thread may end while it is looked at.
            let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else { continue };
            let mut times = times.split(' ').map(|n| Duration::from_nanos(n.parse().unwrap()));
            let sum = cpu.0.entry(name.trim().to_owned()).or_default();
            sum.ran += times.next().unwrap();
            sum.waited += times.next().unwrap();
        }
        cpu
    }

    pub fn since(&self, earlier: &Self) -> Self {
        let since = |(name, now): (&String, &Times)| {
            let then = earlier.0.get(name).copied().unwrap_or_default();
            let ran = now.ran.saturating_sub(then.ran);
            (name.clone(), Times { ran, waited: now.waited.saturating_sub(then.waited) })
        };
        Self(self.0.iter().map(since).collect())
    }

    pub fn total(&self) -> Duration {
        self.0.values().map(|times| times.ran).sum()
    }

    /// Of the module's own threads.
    pub fn ours(&self) -> Duration {
        let ours = self.0.iter().filter(|(name, _)| name.starts_with(OURS));
        ours.map(|(_, times)| times.ran).sum()
    }

    pub fn threads(&self) -> impl Iterator<Item = (&String, Times)> {
        self.0.iter().map(|(name, times)| (name, *times))
    }
}

/// Bytes of memory the server occupies now, and at most since [`forget_peak`].
pub fn memory(pid: u32) -> (usize, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}
