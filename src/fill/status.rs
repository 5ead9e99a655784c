//! The published picture: what STATUS and INFO read without ever waiting.

use std::collections::BTreeMap;
use std::time::Instant;

use super::event::ServerState;
use super::node::GraphName;
use super::pace::LaneState;
use super::question::QuestionFigures;
use super::tally::Tally;

/// Everything STATUS tells that the core knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Whether anything may start.
    pub enabled: bool,
    /// What the server lets us do.
    pub server: ServerState,
    /// The engine's name and version.
    pub engine: Option<String>,
    /// Whether this version of it was tried.
    pub engine_tested: bool,
    /// Writes are paused by CLIENT PAUSE, a failover or `maxmemory`.
    pub paused: Option<String>,
    /// When the next scheduled pass begins.
    pub next_run: Option<Instant>,
    /// The embedding lane.
    pub lane: LaneFigures,
    /// What users have asked.
    pub questions: QuestionFigures,
    /// Sum of all passes since load.
    pub totals: Tally,
    /// By graph.
    pub graphs: BTreeMap<GraphName, GraphFigures>,
}

/// The embedding lane in figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct LaneFigures {
    /// Whether requests may be sent.
    pub state: LaneState,
    /// What went wrong.
    pub reason: Option<String>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Most that the lane allows itself.
    pub window: usize,
    /// Length of the vectors; `None` = not known yet.
    pub dimensions: Option<usize>,
    /// Requests since load.
    pub requests: u64,
    /// Of these, repetitions after a fault.
    pub retries: u64,
    /// Tokens since load.
    pub tokens: u64,
    /// Moving average of a request's time, in milliseconds.
    pub latency_ms: f64,
}

/// What a graph's pass is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GraphState {
    /// Nothing.
    #[default]
    Idle,
    /// Counting nodes.
    Counting,
    /// Selecting, embedding, writing.
    Filling,
    /// A write waits for the queries of others on this graph.
    Waiting,
    /// The index is being created or built.
    Indexing,
}

/// One graph in figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GraphFigures {
    /// What its pass is doing.
    pub state: GraphState,
    /// Nodes with a text.
    pub eligible: u64,
    /// Nodes with a text and no vector, not quarantined.
    pub pending: u64,
    /// Nodes with a text and a vector.
    pub embedded: u64,
    /// Nodes marked with an error.
    pub quarantined: u64,
    /// Nodes selected and not settled.
    pub in_flight: u64,
    /// Nodes written a second in this pass.
    pub rate_per_s: f64,
    /// When the last pass ended.
    pub last_run: Option<Instant>,
    /// What became of the nodes of the last pass.
    pub last_pass: Option<Tally>,
    /// The last fault, until a pass ends without one.
    pub last_error: Option<String>,
}

impl GraphFigures {
    /// Share of the nodes with a text that have a vector; 1 when there are none.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub(crate) fn coverage(&self) -> f64 {
        if self.eligible == 0 { 1.0 } else { self.embedded as f64 / self.eligible as f64 }
    }

    /// Seconds until nothing is pending at the present rate.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate for people; the cast saturates"
    )]
    pub(crate) fn eta_s(&self) -> Option<u64> {
        (self.rate_per_s > 0.0).then(|| (self.pending as f64 / self.rate_per_s).ceil() as u64)
    }
}
