//! What the core is told and what it asks for: the whole of its contact with the world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cypher;
use super::fault::StoreFault;
use super::node::{BatchId, Completion, GraphName, NodeId, Row, Text};
use super::rule::{Name, Rule};
use super::scan::{Seen, Window};
use super::settings::Settings;
use super::tally::Tally;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The settings are these now.
    Configured {
        /// All of them.
        settings: Box<Settings>,
        /// Another embedder was made: what the old one had in flight never comes back.
        embedder_replaced: bool,
    },
    /// Role, loading state, modules or data set may have changed.
    ServerChanged,
    /// Somebody is about to write to this graph.
    Touched(GraphName),
    /// A user asks for a pass.
    Run {
        /// Names the request in the answer.
        run: RunId,
        /// One graph, or all.
        graph: Option<GraphName>,
    },
    /// The answer to [`Action::Survey`].
    Surveyed(Survey),
    /// The answer to [`Action::Read`].
    Read {
        /// Which read.
        ticket: Ticket,
        /// What came.
        outcome: Result<Answer, StoreFault>,
    },
    /// The end of an [`Action::Embed`].
    Embedded(Completion),
    /// The end of an [`Action::Write`].
    Written {
        /// What was asked.
        write: Write,
        /// What came of it.
        outcome: Result<Written, StoreFault>,
    },
    /// Time has passed.
    Tick,
}

/// Something is to be done. Each is answered by the event it names, sooner or later.
#[derive(Debug)]
pub(crate) enum Action {
    /// Look at the server and its graphs: [`Event::Surveyed`].
    Survey,
    /// Query the engine on its own threads: [`Event::Read`].
    Read(Read),
    /// Fetch vectors: [`Event::Embedded`].
    Embed {
        /// Names the request in the answer.
        batch: BatchId,
        /// What to embed.
        texts: Vec<Text>,
    },
    /// Write in one hold of the server: [`Event::Written`].
    Write(Write),
    /// Tell the user that their run has ended. Not answered.
    Answer {
        /// Which run.
        run: RunId,
        /// The figures, or why there was no pass.
        outcome: Result<Tally, RunFault>,
    },
    /// A pass has ended. Not answered.
    Report(Report),
}

/// Names a user's request for a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunId(pub u64);

/// Names a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub u64);

/// Why a run cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunFault {
    /// `enabled` is no.
    #[error("vectorfill is disabled: CONFIG SET vectorfill.enabled yes")]
    Disabled,
    /// A replica never fills.
    #[error("this server is a replica: run it on the master")]
    Replica,
    /// Not yet.
    #[error("the server is loading its data")]
    Loading,
    /// No FalkorDB.
    #[error("FalkorDB is not loaded: load falkordb.so")]
    NoEngine,
    /// There is no such graph.
    #[error("there is no graph '{0}'")]
    NoGraph(GraphName),
}

/// Whether the server lets us work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ServerState {
    /// A master with the engine loaded.
    Ready,
    /// A replica.
    Replica,
    /// Reading its data set, or not yet asked.
    #[default]
    Loading,
    /// GRAPH.* is not there.
    NoEngine,
}

impl ServerState {
    /// Why no pass can be, if none can.
    pub(crate) fn fault(self) -> Option<RunFault> {
        match self {
            Self::Ready => None,
            Self::Replica => Some(RunFault::Replica),
            Self::Loading => Some(RunFault::Loading),
            Self::NoEngine => Some(RunFault::NoEngine),
        }
    }
}

impl From<&StoreFault> for ServerState {
    fn from(fault: &StoreFault) -> Self {
        match fault {
            StoreFault::NoEngine => Self::NoEngine,
            StoreFault::Loading => Self::Loading,
            StoreFault::Replica => Self::Replica,
            StoreFault::NoGraph
            | StoreFault::Paused
            | StoreFault::Readers
            | StoreFault::OutOfMemory
            | StoreFault::QueueFull
            | StoreFault::Timeout
            | StoreFault::NoReply
            | StoreFault::Other(_) => Self::Ready,
        }
    }
}

