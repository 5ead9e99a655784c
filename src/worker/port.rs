//! What the worker needs of the server, and what others ask of the worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::entity::{GraphName, NodeId, Text};
use crate::fill::port::event::{Event, Failure, RunFault};
use crate::fill::port::store::{Read, Write};
use crate::fill::tally::Tally;

/// The engine and the server, as the worker needs them. Nothing here waits: what is asked is answered
/// into a channel, from whatever thread, or never, if the server is lost.
pub(crate) trait Store: Send {
    /// Looks at the server and its graphs.
    fn survey(&self, to: Sender<Answer>);
    /// Starts a query.
    fn read(&self, read: Read, to: Sender<Answer>);
    /// Writes, in one hold of the server.
    fn write(&self, write: Write, to: Sender<Answer>);
    /// One line into the server's log.
    fn log(&self, level: Level, line: &str);
}

/// An answer of the store: read by the worker, on its own time and not on the server's.
pub(crate) type Answer = Box<dyn FnOnce() -> Event + Send>;

/// Log severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What happens.
    Notice,
    /// What somebody should look at.
    Warning,
}

/// Passes an answer of type `T` on to the user who waits for it. Dropped unanswered, it tells the user
/// so.
pub(crate) trait Responder<T>: Send {
    /// Whether the user has gone: nobody waits any more.
    fn is_gone(&self) -> bool;
    /// It is done, or cannot be.
    fn respond(self: Box<Self>, outcome: Result<T, WaitFault>);
}

/// Why a user who waits gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WaitFault {
    /// It cannot be.
    Run(RunFault),
    /// The user's own limit has passed; the pass goes on.
    Timeout,
}

/// A user who waits for a `T`.
pub(crate) struct Envelope<T> {
    /// How to answer.
    pub responder: Box<dyn Responder<T>>,
    /// How long the user waits at most; `None` = as long as it takes.
    pub limit: Option<Duration>,
}

impl<T> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What a user asks of the worker.
#[derive(Debug)]
pub(crate) enum Request {
    /// A pass over one graph, or all; `None` = nobody waits for its end.
    Run(Option<GraphName>, Option<Envelope<Tally>>),
    /// The quarantined nodes of a graph, at most so many.
    List(GraphName, usize, Envelope<Vec<Failure>>),
    /// That quarantined nodes are tried again, these or all: how many there were.
    Release(GraphName, Option<Vec<NodeId>>, Envelope<u64>),
    /// The vectors of some texts, in their order.
    Query(Vec<Text>, Envelope<Vec<Arc<[f32]>>>),
}
