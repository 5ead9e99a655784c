//! The nodes a pass holds, and how each of them leaves it: written, marked, sent again, or left.

use std::time::Instant;

use super::{Ending, Pass};
use crate::fill::node::{Batch, NodeId, Row, Text};
use crate::fill::store::Job;

impl Pass {
    /// Ends the pass early. The stronger of two endings holds.
    pub(in crate::fill) fn end(&mut self, ending: Ending) {
        if self.ending.is_none_or(|known| known == Ending::Stop) {
            self.ending = Some(ending);
        }
        let waiting =
            self.batcher.clear() + self.retries.drain(..).map(|batch| batch.nodes()).sum::<usize>();
        self.leave(waiting);
        self.jobs.retain(|job| !matches!(job, Job::CreateIndex { .. }));
        if ending != Ending::Stop {
            let marks: usize = self.jobs.drain(..).map(|job| marked(&job)).sum();
            let rows = self.rows.drain(..).len();
            self.leave(rows + marks);
        }
    }

    /// Settles nodes that get no vector in this pass, through no fault of their own.
    pub(in crate::fill) fn leave(&mut self, nodes: usize) {
        if self.ending == Some(Ending::Gone) {
            self.tally.stale += nodes as u64;
        } else {
            self.tally.deferred += nodes as u64;
        }
    }

    /// Sends a batch again, unless the pass is ending.
    pub(in crate::fill) fn again(&mut self, batch: Batch) {
        if self.ending.is_some() {
            self.leave(batch.nodes());
        } else {
            self.retries.push_back(batch);
        }
    }

    /// Takes in rows to be written.
    pub(in crate::fill) fn accept(&mut self, rows: Vec<Row>) {
        match self.ending {
            None | Some(Ending::Stop) => self.rows.extend(rows),
            Some(Ending::Abandon | Ending::Gone) => self.leave(rows.len()),
        }
    }

    /// The write to be made next; at most one is out at a time.
    pub(in crate::fill) fn next_job(&mut self, now: Instant) -> Option<Job> {
        if self.writing || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        if let Some(job) = self.jobs.pop_front() {
            return Some(job);
        }
        let rows: Vec<Row> = self.rows.drain(..self.slicer.rows().min(self.rows.len())).collect();
        (!rows.is_empty()).then_some(Job::Vectors(rows))
    }

    /// Puts a write back that the store refused for now.
    pub(in crate::fill) fn put_back(&mut self, job: Job) {
        match job {
            Job::Vectors(rows) => rows.into_iter().rev().for_each(|row| self.rows.push_front(row)),
            Job::Quarantine { .. } | Job::CreateIndex { .. } => self.jobs.push_front(job),
        }
    }

    /// Nodes to be marked with the reason their text is refused.
    pub(in crate::fill) fn quarantine(&mut self, batch: Batch, reason: String) {
        let nodes = batch.inputs.into_iter().flat_map(|input| {
            input.nodes.into_iter().map(move |node| (node.id, input.text.clone()))
        });
        let nodes: Vec<(NodeId, Text)> = nodes.collect();
        self.jobs.push_back(Job::Quarantine { nodes, reason });
    }
}

/// Nodes a job settles that are not rows.
pub(super) fn marked(job: &Job) -> usize {
    match job {
        Job::Quarantine { nodes, .. } => nodes.len(),
        Job::Vectors(rows) => rows.len(),
        Job::CreateIndex { .. } => 0,
    }
}
