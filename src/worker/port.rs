//! What the worker needs of the server, and what others ask of the worker.

use std::fmt;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::entity::{GraphName, Text};
use crate::fill::port::event::{Event, Outcome, RunFault, Wish};
use crate::fill::port::store::{Read, Write};

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

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What happens.
    Notice,
    /// What somebody should look at.
    Warning,
}

/// A user who waits for what they asked for. Dropped unanswered, it tells the user so.
pub(crate) trait Waiter: Send {
    /// It is done, or cannot be.
    fn answer(self: Box<Self>, outcome: Result<Outcome, WaitFault>);
}

/// Why a user who waits gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WaitFault {
    /// It cannot be.
    Run(RunFault),
    /// The user's own limit has passed; the pass goes on.
    Timeout,
}

/// A user's request.
pub(crate) struct Request {
    /// What is asked.
    pub demand: Demand,
    /// Who waits for the end, and how long at most.
    pub waiter: Option<(Box<dyn Waiter>, Option<Duration>)>,
}

/// What a user asks of the worker.
#[derive(Debug)]
pub(crate) enum Demand {
    /// A pass over one graph, or all.
    Pass(Option<GraphName>),
    /// Something of a graph's quarantine.
    Errand(GraphName, Wish),
    /// The vectors of some texts.
    Question(Vec<Text>),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("demand", &self.demand).finish_non_exhaustive()
    }
}
