//! What the core is told and what it asks for: the whole of its contact with the world.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::entity::{GraphName, NodeId, Text};
use crate::fill::port::embedding::{Completion, Embed};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Read, Write, Written};
use crate::fill::tally::Tally;

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
    /// Graphs are about to come that were written elsewhere.
    GraphsArrive,
    /// Somebody is about to write to this graph.
    Touched(GraphName),
    /// A user asks for a pass.
    Run {
        /// Names the request in the answer; `None` = nobody waits for one.
        run: Option<RunId>,
        /// One graph, or all.
        graph: Option<GraphName>,
    },
    /// A user asks something of a graph's quarantine.
    Quarantine {
        /// Names the request in the answer.
        run: RunId,
        /// The graph.
        graph: GraphName,
        /// What is asked.
        request: QuarantineRequest,
    },
    /// A user waits for the vectors of some texts.
    Query {
        /// Names the request in the answer.
        run: RunId,
        /// What is to be embedded.
        texts: Vec<Text>,
    },
    /// The user has given up waiting; the pass goes on.
    GaveUp(RunId),
    /// The answer to [`Action::Survey`].
    Surveyed(Result<Survey, StoreFault>),
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
    Embed(Embed),
    /// Write in one hold of the server: [`Event::Written`].
    Write(Write),
    /// Tell the user what came of their request. Not answered.
    Answer {
        /// Which request.
        run: RunId,
        /// What came of it, or why nothing did.
        outcome: Result<Outcome, RunFault>,
    },
    /// A pass has ended. Not answered.
    Report(Report),
}

/// What a user asks of a graph's quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QuarantineRequest {
    /// The quarantined nodes, each with its reason.
    List {
        /// Most nodes.
        most: usize,
    },
    /// That they are tried again.
    Release {
        /// These nodes; `None` = all.
        ids: Option<Vec<NodeId>>,
    },
}

/// What came of a user's request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// The figures of the passes asked for.
    Pass(Tally),
    /// To [`QuarantineRequest::List`].
    Failures(Vec<Failure>),
    /// To a query: one vector a text, in the order of the texts.
    Vectors(Vec<Arc<[f32]>>),
    /// To [`QuarantineRequest::Release`]: how many nodes are tried again.
    Released(u64),
}

/// A quarantined node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its id.
    pub id: NodeId,
    /// Why it is quarantined.
    pub words: String,
}

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
    /// Not yet, though it could.
    #[error("{}", StoreFault::Settling)]
    Settling,
    /// Not with this engine.
    #[error("{}", StoreFault::Foreign)]
    Foreign,
    /// No FalkorDB.
    #[error("FalkorDB is not loaded: load falkordb.so")]
    NoEngine,
    /// There is no such graph.
    #[error("there is no graph '{0}'")]
    NoGraph(GraphName),
    /// Too many requests of the kind are under way.
    #[error("too many requests of this kind are under way: try again")]
    Busy,
    /// It took too long.
    #[error("the graph was busy for too long: {done} nodes are done; ask again")]
    Late {
        /// Nodes that were dealt with.
        done: u64,
    },
    /// The engine's words.
    #[error("{0}")]
    Store(String),
    /// The embedder's words.
    #[error("{0}")]
    Embed(String),
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
    /// Restarted so recently that another server may be the master by now.
    Settling,
    /// With an engine that nobody has tried and that answers otherwise.
    Foreign,
}

impl ServerState {
    /// Why no pass can be, if none can.
    pub(crate) fn fault(self) -> Option<RunFault> {
        match self {
            Self::Ready => None,
            Self::Replica => Some(RunFault::Replica),
            Self::Loading => Some(RunFault::Loading),
            Self::NoEngine => Some(RunFault::NoEngine),
            Self::Settling => Some(RunFault::Settling),
            Self::Foreign => Some(RunFault::Foreign),
        }
    }
}

/// A server that may be filled, as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// The engine's name and version; `None` = it is not loaded.
    pub engine: Option<String>,
    /// Whether this version was tried.
    pub engine_tested: bool,
    /// Every graph there is.
    pub graphs: Vec<GraphName>,
    /// Most rows the engine returns (`RESULTSET_SIZE`).
    pub max_rows: Option<usize>,
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
