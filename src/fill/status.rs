//! The published snapshot: what STATUS and INFO read without ever waiting.

use std::sync::Arc;
use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::port::event::ServerState;
use crate::fill::tally::Tally;

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
    /// The embedding lane.
    pub lane: LaneFigures,
    /// The users' queries.
    pub queries: QueryFigures,
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

/// The graphs in figures. Their reader holds the server, so anything expensive is done when they
/// are built.
#[derive(Debug, Clone, Default)]
pub(crate) struct GraphsFigures {
    /// By name.
    all: Vec<(GraphName, Arc<GraphFigures>)>,
    /// Indexes of those worth a look, the worst first: at most [`MAX_RANKED`].
    ranked: Vec<usize>,
    /// Over all graphs.
    pub sums: Sums,
}

/// Figures summed over all graphs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// How many graphs there are.
    pub graphs: u64,
    /// Nodes with a text and no vector, not quarantined.
    pub pending: u64,
    /// Nodes selected and not settled.
    pub in_flight: u64,
    /// Nodes with a text.
    pub eligible: u64,
    /// Nodes with a text and a vector.
    pub embedded: u64,
    /// Nodes marked with an error.
    pub quarantined: u64,
    /// Graphs with a pass under way.
    pub busy: u64,
}

/// Maximum number of ranked graphs: as many as INFO lists.
pub(crate) const MAX_RANKED: usize = 100;

impl GraphsFigures {
    /// Sums and ranks the graphs, which must be sorted by name.
    pub(crate) fn new(all: Vec<(GraphName, Arc<GraphFigures>)>) -> Self {
        let mut sums = Sums { graphs: all.len() as u64, ..Sums::default() };
        let mut behind = Vec::new();
        for (place, (_, graph)) in all.iter().enumerate() {
            sums.add(graph);
            if !graph.is_finished() {
                behind.push((place, graph.last_error.is_some(), graph.pending));
            }
        }
        behind
            .sort_unstable_by_key(|(place, failed, pending)| (!failed, u64::MAX - pending, *place));
        let mut ranked: Vec<usize> = behind.iter().map(|(place, ..)| *place).collect();
        ranked.truncate(MAX_RANKED);
        Self { all, ranked, sums }
    }

    /// One graph.
    pub(crate) fn get(&self, name: &GraphName) -> Option<&GraphFigures> {
        let place = self.all.binary_search_by(|(known, _)| known.cmp(name)).ok()?;
        self.all.get(place).map(|(_, graph)| &**graph)
    }

    /// All graphs, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GraphName, &GraphFigures)> {
        self.all.iter().map(|(name, graph)| (name, &**graph))
    }

    /// Graphs that are not finished, the worst first.
    pub(crate) fn behind(&self) -> impl Iterator<Item = (&GraphName, &GraphFigures)> {
        let graphs = self.ranked.iter().filter_map(|place| self.all.get(*place));
        graphs.map(|(name, graph)| (name, &**graph))
    }
}

impl Sums {
    fn add(&mut self, graph: &GraphFigures) {
        self.pending += graph.pending;
        self.in_flight += graph.in_flight;
        self.eligible += graph.eligible;
        self.embedded += graph.embedded;
        self.quarantined += graph.quarantined;
        self.busy += u64::from(graph.state != GraphState::Idle);
    }

    /// The figures under their public names, except `coverage`.
    pub(crate) fn figures(&self) -> [(&'static str, u64); 6] {
        [
            ("graphs", self.graphs),
            ("pending", self.pending),
            ("in_flight", self.in_flight),
            ("eligible", self.eligible),
            ("embedded", self.embedded),
            ("quarantined", self.quarantined),
        ]
    }

    /// Share of the nodes with a text that have a vector; 1 when there are none.
    pub(crate) fn coverage(&self) -> f64 {
        coverage(self.embedded, self.eligible)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn coverage(embedded: u64, eligible: u64) -> f64 {
    if eligible == 0 { 1.0 } else { embedded as f64 / eligible as f64 }
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
    /// A write is waiting for other clients' queries on this graph.
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
    /// Nodes written per second in this pass.
    pub rate_per_s: f64,
    /// When the last pass ended.
    pub last_run: Option<Instant>,
    /// The outcome of the nodes of the last pass.
    pub last_pass: Option<Tally>,
    /// The last fault, until a pass ends without one.
    pub last_error: Option<String>,
}

impl GraphState {
    /// Its public name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Counting => "counting",
            Self::Filling => "filling",
            Self::Waiting => "waiting",
            Self::Indexing => "indexing",
        }
    }
}

impl GraphFigures {
    /// Its counts under their public names.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("pending", self.pending),
            ("eligible", self.eligible),
            ("embedded", self.embedded),
            ("quarantined", self.quarantined),
            ("in_flight", self.in_flight),
        ]
    }

    /// Share of the nodes with a text that have a vector; 1 when there are none.
    pub(crate) fn coverage(&self) -> f64 {
        coverage(self.embedded, self.eligible)
    }

    /// Whether there is nothing to do and nothing went wrong.
    pub(crate) fn is_finished(&self) -> bool {
        self.state == GraphState::Idle && self.pending == 0 && self.last_error.is_none()
    }

    /// Seconds until nothing is pending at the current rate.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_come_first_and_finished_ones_not_at_all() {
        let graph = |name: &str, pending, error: Option<&str>| {
            let last_error = error.map(str::to_owned);
            let figures = GraphFigures { pending, eligible: 9, last_error, ..Default::default() };
            (GraphName::new(name), Arc::new(figures))
        };
        let all = vec![
            graph("a", 0, None),
            graph("b", 2, None),
            graph("c", 0, Some("no")),
            graph("d", 7, None),
        ];
        let graphs = GraphsFigures::new(all);
        let names: Vec<&str> = graphs.behind().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["c", "d", "b"]);
        assert_eq!((graphs.sums.graphs, graphs.sums.pending, graphs.sums.eligible), (4, 9, 36));
        assert_eq!(graphs.get(&GraphName::new("d")).map(|g| g.pending), Some(7));
        assert_eq!(graphs.get(&GraphName::new("e")), None);
    }
}
