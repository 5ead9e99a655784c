//! One user request about the quarantine, and its progress.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::entity::{EntityId, GraphName};
use crate::fill::port::event::{Failure, Outcome, QuarantineRequest, RunFault, ServerState};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::RunId;
use crate::fill::port::store::{Marked, Query, Readers};
use crate::fill::quarantine::{JobDone, JobRead, JobRequest, JobWrite, mark};
use crate::fill::retry::StorePause;
use crate::fill::sweep::Sweep;

/// How long a user waits at most.
const LIMIT: Duration = Duration::from_mins(1);
/// Maximum nodes per write: a few microseconds each.
const MAX_RELEASED: usize = 128;

/// A request, and its progress.
#[derive(Debug)]
pub(super) struct QuarantineJob {
    run: RunId,
    graph: GraphName,
    request: QuarantineRequest,
    /// The sweep to read from; `None` = nothing has to be read.
    sweep: Option<Sweep>,
    failures: Vec<Failure>,
    /// Nodes whose marks are to be removed.
    ids: VecDeque<EntityId>,
    released: u64,
    /// A read or a write is in flight.
    waits: bool,
    put_off: u32,
    not_before: Option<Instant>,
    until: Instant,
    /// What ended it.
    fault: Option<RunFault>,
}

impl QuarantineJob {
    pub(super) fn new(asked: JobRequest, max_rows: usize, now: Instant) -> Self {
        let JobRequest { run, graph, request } = asked;
        let named = match &request {
            QuarantineRequest::Release { ids } => ids.clone(),
            QuarantineRequest::List { .. } => None,
        };
        Self {
            run,
            graph,
            request,
            sweep: named.is_none().then(|| Sweep::new(0, max_rows)),
            failures: Vec::new(),
            ids: named.unwrap_or_default().into(),
            released: 0,
            waits: false,
            put_off: 0,
            not_before: None,
            until: now + LIMIT,
            fault: None,
        }
    }

    pub(super) fn run(&self) -> RunId {
        self.run
    }

    /// When to come back: at a pause's end, or when the user has waited long enough.
    pub(super) fn deadline(&self) -> Instant {
        self.not_before.map_or(self.until, |at| at.min(self.until))
    }

    fn is_idle(&self, now: Instant) -> bool {
        let resting = self.not_before.is_some_and(|at| at > now);
        !self.waits && !resting && self.fault.is_none()
    }

    /// The window to read: one at a time, and only when nothing is left to release.
    pub(super) fn take_read(&mut self, now: Instant) -> Option<JobRead> {
        let query = self.next_query().filter(|_| self.is_idle(now))?;
        self.waits = true;
        Some(JobRead { run: self.run, graph: self.graph.clone(), query })
    }

    fn next_query(&self) -> Option<Query> {
        let sweep = self.sweep.as_ref().filter(|_| self.ids.is_empty())?;
        let room = match &self.request {
            QuarantineRequest::List { most } => most.saturating_sub(self.failures.len()),
            QuarantineRequest::Release { .. } => usize::MAX,
        };
        let window = sweep.window(room).filter(|_| room > 0)?;
        Some(Query::Marked { window, texts: false })
    }

    pub(super) fn take_write(&mut self, now: Instant) -> Option<JobWrite> {
        if self.ids.is_empty() || !self.is_idle(now) {
            return None;
        }
        self.waits = true;
        let ids = self.ids.drain(..MAX_RELEASED.min(self.ids.len())).collect();
        let (graph, readers) = (self.graph.clone(), Readers::after(self.put_off));
        Some(JobWrite { run: self.run, graph, ids, readers })
    }

    pub(super) fn read(
        &mut self,
        now: Instant,
        query: &Query,
        outcome: Result<Option<Marked>, StoreFault>,
    ) {
        self.waits = false;
        match outcome {
            Ok(marked) => marked.into_iter().for_each(|marked| self.take_in(query, marked)),
            Err(fault) => self.failed(now, &fault),
        }
    }

    fn take_in(&mut self, query: &Query, marked: Marked) {
        let (Some(sweep), Query::Marked { window, .. }) = (&mut self.sweep, query) else { return };
        sweep.advance(*window, marked.seen);
        for node in marked.rows {
            match &self.request {
                QuarantineRequest::List { .. } => {
                    let words = mark::words(&node.note).to_owned();
                    self.failures.push(Failure { id: node.id, words });
                }
                QuarantineRequest::Release { .. } => self.ids.push_back(node.id),
            }
        }
    }

    pub(super) fn wrote(
        &mut self,
        now: Instant,
        ids: Vec<EntityId>,
        outcome: Result<usize, StoreFault>,
    ) {
        self.waits = false;
        match outcome {
            Ok(released) => {
                self.released += released as u64;
                self.put_off = 0;
            }
            Err(fault) => {
                ids.into_iter().rev().for_each(|id| self.ids.push_front(id));
                self.failed(now, &fault);
            }
        }
    }

    /// Waits for a fault that passes on its own; anything else ends the job.
    fn failed(&mut self, now: Instant, fault: &StoreFault) {
        if fault.passes_by_itself() || *fault == StoreFault::Timeout {
            self.not_before = Some(now + StorePause::after(&StoreFault::Readers).max);
            self.put_off += u32::from(*fault == StoreFault::Begun);
            self.sweep.iter_mut().for_each(Sweep::narrow);
            return;
        }
        let gone = (*fault == StoreFault::NoGraph).then(|| RunFault::NoGraph(self.graph.clone()));
        let server = gone.or_else(|| fault.server().and_then(ServerState::fault));
        self.fault = Some(server.unwrap_or_else(|| RunFault::Store(fault.to_string())));
    }

    /// Whether it has ended, or its user has waited long enough.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let finished = self.is_idle(now) && self.ids.is_empty() && self.next_query().is_none();
        self.fault.is_some() || now >= self.until || finished
    }

    pub(super) fn done(self) -> JobDone {
        let finished = self.ids.is_empty() && self.next_query().is_none() && !self.waits;
        let late = (!finished).then_some(RunFault::Late { done: self.released });
        let outcome = match (self.fault.or(late), self.request) {
            (Some(fault), _) => Err(fault),
            (None, QuarantineRequest::List { .. }) => Ok(Outcome::Failures(self.failures)),
            (None, QuarantineRequest::Release { .. }) => Ok(Outcome::Released(self.released)),
        };
        JobDone { run: self.run, graph: self.graph, released: self.released, outcome }
    }
}
