//! What the kernel says of the server: the time its threads ran, and its memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// How the module's own threads are named.
const OURS: &str = "vectorfill";

/// Time on a core, by the name of the thread.
#[derive(Default, Clone)]
pub struct Cpu(BTreeMap<String, Duration>);

impl Cpu {
    /// Of all threads so far. `schedstat` counts nanoseconds, where `stat` counts hundredths of a
    /// second: too coarse for a thread that sleeps.
    pub fn of(pid: u32) -> Self {
        let mut cpu = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let read = |file: &str| fs::read_to_string(thread.path().join(file)).ok();
            // A thread may end while it is looked at.
            let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else { continue };
            let ran = times.split(' ').next().unwrap().parse().unwrap();
            *cpu.0.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(ran);
        }
        cpu
    }

    pub fn since(&self, earlier: &Self) -> Self {
        let before = |name: &String| earlier.0.get(name).copied().unwrap_or_default();
        let ran =
            |(name, now): (&String, &Duration)| (name.clone(), now.saturating_sub(before(name)));
        Self(self.0.iter().map(ran).collect())
    }

    pub fn total(&self) -> Duration {
        self.0.values().sum()
    }

    pub fn ours(&self) -> Duration {
        self.0.iter().filter(|(name, _)| name.starts_with(OURS)).map(|(_, ran)| *ran).sum()
    }

    pub fn threads(&self) -> impl Iterator<Item = (&String, Duration)> {
        self.0.iter().map(|(name, ran)| (name, *ran))
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
