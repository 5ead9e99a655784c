//! The core's inputs and outputs: the whole of its contact with the outside world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::entity::{EntityId, GraphName, Text};
use crate::fill::port::embedding::{Completion, Embed};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Read, Write, Written};
use crate::fill::tally::Tally;
use crate::rule::Binding;
use crate::rule::name::{EmbedderName, RuleName};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The settings have changed.
    Configured {
        /// All of them.
        settings: Box<Settings>,
        /// Embedders that were created anew: requests in flight at the old ones are never answered.
        replaced: BTreeSet<EmbedderName>,
    },
    /// Role, loading state, modules or data set may have changed.
    ServerChanged,
    /// Graphs written elsewhere are about to arrive.
    GraphsArrive,
    /// A client is about to write to this graph.
    Touched(GraphName),
    /// A user asks for a pass.
    Run {
        /// Identifies the request in the answer; `None` = no answer is needed.
        run: Option<RunId>,
        /// One graph, or all.
        graph: Option<GraphName>,
        /// Only this rule.
        rule: Option<RuleName>,
    },
    /// A user makes a request about a graph's quarantine.
    Quarantine {
        /// Identifies the request in the answer.
        run: RunId,
        /// What it is about.
        about: About,
        /// The request.
        request: QuarantineRequest,
    },
    /// A user waits for the vectors of some texts.
    Query {
        /// Identifies the request in the answer.
        run: RunId,
        /// Who is to embed them.
        embedder: EmbedderName,
        /// The length of vectors to ask for; `None` = what the embedder is set to.
        length: Option<usize>,
        /// The texts to embed.
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
        /// The answer, or why there is none.
        outcome: Result<Answer, StoreFault>,
    },
    /// The end of an [`Action::Embed`].
    Embedded(Completion),
    /// The end of an [`Action::Write`].
    Written {
        /// The write.
        write: Write,
        /// Its result.
        outcome: Result<Written, StoreFault>,
    },
    /// Time has passed.
    Tick,
}

/// Something to do. Each is answered by the event named here, sooner or later.
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
    /// Report the result of a user's request. Not answered.
    Answer {
        /// Which request.
        run: RunId,
        /// The result, or why there is none.
        outcome: Result<Outcome, RunFault>,
    },
    /// A pass has ended. Not answered.
    Report(Report),
}

/// A graph, and what is filled in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// The graph.
    pub graph: GraphName,
    /// Only by this rule; `None` = by all that apply to the graph.
    pub rule: Option<RuleName>,
}

/// A user's request about a graph's quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QuarantineRequest {
    /// List the quarantined nodes, each with its reason.
    List {
        /// Maximum number of nodes.
        most: usize,
    },
    /// Release nodes, so that they are tried again.
    Release {
        /// These nodes; `None` = all.
        ids: Option<Vec<EntityId>>,
    },
}

/// The result of a user's request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// The figures of the requested passes.
    Pass(Tally),
    /// For [`QuarantineRequest::List`].
    Failures(Vec<Failure>),
    /// For a query: one vector per text, in the order of the texts.
    Vectors(Vec<Arc<[f32]>>),
    /// For [`QuarantineRequest::Release`]: how many nodes are tried again.
    Released(u64),
}

/// A quarantined node or relationship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its id.
    pub id: EntityId,
    /// The rule whose target it lacks.
    pub rule: RuleName,
    /// Why it is quarantined.
    pub words: String,
}

/// Why a user's request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunFault {
    /// `enabled` is `no`.
    #[error("vectorfill is disabled: CONFIG SET vectorfill.enabled yes")]
    Disabled,
    /// A replica never fills.
    #[error("this server is a replica: run it on the master")]
    Replica,
    /// The server is still loading.
    #[error("the server is loading its data")]
    Loading,
    /// The server has just restarted, and its role is not certain yet.
    #[error("{}", StoreFault::Settling)]
    Settling,
    /// The engine does not behave like the known ones.
    #[error("{}", StoreFault::Foreign)]
    Foreign,
    /// No FalkorDB.
    #[error("FalkorDB is not loaded: load falkordb.so")]
    NoEngine,
    /// There is no such graph.
    #[error("there is no graph '{0}'")]
    NoGraph(GraphName),
    /// No such rule applies to the graph.
    #[error("no rule '{1}' applies to the graph '{0}': VECTORFILL.RULE LIST {0}")]
    NoRule(GraphName, RuleName),
    /// Nothing applies to the graph.
    #[error("no rule applies to the graph '{0}': see vectorfill.graphs and VECTORFILL.RULE")]
    NoRules(GraphName),
    /// There is no such embedder.
    #[error("there is no embedder '{0}': VECTORFILL.STATUS lists them")]
    NoEmbedder(EmbedderName),
    /// Too many requests of this kind are under way.
    #[error("too many requests of this kind are under way: try again")]
    Busy,
    /// It took too long.
    #[error("the graph was busy for too long: {done} nodes are done; ask again")]
    Late {
        /// Nodes that were processed.
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
    /// Loading its data set, or not surveyed yet.
    #[default]
    Loading,
    /// The GRAPH.* commands do not exist.
    NoEngine,
    /// Restarted so recently that another server may have become the master.
    Settling,
    /// With an untested engine that answers differently from the known ones.
    Foreign,
}

impl ServerState {
    /// Why no pass is possible, if so.
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

/// The state of a server that may be filled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// The engine's name and version; `None` = not loaded.
    pub engine: Option<String>,
    /// Whether this version has been tested.
    pub engine_tested: bool,
    /// All graphs.
    pub graphs: Vec<GraphName>,
    /// Maximum rows the engine returns (`RESULTSET_SIZE`).
    pub max_rows: Option<usize>,
}

/// The report on a finished pass, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The graph, and the rule that was followed.
    pub binding: Binding,
    /// The outcome of its entities.
    pub tally: Tally,
    /// Labels that got an index in this pass, with its dimension.
    pub indexed: BTreeMap<String, usize>,
}
