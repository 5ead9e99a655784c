//! What a user asks of the quarantine: to list it, or to lift it.
//!
//! An errand sweeps a graph in windows like a pass does, so that no query of it is long, and writes
//! in the same guarded way. It has a limit, because a user waits for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::entity::{GraphName, NodeId};
use crate::fill::Filler;
use crate::fill::port::event::{Action, Failure, Outcome, RunFault, ServerState, Wish};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::store::{Change, Marked, Query, Readers, Write};
use crate::fill::quarantine::mark;
use crate::fill::store::MOST_PUT_OFF;
use crate::fill::sweep::Sweep;

/// Errands under way at the same time.
const MOST_ERRANDS: usize = 64;
/// How long a user waits at most.
const LIMIT: Duration = Duration::from_mins(1);
/// Pause after the store has refused.
const PAUSE: Duration = Duration::from_millis(20);
/// Nodes of one write: a few microseconds each.
const MOST_LIFTED: usize = 128;

/// One user's wish, and how far it has come.
#[derive(Debug)]
pub(crate) struct Errand {
    id: RunId,
    graph: GraphName,
    wish: Wish,
    /// The window to be read next; `None` = no reading is needed.
    sweep: Option<Sweep>,
    failures: Vec<Failure>,
    /// Nodes whose marks are to be taken away.
    ids: VecDeque<NodeId>,
    lifted: u64,
    reading: Option<(Ticket, Query)>,
    writing: bool,
    put_off: u32,
    not_before: Option<Instant>,
    until: Instant,
}

impl Errand {
    fn new(id: RunId, graph: GraphName, wish: Wish, most_rows: usize, now: Instant) -> Self {
        let ids: VecDeque<NodeId> = match &wish {
            Wish::Lift { ids: Some(ids) } => ids.iter().copied().collect(),
            Wish::Lift { ids: None } | Wish::List { .. } => VecDeque::new(),
        };
        let named = matches!(wish, Wish::Lift { ids: Some(_) });
        Self {
            id,
            graph,
            wish,
            sweep: (!named).then(|| Sweep::new(0, most_rows)),
            failures: Vec::new(),
            ids,
            lifted: 0,
            reading: None,
            writing: false,
            put_off: 0,
            not_before: None,
            until: now + LIMIT,
        }
    }

    /// When to come back: at a pause's end, or when the user has waited long enough.
    pub(crate) fn deadline(&self) -> Instant {
        self.not_before.map_or(self.until, |at| at.min(self.until))
    }

    /// Whether a write of it has not come back.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.reading.is_none() && !self.writing && self.not_before.is_none_or(|at| at <= now)
    }

    /// The window to read: one at a time, and only when nothing is left to be lifted.
    fn next_query(&self) -> Option<Query> {
        let sweep = self.sweep.as_ref().filter(|_| self.ids.is_empty())?;
        let room = match &self.wish {
            Wish::List { most } => most.saturating_sub(self.failures.len()),
            Wish::Lift { .. } => usize::MAX,
        };
        let window = sweep.window(room).filter(|_| room > 0)?;
        Some(Query::Marked { window, texts: false })
    }

    fn learn(&mut self, query: &Query, marked: Marked) {
        let (Some(sweep), Query::Marked { window, .. }) = (&mut self.sweep, query) else { return };
        sweep.advance(*window, marked.seen);
        for node in marked.rows {
            match &self.wish {
                Wish::List { .. } => {
                    let words = mark::words(&node.note).to_owned();
                    self.failures.push(Failure { id: node.id, words });
                }
                Wish::Lift { .. } => self.ids.push_back(node.id),
            }
        }
    }

    fn outcome(self) -> Outcome {
        match self.wish {
            Wish::List { .. } => Outcome::Failures(self.failures),
            Wish::Lift { .. } => Outcome::Lifted(self.lifted),
        }
    }
}

impl Filler {
    /// A user asks something of a graph's quarantine.
    pub(crate) fn ask(&mut self, now: Instant, id: RunId, graph: GraphName, wish: Wish) {
        let reads_only = matches!(wish, Wish::List { .. });
        let fault = self.server.fault().filter(|_| {
            // A replica can be read.
            !(reads_only && self.server == ServerState::Replica)
        });
        let full = (self.errands.len() >= MOST_ERRANDS).then_some(RunFault::Busy);
        if let Some(fault) = fault.or(full) {
            return self.answer(id, Err(fault));
        }
        let most_rows = self.most_rows();
        self.errands.push(Errand::new(id, graph, wish, most_rows, now));
    }

