//! One user request about the quarantine, and its progress.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::{Entity, EntityId, GraphName};
use crate::fill::port::event::{Failure, Outcome, QuarantineRequest};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::RunId;
use crate::fill::port::server::{RunFault, ServerState};
use crate::fill::port::store::{Marked, Query, Readers, Selected};
use crate::fill::quarantine::{JobDone, JobRead, JobRequest, JobWrite, mark};
use crate::fill::retry::StorePause;
use crate::fill::sweep::Sweep;
use crate::rule::Rule;
use crate::rule::name::RuleName;

/// How long a user waits at most.
const LIMIT: Duration = Duration::from_mins(1);
/// Maximum nodes per write: a few microseconds each.
const MAX_RELEASED: usize = 128;

/// A request, and its progress.
#[derive(Debug)]
pub(super) struct QuarantineJob {
    run: RunId,
    graph: GraphName,
    /// The rules still to be looked at; the first one is being looked at.
    rules: VecDeque<Arc<Rule>>,
    request: QuarantineRequest,
    max_rows: usize,
    /// The sweep to read from; `None` = nothing has to be read.
    sweep: Option<Sweep>,
    failures: Vec<Failure>,
    /// Entities whose marks are to be removed.
    entities: VecDeque<Entity>,
    released: BTreeMap<RuleName, u64>,
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
        let JobRequest { run, graph, rules, request } = asked;
        let mut job = Self {
            run,
            graph,
            rules: rules.into(),
            request,
            max_rows,
            sweep: None,
            failures: Vec::new(),
            entities: VecDeque::new(),
            released: BTreeMap::new(),
            waits: false,
            put_off: 0,
            not_before: None,
            until: now + LIMIT,
            fault: None,
        };
        job.begin_rule();
        job
    }

    /// Begins with the first rule that is left. Nodes that are named need not be looked for;
    /// relationships are found by their ends only, so they must be.
    fn begin_rule(&mut self) {
        let Some(rule) = self.rules.front() else { return };
        self.sweep = match &self.request {
            QuarantineRequest::Release { ids: Some(ids) } if !rule.pattern.is_relationships() => {
                let node =
                    |id: &EntityId| Entity { id: *id, label: None, ends: None, properties: None };
                self.entities.extend(ids.iter().map(node));
                None
            }
            QuarantineRequest::Release { .. } | QuarantineRequest::List { .. } => {
                Some(Sweep::new(0, self.max_rows))
            }
        };
    }

    /// Goes on with the next rule once nothing is left to do for this one.
    fn next_rule(&mut self) {
        while self.rules.len() > 1
            && self.fault.is_none()
            && self.entities.is_empty()
            && self.next_query().is_none()
        {
            self.rules.pop_front();
            self.begin_rule();
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
        let rule = Arc::clone(self.rules.front()?);
        let query = self.next_query().filter(|_| self.is_idle(now))?;
        self.waits = true;
        Some(JobRead { run: self.run, graph: self.graph.clone(), rule, query })
    }

    fn next_query(&self) -> Option<Query> {
        let sweep = self.sweep.as_ref().filter(|_| self.entities.is_empty())?;
        let room = match &self.request {
            QuarantineRequest::List { most } => most.saturating_sub(self.failures.len()),
            QuarantineRequest::Release { .. } => usize::MAX,
        };
        let window = sweep.window(room).filter(|_| room > 0)?;
        Some(Query::Marked { window, texts: false })
    }

    pub(super) fn take_write(&mut self, now: Instant) -> Option<JobWrite> {
        if self.entities.is_empty() || !self.is_idle(now) {
            return None;
        }
        let rule = Arc::clone(self.rules.front()?);
        self.waits = true;
        let entities = self.entities.drain(..MAX_RELEASED.min(self.entities.len())).collect();
        let (graph, readers) = (self.graph.clone(), Readers::after(self.put_off));
        Some(JobWrite { run: self.run, graph, rule, entities, readers })
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
        self.next_rule();
    }

    fn take_in(&mut self, query: &Query, marked: Marked) {
        let (Some(sweep), Query::Marked { window, .. }) = (&mut self.sweep, query) else { return };
        let Some(rule) = self.rules.front() else { return };
        sweep.advance(*window, marked.seen);
        for (row, note) in marked.rows {
            match &self.request {
                QuarantineRequest::List { .. } => {
                    let (rule, words) = (rule.name.clone(), mark::words(&note).to_owned());
                    self.failures.push(Failure { id: row.id, rule, words });
                }
                QuarantineRequest::Release { ids } => {
                    if ids.as_ref().is_none_or(|ids| ids.contains(&row.id)) {
                        let Selected { id, ends, .. } = row;
                        self.entities.push_back(Entity { id, label: None, ends, properties: None });
                    }
                }
            }
        }
    }

    pub(super) fn wrote(
        &mut self,
        now: Instant,
        entities: Vec<Entity>,
        outcome: Result<usize, StoreFault>,
    ) {
        self.waits = false;
        match (outcome, self.rules.front()) {
            (Ok(released), Some(rule)) => {
                *self.released.entry(rule.name.clone()).or_default() += released as u64;
                self.put_off = 0;
            }
            (Ok(_), None) => debug_assert!(false, "a job without a rule"),
            (Err(fault), _) => {
                entities.into_iter().rev().for_each(|entity| self.entities.push_front(entity));
                self.failed(now, &fault);
            }
        }
        self.next_rule();
    }

    fn released(&self) -> u64 {
        self.released.values().sum()
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
        let finished = self.is_idle(now) && self.entities.is_empty() && self.next_query().is_none();
        self.fault.is_some() || now >= self.until || finished
    }

    pub(super) fn done(self) -> JobDone {
        let finished = self.entities.is_empty() && self.next_query().is_none() && !self.waits;
        let late = (!finished).then_some(RunFault::Late { done: self.released() });
        let released = self.released();
        let outcome = match (self.fault.or(late), self.request) {
            (Some(fault), _) => Err(fault),
            (None, QuarantineRequest::List { .. }) => Ok(Outcome::Failures(self.failures)),
            (None, QuarantineRequest::Release { .. }) => Ok(Outcome::Released(released)),
        };
        JobDone { run: self.run, graph: self.graph, released: self.released, outcome }
    }
}
