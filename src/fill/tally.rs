//! The figures of a pass. At its end, selected = written + stale + quarantined + deferred always
//! holds.

use std::time::Duration;

/// The outcome of the nodes that a pass selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Graphs the pass covered.
    pub graphs: u64,
    /// Nodes that had a text and no vector.
    pub selected: u64,
    /// Nodes that received their vector.
    pub written: u64,
    /// Nodes deleted, edited or filled by someone else in the meantime.
    pub stale: u64,
    /// Nodes whose text the service refuses, now marked with the reason.
    pub quarantined: u64,
    /// Nodes left pending because of a fault that is not their own.
    pub deferred: u64,
    /// Texts that were cut at `max-text-chars`.
    pub truncated: u64,
    /// Requests sent to the embedder.
    pub requests: u64,
    /// Tokens, as the service counts them.
    pub tokens: u64,
    /// From the start of the pass to its end.
    pub duration: Duration,
    /// The last fault, in words.
    pub error: Option<String>,
}

impl Tally {
    /// Adds the figures of another pass; durations add up, the later error is kept.
    pub(crate) fn add(&mut self, other: &Self) {
        self.graphs += other.graphs;
        self.selected += other.selected;
        self.written += other.written;
        self.stale += other.stale;
        self.quarantined += other.quarantined;
        self.deferred += other.deferred;
        self.truncated += other.truncated;
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.duration += other.duration;
        if other.error.is_some() {
            self.error.clone_from(&other.error);
        }
    }

    /// The figures under their public names.
    pub(crate) fn figures(&self) -> [(&'static str, u64); 10] {
        let duration_ms = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        [
            ("graphs", self.graphs),
            ("selected", self.selected),
            ("written", self.written),
            ("stale", self.stale),
            ("quarantined", self.quarantined),
            ("deferred", self.deferred),
            ("truncated", self.truncated),
            ("requests", self.requests),
            ("tokens", self.tokens),
            ("duration_ms", duration_ms),
        ]
    }

    /// Whether there is anything to report: a pass that found nothing is not logged.
    pub(crate) fn is_eventful(&self) -> bool {
        self.selected > 0 || self.error.is_some()
    }
}