/// The server as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// Whether it lets us work.
    pub server: ServerState,
    /// The engine's name and version.
    pub engine: Option<String>,
    /// Every graph there is.
    pub graphs: Vec<GraphName>,
    /// Most rows the engine returns (`RESULTSET_SIZE`).
    pub most_rows: Option<usize>,
}

/// A query for the engine's own threads.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Names the read in the answer.
    pub ticket: Ticket,
    /// The graph.
    pub graph: GraphName,
    /// The rule of the pass that asks.
    pub rule: Arc<Rule>,
    /// What is asked.
    pub query: Query,
}

/// What is asked of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    /// The vector indexes on the target.
    Indexes,
    /// How many nodes of a window have a text, a vector, an error; and their labels.
    Count {
        /// Which ids.
        window: Window,
        /// Whether to list the labels that have vectors.
        labels: bool,
    },
    /// The pending nodes of a window.
    Select(Window),
    /// One vector of this label.
    Sample(Name),
}

impl Read {
    /// The query's text.
    pub(crate) fn cypher(&self) -> Vec<u8> {
        match &self.query {
            Query::Indexes => cypher::indexes(&self.rule),
            Query::Count { window, labels } => cypher::count(&self.rule, *window, *labels),
            Query::Select(window) => cypher::select(&self.rule, *window),
            Query::Sample(label) => cypher::sample(&self.rule, label),
        }
    }
}

/// What the engine answered, by the kind of question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// To [`Query::Indexes`].
    Indexes(Vec<Index>),
    /// To [`Query::Count`].
    Count(Count),
    /// To [`Query::Select`].
    Selection(Selection),
    /// To [`Query::Sample`]: the vector's length; `None` = no node of the label has one.
    Sample(Option<usize>),
}

/// A vector index on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    /// Of nodes with this label.
    pub label: String,
    /// Length of the vectors it takes; others it leaves out without a word.
    pub dimension: usize,
    /// Whether it is built.
    pub ready: bool,
}

/// Counts of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Nodes with a text.
    pub eligible: u64,
    /// Of these, nodes without a vector.
    pub unfilled: u64,
    /// Of these, nodes marked with an error.
    pub quarantined: u64,
    /// Labels that have vectors.
    pub labels: Vec<String>,
    /// What the window says about the ids.
    pub seen: Seen,
}

/// Pending nodes of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Id, text, first label.
    pub rows: Vec<(NodeId, Vec<u8>, Option<String>)>,
    /// What the window says about the ids.
    pub seen: Seen,
}

/// A change of a graph, made in one hold of the server.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The graph.
    pub graph: GraphName,
    /// The rule of the pass that writes.
    pub rule: Arc<Rule>,
    /// What is written.
    pub job: Job,
    /// Go ahead even though queries run on the graph: patience has ended.
    pub impatient: bool,
}

/// What is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Job {
    /// Vectors: a slice.
    Vectors(Vec<Row>),
    /// Marks of quarantine.
    Quarantine {
        /// Nodes, each with the text that was refused.
        nodes: Vec<(NodeId, Text)>,
        /// The service's words.
        reason: String,
    },
    /// A vector index.
    CreateIndex {
        /// Of nodes with this label.
        label: Name,
        /// For vectors of this length.
        dimensions: usize,
        /// How they are compared.
        similarity: cypher::Similarity,
    },
}

impl Write {
    /// The query's text.
    pub(crate) fn cypher(&self) -> Vec<u8> {
        match &self.job {
            Job::Vectors(rows) => cypher::vectors(&self.rule, rows),
            Job::Quarantine { nodes, reason } => cypher::quarantine(&self.rule, nodes, reason),
            Job::CreateIndex { label, dimensions, similarity } => {
                cypher::create_index(label, &self.rule.target, *dimensions, *similarity)
            }
        }
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Nodes that matched.
    pub ids: Vec<NodeId>,
    /// How long the server was held.
    pub held: Duration,
    /// Whether other clients were served since the write before.
    pub contended: bool,
}

/// A pass has ended: what the log tells.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The graph.
    pub graph: GraphName,
    /// What became of its nodes.
    pub tally: Tally,
    /// Labels that got an index in this pass, with its dimension.
    pub indexed: BTreeMap<String, usize>,
}
