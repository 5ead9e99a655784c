//! What the store's answers mean for a pass and its nodes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::entity::EntityId;
use crate::fill::pass::{Counted, Ending, Pass};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::store::{Answer, Job, Query, Row, Written};
use crate::fill::retry::{StorePause, doubled};

/// Attempts at a store that fails for a reason which does not pass on its own.
const STORE_TRIES: u32 = 8;

/// How a graph's figures change after what a pass has seen or done.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The graph was counted.
    pub(crate) counted: Option<Counted>,
    /// Pending nodes found that no count included.
    pub(crate) found: u64,
    /// Quarantined nodes that are pending again.
    pub(crate) released: u64,
    /// Nodes that received their vector.
    pub(crate) embedded: u64,
    /// Nodes newly quarantined.
    pub(crate) quarantined: u64,
}

impl Pass {
    /// A read was answered.
    pub(crate) fn read(&mut self, now: Instant, query: &Query, answer: Answer) -> Progress {
        self.reading = false;
        if self.held_back.is_none() {
            // A read proves nothing about writes that are held back.
            self.store_worked();
        }
        let mut progress = Progress::default();
        if self.ending.is_some() {
            // An ending pass would never settle nodes selected now.
            return progress;
        }
        match answer {
            Answer::Indexes(found) => self.learn_indexes(now, found),
            Answer::Sample(sample) => self.learn_sample(sample),
            Answer::Lists(found) => self.learn_lists(query, &found),
            Answer::Selection(selection) => {
                progress.found = self.learn_selection(query, selection);
            }
            Answer::Marked(marked) => progress.released = self.learn_marked(query, marked),
            Answer::CountAll(count) => progress.counted = self.learn_count_all(count),
            Answer::Count(count) => progress.counted = self.learn_count(query, count),
        }
        progress
    }

    /// A read was refused, or never answered.
    pub(crate) fn not_read(&mut self, now: Instant, fault: &StoreFault) {
        self.reading = false;
        self.store_failed(now, fault);
    }

    /// A write was made.
    pub(crate) fn wrote(&mut self, job: Job, written: &Written, budget: Duration) -> Progress {
        self.writing = None;
        self.store_worked();
        self.waiting_since = None;
        self.put_off = 0;
        if job.query_bytes() > 0 {
            self.sizer.observe(job.query_bytes(), written.held, budget);
        }
        let mut progress = Progress::default();
        match job {
            Job::Vectors(rows) => progress.embedded = self.settle_rows(&rows, &written.ids),
            Job::Quarantine(marks) => {
                progress.quarantined = written.ids.len().min(marks.len()) as u64;
                self.tally.quarantined += progress.quarantined;
                self.tally.stale += marks.len() as u64 - progress.quarantined;
            }
            Job::Convert(_) => self.converted(written.ids.len()),
            Job::CreateIndex(index) => {
                self.indexed.insert(index.label.as_str().to_owned(), index.dimensions);
                self.building = true;
                self.building_since = None;
            }
        }
        progress
    }

    /// A write was refused: it is made again later.
    pub(crate) fn not_written(&mut self, now: Instant, job: Job, fault: &StoreFault) {
        self.writing = None;
        let index = matches!(job, Job::CreateIndex(_));
        if *fault == StoreFault::Readers && !index {
            self.waiting_since.get_or_insert(now);
        }
        self.put_off += u32::from(*fault == StoreFault::Begun);
        if index && matches!(fault, StoreFault::Other(_)) {
            // Someone else may have created the index, or it may be refused for good: the vectors
            // are safe either way, so the pass continues and reports the fault.
            self.tally.error = Some(fault.to_string());
            return;
        }
        if let Job::Convert(conversion) = job {
            let refused = matches!(fault, StoreFault::Other(_));
            self.convert_again(conversion, refused);
            if refused {
                return;
            }
        } else {
            self.put_back(job);
        }
        self.store_failed(now, fault);
    }

    /// A write was never answered: the next sweep shows whether it was made.
    pub(crate) fn lost_write(&mut self) {
        if let Some(nodes) = self.writing.take() {
            // It may have been an index.
            self.left_unindexed |= nodes == 0;
            self.tally.error = Some(StoreFault::NoReply.to_string());
            self.leave(nodes);
        }
    }

    fn store_worked(&mut self) {
        self.store_failures = 0;
        self.store_tries = 0;
        self.not_before = None;
        self.held_back = None;
    }

    fn store_failed(&mut self, now: Instant, fault: &StoreFault) {
        self.held_back = fault.pauses_all().then(|| fault.to_string());
        if *fault == StoreFault::NoGraph {
            return self.end(Ending::Gone, None);
        }
        if *fault == StoreFault::Timeout {
            self.narrow();
            self.sizer.halve();
        }
        let pause = StorePause::after(fault);
        self.not_before = Some(now + doubled(pause.first, self.store_failures, pause.max));
        self.store_failures = self.store_failures.saturating_add(1);
        // Wait for a fault that passes on its own, unless the pass is ending.
        let patient = fault.passes_by_itself() && self.ending.is_none();
        self.store_tries += u32::from(!fault.passes_by_itself());
        let tries = if self.ending.is_some() { self.store_failures } else { self.store_tries };
        if tries > STORE_TRIES && !patient {
            self.end(Ending::Abandon, Some(&fault.to_string()));
        }
    }

    /// Each row is written or stale.
    fn settle_rows(&mut self, rows: &[Row], ids: &[EntityId]) -> u64 {
        let ids: HashSet<EntityId> = ids.iter().copied().collect();
        let (done, stale): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| ids.contains(&row.entity.id));
        self.dimensions = done.first().map(|row| row.vector.len()).or(self.dimensions);
        done.iter().filter_map(|row| row.entity.label.as_deref()).for_each(|l| self.note_label(l));
        self.tally.written += done.len() as u64;
        self.tally.stale += stale.len() as u64;
        done.len() as u64
    }
}
