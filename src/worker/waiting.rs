//! Users waiting for an answer from the core.
//!
//! Each is answered once, by whatever comes first: the core's answer, the user's own limit, or the
//! end of the body, which drops the envelope. Later answers to the same request are ignored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::fill::port::event::{Failure, Outcome};
use crate::fill::port::id::RunId;
use crate::fill::port::server::RunFault;
use crate::fill::tally::Tally;
use crate::worker::port::{Envelope, WaitFault};

/// A waiting user, by what they wait for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the end of a pass.
    Pass(Envelope<Tally>),
    /// For the list of quarantined nodes.
    Failures(Envelope<Vec<Failure>>),
    /// For the number of nodes released from quarantine.
    Released(Envelope<u64>),
    /// For vectors, in the order of their texts.
    Vectors(Envelope<Vec<Arc<[f32]>>>),
}

impl Waiting {
    /// The kind of answer fits the kind of waiting, as the core answers what it was asked.
    fn respond(self, outcome: Result<Outcome, WaitFault>) {
        match (self, outcome) {
            (Self::Pass(user), Ok(Outcome::Pass(tally))) => user.responder.respond(Ok(tally)),
            (Self::Failures(user), Ok(Outcome::Failures(list))) => user.responder.respond(Ok(list)),
            (Self::Released(user), Ok(Outcome::Released(n))) => user.responder.respond(Ok(n)),
            (Self::Vectors(user), Ok(Outcome::Vectors(list))) => user.responder.respond(Ok(list)),
            (Self::Pass(user), Err(fault)) => user.responder.respond(Err(fault)),
            (Self::Failures(user), Err(fault)) => user.responder.respond(Err(fault)),
            (Self::Released(user), Err(fault)) => user.responder.respond(Err(fault)),
            (Self::Vectors(user), Err(fault)) => user.responder.respond(Err(fault)),
            // Dropping it answers the user with an error.
            (waiting, Ok(outcome)) => debug_assert!(false, "{outcome:?} for {waiting:?}"),
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Pass(user) => user.responder.is_gone(),
            Self::Failures(user) => user.responder.is_gone(),
            Self::Released(user) => user.responder.is_gone(),
            Self::Vectors(user) => user.responder.is_gone(),
        }
    }

    /// The limit counts from when the worker took up the request, not from when the client sent it.
    fn until(&self, now: Instant) -> Option<Instant> {
        let limit = match self {
            Self::Pass(user) => user.limit,
            Self::Failures(user) => user.limit,
            Self::Released(user) => user.limit,
            Self::Vectors(user) => user.limit,
        };
        limit.map(|limit| now + limit)
    }
}

/// All waiting users, with their deadlines.
#[derive(Debug, Default)]
pub(super) struct WaitingRoom {
    /// Bounded by the server's number of clients: each has one request at most.
    open: HashMap<RunId, (Waiting, Option<Instant>)>,
    /// The last one given; ids are not reused, so that a late answer finds nobody.
    ids: u64,
}

impl WaitingRoom {
    /// Adds a waiting user. The id identifies the request to the core.
    pub(super) fn enter(&mut self, waiting: Waiting, now: Instant) -> RunId {
        self.ids += 1;
        let until = waiting.until(now);
        self.open.insert(RunId(self.ids), (waiting, until));
        RunId(self.ids)
    }

    /// Whether no user is waiting.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The earliest deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(|(_, until)| *until).min()
    }

    /// Answers a user, if still waiting.
    /// One who has given up in the meantime is not an error.
    pub(super) fn respond(&mut self, run: RunId, outcome: Result<Outcome, RunFault>) {
        if let Some((waiting, _)) = self.open.remove(&run) {
            waiting.respond(outcome.map_err(WaitFault::Run));
        }
    }

    /// Removes users whose client has gone, and returns their requests.
    /// Dropping an envelope whose client has gone is harmless.
    pub(super) fn take_gone(&mut self) -> Vec<RunId> {
        self.open.extract_if(|_, (waiting, _)| waiting.is_gone()).map(|(run, _)| run).collect()
    }

    /// Answers users past their deadline with a timeout, and returns their requests.
    /// The caller reports these to the core, or it would go on for nobody: queries are dropped,
    /// while a pass goes on.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<RunId> {
        let late = self.open.extract_if(|_, (_, until)| until.is_some_and(|at| at <= now));
        let late: Vec<(RunId, (Waiting, Option<Instant>))> = late.collect();
        late.into_iter()
            .map(|(run, (waiting, _))| {
                waiting.respond(Err(WaitFault::Timeout));
                run
            })
            .collect()
    }
}
