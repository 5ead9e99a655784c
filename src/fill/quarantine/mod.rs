//! Quarantine: the mark on a node whose text is refused ([`mark`]), and users' requests about such
//! nodes: to list them, or to release them.
//!
//! A [`QuarantineJob`] sweeps a graph in windows like a pass, so that none of its queries is long,
//! and writes in the same guarded way. It has a time limit, because a user is waiting for it.

mod job;
pub(crate) mod mark;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::entity::{Entity, GraphName};
use crate::fill::port::event::{Outcome, QuarantineRequest};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::RunId;
use crate::fill::port::server::RunFault;
use crate::fill::port::store::{Marked, Query, Readers};
use crate::fill::quarantine::job::QuarantineJob;
use crate::rule::Rule;
use crate::rule::name::RuleName;

/// Maximum jobs under way at the same time.
const MAX_JOBS: usize = 64;

/// All unfinished user requests about the quarantine.
#[derive(Debug, Default)]
pub(crate) struct QuarantineJobs {
    open: Vec<QuarantineJob>,
}

/// A user's request.
#[derive(Debug)]
pub(crate) struct JobRequest {
    pub(crate) run: RunId,
    pub(crate) graph: GraphName,
    /// The rules whose marks are meant; at least one.
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) request: QuarantineRequest,
}

/// A read that a job needs.
#[derive(Debug)]
pub(crate) struct JobRead {
    pub(crate) run: RunId,
    pub(crate) graph: GraphName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) query: Query,
}

/// A write that a job needs: marks to remove.
#[derive(Debug)]
pub(crate) struct JobWrite {
    pub(crate) run: RunId,
    pub(crate) graph: GraphName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) entities: Vec<Entity>,
    pub(crate) readers: Readers,
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct JobDone {
    pub(crate) run: RunId,
    pub(crate) graph: GraphName,
    /// Entities to be tried again, by rule, whatever happened to the others.
    pub(crate) released: BTreeMap<RuleName, u64>,
    pub(crate) outcome: Result<Outcome, RunFault>,
}

impl QuarantineJobs {
    /// Opens a job for a user's request.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        request: JobRequest,
        max_rows: usize,
    ) -> Result<(), RunFault> {
        if self.open.len() >= MAX_JOBS {
            return Err(RunFault::Busy);
        }
        self.open.push(QuarantineJob::new(request, max_rows, now));
        Ok(())
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The latest time to come back.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.iter().map(QuarantineJob::deadline).min()
    }

    /// Takes a read that a job needs now.
    pub(crate) fn take_read(&mut self, now: Instant) -> Option<JobRead> {
        self.open.iter_mut().find_map(|job| job.take_read(now))
    }

    /// Takes a write that a job needs now.
    pub(crate) fn take_write(&mut self, now: Instant) -> Option<JobWrite> {
        self.open.iter_mut().find_map(|job| job.take_write(now))
    }

    /// A read of a job was answered.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        run: RunId,
        query: &Query,
        outcome: Result<Option<Marked>, StoreFault>,
    ) {
        if let Some(job) = self.find(run) {
            job.read(now, query, outcome);
        }
    }

    /// A write of a job has finished; `outcome` = how many marks it removed.
    pub(crate) fn wrote(
        &mut self,
        now: Instant,
        run: RunId,
        entities: Vec<Entity>,
        outcome: Result<usize, StoreFault>,
    ) {
        if let Some(job) = self.find(run) {
            job.wrote(now, entities, outcome);
        }
    }

    fn find(&mut self, run: RunId) -> Option<&mut QuarantineJob> {
        self.open.iter_mut().find(|job| job.run() == run)
    }

    /// Takes out the jobs that have ended, or whose user has waited long enough.
    pub(crate) fn take_done(&mut self, now: Instant) -> Vec<JobDone> {
        self.open.extract_if(.., |job| job.is_over(now)).map(QuarantineJob::done).collect()
    }
}

#[cfg(test)]
mod tests;
