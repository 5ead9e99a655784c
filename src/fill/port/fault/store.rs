//! How a request to the engine can fail, and what that implies for the server.

use crate::fill::port::server::ServerState;

/// Why the engine did not do what was asked. Created by `server/`; no node is ever blamed for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreFault {
    /// The key is gone, or does not hold a graph.
    #[error("there is no such graph")]
    NoGraph,
    /// The GRAPH.* commands do not exist: FalkorDB is not loaded.
    #[error("FalkorDB is not loaded")]
    NoEngine,
    /// The server is loading its data set.
    #[error("the server is loading its data")]
    Loading,
    /// The server is a replica: its master does the filling.
    #[error("the server is a replica")]
    Replica,
    /// The server was restarted, and may have been replaced as master in the meantime.
    #[error("the server has just been restarted and waits until its role as a master is certain")]
    Settling,
    /// An untested engine that does not answer as the known ones do.
    #[error("this version of FalkorDB is unknown to the module, and does not answer as others do")]
    Foreign,
    /// CLIENT PAUSE, a failover or the like: no write may happen now.
    #[error("writes are paused")]
    Paused,
    /// The server currently accepts no writes: too few replicas, or a failing disk.
    #[error("{0}")]
    Denied(String),
    /// A query on the graph is running or waiting; a write now would block the server until it
    /// ends.
    #[error("a query on this graph is running")]
    Readers,
    /// A query on the graph has just begun, and it is too early to tell how long it will take.
    #[error("a query on this graph has just begun")]
    Begun,
    /// `maxmemory` is reached.
    #[error("the server is out of memory (maxmemory)")]
    OutOfMemory,
    /// The engine's queue of queries is full.
    #[error("the engine's queue is full")]
    QueueFull,
    /// The engine killed the query because of its own TIMEOUT.
    #[error("the engine's TIMEOUT ended the query")]
    Timeout,
    /// No reply at all.
    #[error("the engine did not reply")]
    NoReply,
    /// Anything else, with the engine's message.
    #[error("{0}")]
    Other(String),
}

impl StoreFault {
    /// The state of the server as a whole, if the fault implies one.
    pub(crate) fn server(&self) -> Option<ServerState> {
        match self {
            Self::NoEngine => Some(ServerState::NoEngine),
            Self::Loading => Some(ServerState::Loading),
            Self::Replica => Some(ServerState::Replica),
            Self::Settling => Some(ServerState::Settling),
            Self::Foreign => Some(ServerState::Foreign),
            Self::NoGraph
            | Self::Paused
            | Self::Denied(_)
            | Self::Readers
            | Self::Begun
            | Self::OutOfMemory
            | Self::QueueFull
            | Self::Timeout
            | Self::NoReply
            | Self::Other(_) => None,
        }
    }

    /// Whether nothing at all may be written until the fault passes.
    pub(crate) fn pauses_all(&self) -> bool {
        matches!(self, Self::Paused | Self::Denied(_) | Self::OutOfMemory)
    }

    /// Whether the fault passes on its own, however long it takes.
    pub(crate) fn passes_by_itself(&self) -> bool {
        self.pauses_all() || matches!(self, Self::Readers | Self::Begun | Self::QueueFull)
    }
}
