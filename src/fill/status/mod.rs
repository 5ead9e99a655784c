//! The published snapshot: what STATUS and INFO read without ever waiting.

mod graph;
mod graphs;

pub(crate) use graph::{GraphFigures, GraphState};
pub(crate) use graphs::{GraphsFigures, MAX_RANKED};

use std::collections::BTreeMap;
use std::time::Instant;

use crate::fill::port::server::ServerState;
use crate::fill::tally::Tally;
use crate::rule::name::EmbedderName;

/// Everything the core contributes to STATUS.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Whether anything may start.
    pub enabled: bool,
    /// What the server lets us do.
    pub server: ServerState,
    /// The engine.
    pub engine: EngineFigures,
    /// Writes are paused by CLIENT PAUSE, a failover or `maxmemory`.
    pub paused: Option<String>,
    /// When the next scheduled pass begins.
    pub next_run: Option<Instant>,
    /// The lane to each embedder, and the users' queries there.
    pub lanes: BTreeMap<EmbedderName, (LaneFigures, QueryFigures)>,
    /// Sum of all passes since load.
    pub totals: Tally,
    /// The graphs.
    pub graphs: GraphsFigures,
}

/// The engine, as the last survey found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineFigures {
    /// Its name and version; `None` = not loaded.
    pub name: Option<String>,
    /// Whether this version has been tested.
    pub tested: bool,
}

impl Default for EngineFigures {
    fn default() -> Self {
        Self { name: None, tested: true }
    }
}

/// The embedding lane in figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct LaneFigures {
    /// Whether requests may be sent.
    pub state: LaneState,
    /// What went wrong.
    pub reason: Option<String>,
    /// What is suspicious, although nothing went wrong.
    pub warning: Option<String>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Maximum requests in flight that the lane currently allows itself.
    pub window: usize,
    /// When a request that has to wait now may be sent.
    pub next_try: Option<Instant>,
    /// Length of the vectors; `None` = not known yet.
    pub dimensions: Option<usize>,
    /// Requests since load.
    pub requests: u64,
    /// Of these, retries after a fault.
    pub retries: u64,
    /// Tokens since load.
    pub tokens: u64,
    /// Moving average of the request time, in milliseconds.
    pub latency_ms: f64,
}

impl LaneFigures {
    /// Its counts under their public names.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("in_flight", self.in_flight as u64),
            ("window", self.window as u64),
            ("requests", self.requests),
            ("retries", self.retries),
            ("tokens", self.tokens),
        ]
    }
}

/// Whether requests may be sent, as STATUS shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LaneState {
    /// Up to the window.
    #[default]
    Ready,
    /// The service asked for a pause.
    Throttled,
    /// The service is unreachable; one request at a time probes it.
    Cooling,
    /// Needs operator action; one request probes when a pass begins.
    Rejected,
}

impl LaneState {
    /// Its public name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Throttled => "throttled",
            Self::Cooling => "cooling",
            Self::Rejected => "rejected",
        }
    }
}

/// What STATUS reports about queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueryFigures {
    /// Texts that users asked for.
    pub asked: u64,
    /// Of these, texts whose vector was known.
    pub hits: u64,
    /// Vectors in the cache.
    pub kept: usize,
}

impl QueryFigures {
    /// Its counts under their public names.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        [
            ("questions", self.asked),
            ("query_cache_hits", self.hits),
            ("query_cache_entries", self.kept as u64),
        ]
    }
}
