//! The nodes a pass holds, and how each of them leaves it: written, marked, sent again, or left.

use std::time::Instant;

use crate::fill::lane::batch::Batch;
use crate::fill::lane::cache::Known;
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::store::{Job, Mark, Row};
use crate::fill::quarantine::mark;

impl Pass {
    /// Ends the pass early. The stronger of two endings holds.
    pub(crate) fn end(&mut self, ending: Ending) {
        if self.ending.is_none_or(|known| known == Ending::Stop) {
            self.ending = Some(ending);
        }
        let waiting =
            self.batcher.clear() + self.retries.drain(..).map(|batch| batch.nodes()).sum::<usize>();
        self.leave(waiting);
        self.indexes_to_create.clear();
        if ending != Ending::Stop {
            let written = self.marks.drain(..).len() + self.rows.drain(..).len();
            self.leave(written);
        }
    }

    /// Settles nodes that get no vector in this pass, through no fault of their own.
    pub(crate) fn leave(&mut self, nodes: usize) {
        if self.ending == Some(Ending::Gone) {
            self.tally.stale += nodes as u64;
        } else {
            self.tally.deferred += nodes as u64;
        }
    }

    /// So many nodes are no longer in flight.
    pub(crate) fn land(&mut self, nodes: usize) {
        self.in_flight = self.in_flight.saturating_sub(nodes);
    }

    /// Sends a batch again, unless the pass is ending.
    pub(crate) fn again(&mut self, batch: Batch) {
        if self.ending.is_some() {
            self.leave(batch.nodes());
        } else {
            self.retries.push_back(batch);
        }
    }

    /// Nodes whose vector is known become rows, and those whose text is on its way wait for it. Only
    /// looks when something came back or came in.
    pub(crate) fn settle_known(&mut self, known: &mut Known) {
        let seen = (known.landings(), self.tally.selected);
        if std::mem::replace(&mut self.known_seen, seen) == seen {
            return;
        }
        let mut sorted = self.batcher.sort(known, &self.indexes);
        self.rows.append(&mut sorted);
    }

    /// Takes in rows to be written.
    pub(crate) fn accept(&mut self, rows: Vec<Row>) {
        match self.ending {
            None | Some(Ending::Stop) => self.rows.extend(rows),
            Some(Ending::Abandon | Ending::Gone) => self.leave(rows.len()),
        }
    }

    /// The write to be made next; at most one is out at a time. **Where rows become a slice.**
    pub(crate) fn next_job(&mut self, now: Instant) -> Option<Job> {
        if self.writing.is_some() || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        if !self.building
            && let Some(index) = self.indexes_to_create.pop_front()
        {
            return Some(Job::CreateIndex(index));
        }
        if !self.marks.is_empty() {
            let bytes = |mark: &Mark| mark.text.query_bytes() + mark.note.len();
            return Some(Job::Quarantine(self.slicer.take(&mut self.marks, bytes)));
        }
        let rows = self.slicer.take(&mut self.rows, Row::query_bytes);
        (!rows.is_empty()).then_some(Job::Vectors(rows))
    }

    /// Puts a write back that the store refused for now.
    pub(crate) fn put_back(&mut self, job: Job) {
        match job {
            Job::Vectors(rows) => rows.into_iter().rev().for_each(|row| self.rows.push_front(row)),
            Job::Quarantine(marks) => {
                marks.into_iter().rev().for_each(|mark| self.marks.push_front(mark));
            }
            Job::CreateIndex(index) => self.indexes_to_create.push_front(index),
        }
    }

    /// Nodes to be marked with the reason their text is refused.
    pub(crate) fn quarantine(&mut self, batch: Batch, reason: &str) {
        for input in batch.inputs {
            for node in input.nodes {
                let (text, note) = (input.text.clone(), mark::note(reason, &input.text));
                self.marks.push_back(Mark { id: node.id, text, note });
            }
        }
    }
}