    /// Hands out what the errands need next, and answers those that are done.
    pub(crate) fn run_errands(&mut self, now: Instant) {
        for mut errand in std::mem::take(&mut self.errands) {
            if now >= errand.until {
                let done = errand.lifted;
                self.end_errand(errand, Some(RunFault::Late { done }));
            } else if !errand.is_idle(now) {
                self.errands.push(errand);
            } else if let Some(query) = errand.next_query() {
                let (graph, rule) = (errand.graph.clone(), self.settings.rule.clone());
                let ticket = self.ask_store(graph, rule, query.clone());
                errand.reading = Some((ticket, query));
                self.errands.push(errand);
            } else if errand.ids.is_empty() {
                self.end_errand(errand, None);
            } else {
                self.errands.push(errand);
            }
        }
    }

    /// The next write of an errand, if one has anything to write.
    pub(crate) fn hand_out_lift(&mut self, now: Instant) -> bool {
        let ready = |errand: &&mut Errand| errand.is_idle(now) && !errand.ids.is_empty();
        let Some(errand) = self.errands.iter_mut().find(ready) else { return false };
        errand.writing = true;
        let most = MOST_LIFTED.min(errand.ids.len());
        let ids = errand.ids.drain(..most).collect();
        let change = Change::Lift { errand: errand.id, ids };
        let (graph, rule) = (errand.graph.clone(), self.settings.rule.clone());
        let hurried = errand.put_off >= MOST_PUT_OFF;
        let readers = if hurried { Readers::AllowRecent } else { Readers::Wait };
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let write = Write { ticket, graph, rule, change, readers, effects: false };
        self.actions.push_back(Action::Write(write));
        true
    }

    /// A read that no pass waits for has been answered.
    pub(crate) fn read_errand(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Option<Marked>, StoreFault>,
    ) {
        let waits = |errand: &&mut Errand| errand.reading.as_ref().is_some_and(|r| r.0 == ticket);
        let Some(errand) = self.errands.iter_mut().find(waits) else { return };
        let Some((_, query)) = errand.reading.take() else { return };
        match outcome {
            Ok(marked) => marked.into_iter().for_each(|marked| errand.learn(&query, marked)),
            Err(fault) => {
                let id = errand.id;
                self.errand_failed(now, id, &fault);
            }
        }
    }

    /// The write of an errand has come back.
    pub(crate) fn lifted(
        &mut self,
        now: Instant,
        id: RunId,
        ids: Vec<NodeId>,
        outcome: Result<usize, StoreFault>,
    ) {
        let Some(errand) = self.errands.iter_mut().find(|errand| errand.id == id) else { return };
        errand.writing = false;
        match outcome {
            Ok(lifted) => {
                errand.lifted += lifted as u64;
                errand.put_off = 0;
            }
            Err(fault) => {
                ids.into_iter().rev().for_each(|id| errand.ids.push_front(id));
                self.errand_failed(now, id, &fault);
            }
        }
    }

    /// What passes by itself is waited for; anything else the user is told.
    fn errand_failed(&mut self, now: Instant, id: RunId, fault: &StoreFault) {
        let Some(at) = self.errands.iter().position(|errand| errand.id == id) else { return };
        let mut errand = self.errands.remove(at);
        if fault.passes_by_itself() || *fault == StoreFault::Timeout {
            errand.not_before = Some(now + PAUSE);
            errand.put_off += u32::from(*fault == StoreFault::Begun);
            errand.sweep.iter_mut().for_each(Sweep::narrow);
            self.errands.push(errand);
            return;
        }
        let gone = (*fault == StoreFault::NoGraph).then(|| RunFault::NoGraph(errand.graph.clone()));
        let told = gone.or_else(|| fault.server().and_then(ServerState::fault));
        let told = told.unwrap_or_else(|| RunFault::Store(fault.to_string()));
        self.end_errand(errand, Some(told));
    }

    /// Answers the user; what was lifted is tried again, whatever became of the rest.
    fn end_errand(&mut self, errand: Errand, fault: Option<RunFault>) {
        if errand.lifted > 0 {
            self.forgive();
            self.graphs.edit(&errand.graph, |graph| graph.lifted(errand.lifted));
        }
        let (run, outcome) = (errand.id, errand.outcome());
        self.answer(run, fault.map_or(Ok(outcome), Err));
    }
}
