//! What a pass reads next, and when it moves on.

use std::time::Instant;

use crate::fill::pass::plan::{Stage, Step};
use crate::fill::pass::{EXTENSION_REST, Pass};
use crate::fill::port::store::Query;
use crate::fill::sweep::{INITIAL_WIDTH, Sweep};

/// Counting by label requires replies of at least this many rows; with fewer, the labels of vectors
/// that already existed stay unknown.
const MIN_LABEL_ROWS: usize = 100;

impl Pass {
    /// Takes the query this pass needs next, if it needs one; `room` = nodes it may still take in.
    pub(crate) fn take_query(&mut self, now: Instant, room: usize) -> Option<Query> {
        let resting = self.not_before.is_some_and(|at| at > now);
        if self.ending.is_some() || self.reading || resting {
            return None;
        }
        let query = self.next_query(room);
        self.reading = query.is_some();
        query
    }

    fn next_query(&self, room: usize) -> Option<Query> {
        match &self.stage {
            Stage::Building if self.writing.is_some() => None,
            Stage::Building if !self.building && !self.indexes_to_create.is_empty() => None,
            Stage::Indexes | Stage::Building => Some(Query::Indexes),
            Stage::CountingAll => Some(Query::CountAll {
                nodes: INITIAL_WIDTH,
                rows: self.plan.max_rows,
                labels: self.counts_labels(),
            }),
            Stage::Counting(sweep) => sweep.window(self.plan.max_rows).map(|window| {
                // Listing labels is cheap on a small graph, but takes time on a large one.
                let wanted = window.from.id == 0 || self.plan.check_indexes;
                Query::Count { window, labels: wanted && self.counts_labels() }
            }),
            Stage::Filling(sweep) if room > 0 => sweep.window(room).map(Query::Select),
            Stage::Reviewing(sweep) if room > 0 => {
                sweep.window(room).map(|window| Query::Marked { window, texts: true })
            }
            Stage::Filling(_) | Stage::Reviewing(_) | Stage::Done => None,
            Stage::Lists(_) => self.lists_query(),
            Stage::Sampling(labels) => labels.last().cloned().map(Query::Sample),
        }
    }

    /// Looks for new nodes while everything it has selected is at the embedder, or under suspicion
    /// there: new nodes need not wait for the end of the pass.
    pub(crate) fn extend(&mut self, now: Instant) {
        let waits = self.in_flight > 0 && self.held() == self.in_flight && !self.reading;
        let swept = self.selecting().is_some_and(Sweep::is_done);
        let rested = self.extended.is_none_or(|at| now >= at + EXTENSION_REST);
        let filling = self.ending.is_none() && matches!(self.stage, Stage::Filling(_));
        if let Some(end) = self.end_of_graph.filter(|_| filling && waits && swept && rested) {
            self.extended = Some(now);
            self.stage = Stage::Filling(Sweep::new(end, self.plan.max_rows));
        }
    }

    /// Whether more nodes may still be selected.
    pub(super) fn expects_more(&self) -> bool {
        self.ending.is_none() && self.selecting().is_some_and(|sweep| !sweep.is_done())
    }

    /// The sweep that takes in nodes.
    fn selecting(&self) -> Option<&Sweep> {
        if let Stage::Filling(sweep) | Stage::Reviewing(sweep) = &self.stage {
            Some(sweep)
        } else {
            None
        }
    }

    /// Makes the windows smaller after the engine's TIMEOUT ended a query.
    pub(super) fn narrow(&mut self) {
        match &mut self.stage {
            Stage::Counting(sweep) | Stage::Filling(sweep) | Stage::Reviewing(sweep) => {
                sweep.narrow();
            }
            Stage::CountingAll => {
                self.stage = Stage::Counting(Sweep::new(0, self.plan.max_rows));
                self.narrow();
            }
            Stage::Indexes
            | Stage::Lists(_)
            | Stage::Sampling(_)
            | Stage::Building
            | Stage::Done => {}
        }
    }

    /// Moves on once everything selected is settled.
    pub(crate) fn step(&mut self) -> Step {
        if self.held() > 0 || self.reading || self.writing.is_some() {
            return Step::Stay;
        }
        if self.ending.is_some() {
            return Step::Over;
        }
        if self.selecting().is_some_and(Sweep::is_done) {
            self.stage = self.after_sweep();
            return Step::Moved;
        }
        if self.lists_are_done() {
            self.stage = self.after_drain();
            return Step::Moved;
        }
        let over = matches!(self.stage, Stage::Done) && self.indexes_to_create.is_empty();
        if over { Step::Over } else { Step::Stay }
    }

    /// Whether nodes are counted by label: every label's row must fit into the reply.
    pub(super) fn counts_labels(&self) -> bool {
        self.plan.max_rows >= MIN_LABEL_ROWS
    }
}
