//! The nodes a pass holds, and how each of them leaves it: written, marked, sent again, or
//! deferred.

use std::time::{Duration, Instant};

use crate::fill::lane::batch::Batch;
use crate::fill::lane::batcher::Batcher;
use crate::fill::lane::cache::EmbeddingCache;
use crate::fill::pass::plan::Stage;
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::settings::BatchLimits;
use crate::fill::port::store::{Job, Mark, Readers, Row};
use crate::fill::quarantine::mark;
use crate::rule::Binding;

/// How much a pass may take in now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Nodes it may hold in all stages.
    pub(crate) nodes: usize,
    /// So much text is waiting to be sent that nothing more is selected.
    pub(crate) heavy: bool,
    /// What one request may hold.
    pub(crate) limits: BatchLimits,
}

/// A write of a pass.
#[derive(Debug)]
pub(crate) struct PassJob {
    pub(crate) job: Job,
    /// It does nothing that cannot be expressed as an effect.
    pub(crate) plain: bool,
    pub(crate) readers: Readers,
}

impl Pass {
    /// Ends the pass early. The stronger of two endings wins.
    pub(crate) fn end(&mut self, ending: Ending, reason: Option<&str>) {
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
        if let Some(reason) = reason {
            self.tally.error = Some(reason.to_owned());
        }
    }

    /// Settles nodes that get no vector in this pass, through no fault of their own.
    pub(super) fn leave(&mut self, nodes: usize) {
        if self.ending == Some(Ending::Gone) {
            self.tally.stale += nodes as u64;
        } else {
            self.tally.deferred += nodes as u64;
        }
    }

    /// Bytes of text waiting to be sent.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.batcher.bytes()
    }

    /// Whether it has nodes waiting to be sent.
    pub(crate) fn needs_embedder(&self) -> bool {
        self.batcher.len() > 0 && self.ending.is_none()
    }

    /// The next batch to send: a retry, or a new one once it is full or nothing more is coming. Its
    /// nodes are in flight from now on.
    pub(crate) fn take_batch(
        &mut self,
        now: Instant,
        binding: &Binding,
        room: Room,
        cache: &mut EmbeddingCache,
    ) -> Option<Batch> {
        self.settle_cached(cache);
        // A full batcher cannot grow until nodes in later stages are settled.
        let full = self.held() >= room.nodes && self.held() == self.batcher.len();
        let no_more = !self.expects_more() || full || room.heavy;
        let ready = no_more || self.batcher.is_full(room.limits);
        let fresh = |batcher: &mut Batcher| {
            if ready { batcher.next(binding, room.limits, cache) } else { None }
        };
        let batch = self.take_retry(now).or_else(|| fresh(&mut self.batcher))?;
        self.in_flight += batch.nodes();
        Some(batch)
    }

    fn take_retry(&mut self, now: Instant) -> Option<Batch> {
        let ready = |batch: &Batch| batch.not_before.is_none_or(|at| at <= now);
        let at = self.retries.iter().position(ready)?;
        self.retries.remove(at)
    }

    /// Whether it has nodes for a request.
    pub(crate) fn has_batch(&self) -> bool {
        self.needs_embedder() || !self.retries.is_empty()
    }

    /// Nodes whose vector is cached become rows, and those whose text is in flight wait for it.
    /// Only does any work if something was completed or selected since the last call.
    fn settle_cached(&mut self, cache: &mut EmbeddingCache) {
        let seen = (cache.generation(), self.tally.selected);
        if std::mem::replace(&mut self.cache_seen, seen) == seen {
            return;
        }
        let mut sorted = self.batcher.sort(cache, &self.indexes);
        self.rows.append(&mut sorted);
    }

    /// A request was sent for this pass.
    pub(crate) fn note_request(&mut self) {
        self.tally.requests += 1;
    }

    /// The service counted this many tokens.
    pub(crate) fn note_tokens(&mut self, tokens: u64) {
        self.tally.tokens += tokens;
    }

    /// The texts of this many nodes were shortened.
    pub(crate) fn note_truncated(&mut self, nodes: usize) {
        self.tally.truncated += nodes as u64;
    }

    /// Something went wrong.
    pub(crate) fn note_error(&mut self, why: &str) {
        self.tally.error = Some(why.to_owned());
    }

    /// The vectors of a batch have arrived.
    pub(crate) fn accept(&mut self, rows: Vec<Row>) {
        self.land(rows.len());
        match self.ending {
            None | Some(Ending::Stop) => self.rows.extend(rows),
            Some(Ending::Abandon | Ending::Gone) => self.leave(rows.len()),
        }
    }

    /// A batch has come back and is sent again, unless the pass is ending.
    pub(crate) fn requeue(&mut self, batch: Batch) {
        self.land(batch.nodes());
        if self.ending.is_some() {
            self.leave(batch.nodes());
        } else {
            self.retries.push_back(batch);
        }
    }

    /// Nodes have come back and are left to a later pass.
    pub(crate) fn defer(&mut self, nodes: usize) {
        self.land(nodes);
        self.leave(nodes);
    }

    /// Nodes have come back, to be marked with the reason their text was refused.
    pub(crate) fn quarantine(&mut self, batch: Batch, reason: &str) {
        self.land(batch.nodes());
        for input in batch.inputs {
            for entity in input.entities {
                let (text, note) = (input.text.clone(), mark::note(reason, &input.text));
                self.marks.push_back(Mark { entity, text, note });
            }
        }
    }

    /// This many nodes are no longer in flight.
    fn land(&mut self, nodes: usize) {
        debug_assert!(nodes <= self.in_flight, "{nodes} nodes land, {} fly", self.in_flight);
        self.in_flight = self.in_flight.saturating_sub(nodes);
    }

    /// Takes the next write; at most one is in flight at a time.
    pub(crate) fn take_job(&mut self, now: Instant, patience: Option<Duration>) -> Option<PassJob> {
        let job = self.next_job(now)?;
        self.writing = Some(job.nodes());
        // A marked node also loses its mark, which an effect cannot express.
        let plain = !matches!(self.stage, Stage::Reviewing(_));
        Some(PassJob { job, plain, readers: self.readers(now, patience) })
    }

    fn readers(&self, now: Instant, patience: Option<Duration>) -> Readers {
        let waited = self.waiting_since.map(|since| now.duration_since(since));
        if waited.zip(patience).is_some_and(|(waited, max)| waited >= max) {
            Readers::Ignore
        } else {
            Readers::after(self.put_off)
        }
    }

    /// **Where rows become a slice.**
    fn next_job(&mut self, now: Instant) -> Option<Job> {
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
            return Some(Job::Quarantine(self.sizer.take(&mut self.marks, bytes)));
        }
        if let Some(job) = self.lists_job() {
            return Some(job);
        }
        let rows = self.sizer.take(&mut self.rows, Row::query_bytes);
        (!rows.is_empty()).then_some(Job::Vectors(rows))
    }

    /// Puts back a write that the store refused for now.
    pub(super) fn put_back(&mut self, job: Job) {
        match job {
            Job::Vectors(rows) => rows.into_iter().rev().for_each(|row| self.rows.push_front(row)),
            Job::Quarantine(marks) => {
                marks.into_iter().rev().for_each(|mark| self.marks.push_front(mark));
            }
            Job::CreateIndex(index) => self.indexes_to_create.push_front(index),
            Job::Convert(conversion) => self.convert_again(conversion, false),
        }
    }
}
