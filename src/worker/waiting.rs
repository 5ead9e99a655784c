//! Users waiting for an answer from the core.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::fill::port::event::{Failure, Outcome, RunFault};
use crate::fill::port::id::RunId;
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
    open: HashMap<RunId, (Waiting, Option<Instant>)>,
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
    pub(super) fn respond(&mut self, run: RunId, outcome: Result<Outcome, RunFault>) {
        if let Some((waiting, _)) = self.open.remove(&run) {
            waiting.respond(outcome.map_err(WaitFault::Run));
        }
    }

    /// Removes users whose client has gone, and returns their requests.
    pub(super) fn take_gone(&mut self) -> Vec<RunId> {
        self.open.extract_if(|_, (waiting, _)| waiting.is_gone()).map(|(run, _)| run).collect()
    }

    /// Answers users past their deadline with a timeout, and returns their requests.
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
