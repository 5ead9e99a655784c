//! What the worker needs from the server, and what others request from the worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::entity::{EntityId, GraphName, Text};
use crate::fill::port::event::{Event, Failure};
use crate::fill::port::server::RunFault;
use crate::fill::port::store::{Read, Write};
use crate::fill::tally::Tally;
use crate::rule::name::{EmbedderName, RuleName};

/// The engine and the server, as the worker needs them. Nothing here waits: answers arrive on a
/// channel, from any thread, or never if the server stops.
pub(crate) trait Store: Send {
    /// Looks at the server and its graphs. Answered with [`Event::Surveyed`].
    /// Asked for after the start, after changes of the server, and by the core's schedule.
    fn survey(&self, to: Sender<Answer>);
    /// Starts a query on the engine's own threads, if the server allows it. Answered with
    /// [`Event::Read`] for the same ticket.
    fn read(&self, read: Read, to: Sender<Answer>);
    /// Checks whether a write may happen, and makes it, in one hold of the server. Answered with
    /// [`Event::Written`], which returns the write so that it can be made again.
    fn write(&self, write: Write, to: Sender<Answer>);
    /// Writes one line to the server's log.
    /// Called on the worker's thread. The line ends without a line break.
    fn log(&self, level: Level, line: &str);
}

/// An answer from the store. The worker calls it to parse the reply, on its own time rather than
/// the server's.
/// It is sent even if the query was never started, as an event that holds the fault.
pub(crate) type Answer = Box<dyn FnOnce() -> Event + Send>;

/// Log severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Normal operation.
    Notice,
    /// Something an operator should look at.
    Warning,
}

/// Passes an answer of type `T` to the user waiting for it. Dropped unanswered, it replies with an
/// error.
pub(crate) trait Responder<T>: Send {
    /// Whether the user has gone, so that the answer has no receiver.
    /// Then its request is given up; what others wait for goes on.
    fn is_gone(&self) -> bool;
    /// Answers the user.
    fn respond(self: Box<Self>, outcome: Result<T, WaitFault>);
}

/// Why a waiting user gets no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WaitFault {
    /// The request was refused or failed.
    Run(RunFault),
    /// The user's own limit has passed; the pass goes on.
    /// The client is told `TIMEOUT`.
    Timeout,
}

/// A user waiting for a `T`.
pub(crate) struct Envelope<T> {
    /// How to answer.
    pub responder: Box<dyn Responder<T>>,
    /// The longest the user waits; `None` = without a limit.
    pub limit: Option<Duration>,
}

impl<T> fmt::Debug for Envelope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What a user asks of the worker.
/// Each is checked by the core, which may refuse it: a graph without a rule, a replica.
#[derive(Debug)]
pub(crate) enum Request {
    /// A pass over one graph, or over all, by one rule or by all; without an envelope no user waits
    /// for its end.
    Run(Option<GraphName>, Option<RuleName>, Option<Envelope<Tally>>),
    /// The quarantined nodes of a graph, at most this many.
    List(GraphName, Option<RuleName>, usize, Envelope<Vec<Failure>>),
    /// Release these quarantined nodes, or all, so that they are retried; answered with how many
    /// there were.
    Release(GraphName, Option<RuleName>, Option<Vec<EntityId>>, Envelope<u64>),
    /// The vectors of some texts, in their order; with the length to ask for.
    Query(EmbedderName, Option<usize>, Vec<Text>, Envelope<Vec<Arc<[f32]>>>),
}
