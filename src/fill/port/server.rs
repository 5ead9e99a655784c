//! What the server lets us do, and why a user's request fails.

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::rule::name::{EmbedderName, RuleName};

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
