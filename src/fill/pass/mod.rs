//! A pass over one graph: check the indexes, count, fill, create the missing index.

mod advance;
mod indexes;
mod lists;
mod outcome;
mod plan;
mod queue;
mod stages;
mod write_sizer;

pub(crate) use outcome::Progress;
use plan::Stage;
pub(crate) use plan::{Counted, Ending, Finished, NoText, Plan, Step};
pub(crate) use queue::Room;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fill::lane::batch::Batch;
use crate::fill::lane::batcher::Batcher;
use crate::fill::pass::plan::first_stage;
use crate::fill::pass::write_sizer::WriteSizer;
use crate::fill::port::store::{Mark, NewIndex, Row};
use crate::fill::status::{GraphFigures, GraphState};
use crate::fill::sweep::Scope;
use crate::fill::tally::Tally;
use crate::rule::Rule;

/// How soon a pass looks for new nodes again while others are at the embedder.
const EXTENSION_REST: Duration = Duration::from_millis(250);

/// The state of one pass over one graph.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "marks that are set and taken one by one")]
pub(crate) struct Pass {
    started: Instant,
    stage: Stage,
    tally: Tally,
    batcher: Batcher,
    /// Batches to send again.
    retries: VecDeque<Batch>,
    /// Nodes whose batch is at the embedder.
    in_flight: usize,
    rows: VecDeque<Row>,
    /// Nodes to mark, before the rows are written.
    marks: VecDeque<Mark>,
    /// Indexes to create, before anything else is written.
    indexes_to_create: VecDeque<NewIndex>,
    /// Time that sweeping has cost the engine's threads.
    swept: Duration,
    /// Nodes created from now on have ids from here on, or the id of a deleted node.
    end_of_graph: Option<u64>,
    /// The graph was counted in one query, and ends before this id.
    known_end: Option<u64>,
    /// An index build may be running. The engine locks the graph during a build, for ten thousand
    /// nodes at a time: a write would wait for that while holding the server.
    building: bool,
    building_since: Option<Instant>,
    /// Some labels were left without an index, because another took too long to build.
    left_unindexed: bool,
    sizer: WriteSizer,
    /// A read is in flight.
    reading: bool,
    /// Number of nodes in the write in flight.
    writing: Option<usize>,
    /// Pause after a fault of the store.
    not_before: Option<Instant>,
    store_failures: u32,
    /// Of these, those that waiting alone does not cure.
    store_tries: u32,
    /// What holds back all writes to the server, since the store said so last.
    held_back: Option<String>,
    /// When a write started waiting for other clients' queries.
    waiting_since: Option<Instant>,
    /// Consecutive writes put off because a query had just begun.
    put_off: u32,
    /// Dimensions of the existing indexes, by label.
    indexes: BTreeMap<String, usize>,
    indexed: BTreeMap<String, usize>,
    /// Labels that have vectors.
    labels: BTreeSet<String>,
    /// Labels that had vectors when they were counted.
    had_vectors: BTreeSet<String>,
    /// Length of the vectors written in this pass.
    dimensions: Option<usize>,
    plan: Plan,
    /// What had been completed and selected when the texts were last compared with the cache.
    cache_seen: (u64, u64),
    /// When it last looked for new nodes while others were at the embedder.
    extended: Option<Instant>,
    resweeps: u32,
    stale_before: u64,
    counted: Counted,
    /// Some entities have a plain list where the vector should be.
    holds_lists: bool,
    /// Who else fills this graph.
    owner: Option<&'static str>,
    /// Selected entities that give no text.
    without_text: BTreeMap<NoText, u64>,
    /// Set if the pass is to end early.
    ending: Option<Ending>,
}

impl Pass {
    /// A pass that begins now.
    pub(crate) fn new(plan: Plan, now: Instant) -> Self {
        Self {
            stage: first_stage(&plan),
            plan,
            started: now,
            tally: Tally { graphs: 1, ..Tally::default() },
            batcher: Batcher::default(),
            retries: VecDeque::new(),
            in_flight: 0,
            rows: VecDeque::new(),
            marks: VecDeque::new(),
            indexes_to_create: VecDeque::new(),
            swept: Duration::ZERO,
            end_of_graph: None,
            known_end: None,
            building: false,
            building_since: None,
            left_unindexed: false,
            sizer: WriteSizer::default(),
            reading: false,
            writing: None,
            not_before: None,
            store_failures: 0,
            store_tries: 0,
            held_back: None,
            waiting_since: None,
            put_off: 0,
            indexes: BTreeMap::new(),
            indexed: BTreeMap::new(),
            labels: BTreeSet::new(),
            had_vectors: BTreeSet::new(),
            dimensions: None,
            cache_seen: (0, 0),
            extended: None,
            resweeps: 0,
            stale_before: 0,
            counted: Counted::default(),
            holds_lists: false,
            owner: None,
            without_text: BTreeMap::new(),
            ending: None,
        }
    }

    /// Selected nodes that are not settled.
    pub(crate) fn held(&self) -> usize {
        let retries: usize = self.retries.iter().map(Batch::nodes).sum();
        let to_write = self.rows.len() + self.marks.len() + self.writing.unwrap_or(0);
        self.batcher.len() + retries + self.in_flight + to_write
    }

    /// When the pass, or one of its batches, continues after a pause.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let retries = self.retries.iter().map(|batch| batch.not_before);
        let extension = self.extended.map(|at| at + EXTENSION_REST);
        retries.chain([self.not_before, extension]).flatten().filter(|at| *at > now).min()
    }

    /// The rule it follows.
    pub(crate) fn rule(&self) -> &Arc<Rule> {
        &self.plan.rule
    }

    /// Whether it is waiting for an answer from the store.
    #[cfg(test)]
    pub(crate) fn awaits_store(&self) -> bool {
        self.reading || self.writing.is_some()
    }

    /// Whether it is to end early.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether one of its writes is waiting for other clients' queries.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// What holds back all writes to the server, as far as this pass has seen.
    pub(crate) fn held_back(&self) -> Option<&str> {
        self.held_back.as_deref()
    }

    /// Finishes the pass, and returns its results.
    pub(crate) fn finish(self, now: Instant) -> Finished {
        let indexed = self.ending.is_none() && self.plan.rule.index.is_some();
        let whole = self.plan.scope == Scope::Full;
        let length = self.wanted_length();
        Finished {
            without_text: self.without_text,
            owner: self.owner,
            length,
            scope: self.plan.scope,
            swept: self.swept,
            end_of_graph: self.end_of_graph,
            indexes_checked: indexed && whole && !self.left_unindexed,
            gone: self.ending == Some(Ending::Gone),
            tally: Tally { duration: now.duration_since(self.started), ..self.tally },
            indexed: self.indexed,
        }
    }

    /// What STATUS shows of a pass under way.
    pub(crate) fn show(&self, now: Instant, figures: &mut GraphFigures) {
        figures.state = self.state();
        figures.in_flight = self.held() as u64;
        figures.rate_per_s = rate(self.tally.written, now.duration_since(self.started));
        if self.tally.error.is_some() {
            figures.last_error.clone_from(&self.tally.error);
        }
    }

    /// Notes a label whose nodes received vectors in this pass.
    fn note_label(&mut self, label: &str) {
        if !self.labels.contains(label) {
            self.labels.insert(label.to_owned());
        }
    }

    fn state(&self) -> GraphState {
        match self.stage {
            _ if self.waiting_since.is_some() => GraphState::Waiting,
            Stage::Indexes if self.building => GraphState::Indexing,
            Stage::Indexes | Stage::CountingAll | Stage::Counting(_) => GraphState::Counting,
            Stage::Filling(_) | Stage::Reviewing(_) | Stage::Lists(_) | Stage::Done => {
                GraphState::Filling
            }
            Stage::Sampling(_) | Stage::Building => GraphState::Indexing,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(written: u64, elapsed: Duration) -> f64 {
    written as f64 / elapsed.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests;
