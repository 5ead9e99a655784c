//! One graph's pass: look at the indexes, count, fill, create the missing index.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batcher;
use super::cypher::Similarity;
use super::event::{Count, Index, Job, Query, Selection, Ticket};
use super::node::{Batch, Node, NodeId, Pending, Row, Text};
use super::rule::{Name, Rule};
use super::scan::Sweep;
use super::slice::Slicer;
use super::status::GraphState;
use super::tally::Tally;

/// How often a pass sweeps the graph again because nodes changed under it. A node that changes all
/// the time is left to the next pass, or it would be paid for without end.
const RESWEEPS: u32 = 1;
/// How often a building index is looked at.
const BUILD_POLL: Duration = Duration::from_millis(100);

/// Where a pass stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// Reads which labels have an index, and of which dimension.
    Indexes,
    /// Counts nodes: for STATUS, and to see whether there is anything to fill.
    Counting(Sweep),
    /// Selects, embeds and writes, all at once.
    Filling(Sweep),
    /// Reads how long the vectors of a label are that has no index.
    Sampling(Vec<Name>),
    /// Waits until the created indexes are built.
    Building,
    /// Nothing is left to do.
    Done,
}

/// A read that has not been answered.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) ticket: Ticket,
    pub(super) query: Query,
    pub(super) since: Instant,
}

/// Why a pass ends before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing new starts; what is in flight is still written.
    Stop,
    /// The store cannot be written to: what is in flight stays pending.
    Abandon,
    /// The graph is gone, and its nodes with it.
    Gone,
}

/// What a pass is to do, decided when it begins.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) rule: Arc<Rule>,
    /// Most rows the engine returns.
    pub(super) most_rows: usize,
    /// Whether the count also asks which labels have vectors, so that an index that was never
    /// created is noticed.
    pub(super) list_labels: bool,
    /// The index to create where one is missing.
    pub(super) auto_index: Option<Similarity>,
}

/// The state of one pass over one graph.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) started: Instant,
    pub(super) stage: Stage,
    pub(super) tally: Tally,
    pub(super) batcher: Batcher,
    /// Batches to be sent again.
    pub(super) retries: VecDeque<Batch>,
    /// Nodes whose batch is at the embedder.
    pub(super) in_flight: usize,
    pub(super) rows: VecDeque<Row>,
    /// Marks, and indexes to create: written before the rows.
    pub(super) jobs: VecDeque<Job>,
    pub(super) slicer: Slicer,
    pub(super) reading: Option<Reading>,
    /// A write has been handed out and not come back.
    pub(super) writing: bool,
    /// After a fault of the store.
    pub(super) not_before: Option<Instant>,
    pub(super) store_failures: u32,
    /// Since when a write has waited for the queries of others.
    pub(super) waiting_since: Option<Instant>,
    /// Dimension by label of the indexes there are.
    pub(super) indexes: BTreeMap<String, usize>,
    pub(super) indexed: BTreeMap<String, usize>,
    /// Labels that have vectors.
    labels: BTreeSet<String>,
    pub(super) plan: Plan,
    resweeps: u32,
    stale_before: u64,
    pub(super) counted: Counted,
    /// The pass was told to end early.
    pub(super) ending: Option<Ending>,
}

/// The sums of the counting sweep.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counted {
    pub(super) eligible: u64,
    pub(super) unfilled: u64,
    pub(super) quarantined: u64,
}

impl Pass {
    /// A pass that begins now.
    pub(super) fn new(plan: Plan, now: Instant) -> Self {
        Self {
            plan,
            started: now,
            stage: Stage::Indexes,
            tally: Tally { graphs: 1, ..Tally::default() },
            batcher: Batcher::default(),
            retries: VecDeque::new(),
            in_flight: 0,
            rows: VecDeque::new(),
            jobs: VecDeque::new(),
            slicer: Slicer::default(),
            reading: None,
            writing: false,
            not_before: None,
            store_failures: 0,
            waiting_since: None,
            indexes: BTreeMap::new(),
            indexed: BTreeMap::new(),
            labels: BTreeSet::new(),
            resweeps: 0,
            stale_before: 0,
            counted: Counted::default(),
            ending: None,
        }
    }

    /// Selected nodes that are not settled.
    pub(super) fn held(&self) -> usize {
        let marks: usize = self.jobs.iter().map(marked).sum();
        let retries: usize = self.retries.iter().map(Batch::nodes).sum();
        self.batcher.len() + retries + self.in_flight + self.rows.len() + marks
    }

    /// The query this pass needs next, if it needs one; `room` = nodes it may still take in.
    pub(super) fn next_query(&self, now: Instant, room: usize) -> Option<Query> {
        if self.ending.is_some()
            || self.reading.is_some()
            || self.not_before.is_some_and(|at| at > now)
        {
            return None;
        }
        match &self.stage {
            Stage::Building if self.writing || !self.jobs.is_empty() => None,
            Stage::Indexes | Stage::Building => Some(Query::Indexes),
            Stage::Counting(sweep) => sweep
                .window(self.plan.most_rows)
                .map(|window| Query::Count { window, labels: self.plan.list_labels }),
            Stage::Filling(sweep) if room > 0 => sweep.window(room).map(Query::Select),
            Stage::Filling(_) | Stage::Done => None,
            Stage::Sampling(labels) => labels.last().cloned().map(Query::Sample),
        }
    }

    /// Whether more nodes may still be selected.
    pub(super) fn expects_more(&self) -> bool {
        let sweeping = matches!(&self.stage, Stage::Filling(sweep) if !sweep.is_done());
        self.ending.is_none() && sweeping
    }

    /// The indexes are known.
    pub(super) fn learn_indexes(&mut self, now: Instant, found: Vec<Index>) {
        let building = found.iter().any(|index| !index.ready);
        self.indexes = found.into_iter().map(|index| (index.label, index.dimension)).collect();
        match self.stage {
            Stage::Building if building => self.not_before = Some(now + BUILD_POLL),
            Stage::Building => self.stage = Stage::Done,
            Stage::Indexes => self.stage = Stage::Counting(Sweep::new(self.plan.most_rows)),
            Stage::Counting(_) | Stage::Filling(_) | Stage::Sampling(_) | Stage::Done => {}
        }
    }

    /// A window has been counted. Returns whether the count is complete.
    pub(super) fn learn_count(&mut self, query: &Query, count: Count) -> bool {
        let (Stage::Counting(sweep), Query::Count { window, .. }) = (&mut self.stage, query) else {
            return false;
        };
        sweep.advance(*window, count.seen);
        self.counted.eligible += count.eligible;
        self.counted.unfilled += count.unfilled;
        self.counted.quarantined += count.quarantined;
        self.labels.extend(count.labels);
        let done = sweep.is_done();
        if done {
            let pending = self.counted.unfilled > self.counted.quarantined;
            let sweep = Sweep::new(self.plan.most_rows);
            self.stage = if pending { Stage::Filling(sweep) } else { self.after_drain() };
        }
        done
    }

    /// **Where selected nodes come in.**
    pub(super) fn learn_selection(&mut self, query: &Query, selection: Selection) {
        let (Stage::Filling(sweep), Query::Select(window)) = (&mut self.stage, query) else {
            return;
        };
        sweep.advance(*window, selection.seen);
        for (id, bytes, label) in selection.rows {
            let text = Text::new(&bytes, self.plan.rule.max_text_chars);
            self.tally.selected += 1;
            self.tally.truncated += u64::from(text.is_cut());
            let label = label.map(Arc::from);
            self.batcher.push(Pending { node: Node { id, label }, text });
        }
    }

    /// The dimension of a label's vectors is known: the index can be created.
    pub(super) fn learn_sample(&mut self, sample: Option<usize>) {
        let Stage::Sampling(labels) = &mut self.stage else { return };
        if let (Some(label), Some(dimensions), Some(similarity)) =
            (labels.pop(), sample, self.plan.auto_index)
        {
            self.jobs.push_back(Job::CreateIndex { label, dimensions, similarity });
        }
        if labels.is_empty() {
            self.stage = Stage::Building;
        }
    }

    /// The engine's TIMEOUT ended the last query: smaller windows.
    pub(super) fn narrow(&mut self) {
        if let Stage::Counting(sweep) | Stage::Filling(sweep) = &mut self.stage {
            sweep.narrow();
        }
    }

    /// Moves on once everything selected is settled. Returns whether the pass is over.
    pub(super) fn step(&mut self) -> bool {
        if self.held() > 0 || self.reading.is_some() || self.writing {
            return false;
        }
        if self.ending.is_some() {
            return true;
        }
        if matches!(&self.stage, Stage::Filling(sweep) if sweep.is_done()) {
            self.stage = self.after_sweep();
        }
        matches!(self.stage, Stage::Done) && self.jobs.is_empty()
    }

    fn after_sweep(&mut self) -> Stage {
        let changed = self.tally.stale > self.stale_before;
        if changed && self.resweeps < RESWEEPS {
            self.resweeps += 1;
            self.stale_before = self.tally.stale;
            return Stage::Filling(Sweep::new(self.plan.most_rows));
        }
        self.after_drain()
    }

    fn after_drain(&self) -> Stage {
        if self.plan.auto_index.is_none() {
            return Stage::Done;
        }
        // A label whose name cannot be quoted cannot have an index.
        let missing: Vec<Name> = self
            .labels
            .iter()
            .filter(|label| !self.indexes.contains_key(*label))
            .filter_map(|label| Name::parse("label", label).ok())
            .collect();
        if missing.is_empty() { Stage::Done } else { Stage::Sampling(missing) }
    }

    /// Ends the pass early. The stronger of two endings holds.
    pub(super) fn end(&mut self, ending: Ending) {
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
    pub(super) fn leave(&mut self, nodes: usize) {
        if self.ending == Some(Ending::Gone) {
            self.tally.stale += nodes as u64;
        } else {
            self.tally.deferred += nodes as u64;
        }
    }

    /// Sends a batch again, unless the pass is ending.
    pub(super) fn again(&mut self, batch: Batch) {
        if self.ending.is_some() {
            self.leave(batch.nodes());
        } else {
            self.retries.push_back(batch);
        }
    }

    /// Takes in rows to be written.
    pub(super) fn accept(&mut self, rows: Vec<Row>) {
        match self.ending {
            None | Some(Ending::Stop) => self.rows.extend(rows),
            Some(Ending::Abandon | Ending::Gone) => self.leave(rows.len()),
        }
    }

    /// The write to be made next; at most one is out at a time.
    pub(super) fn next_job(&mut self, now: Instant) -> Option<Job> {
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
    pub(super) fn put_back(&mut self, job: Job) {
        match job {
            Job::Vectors(rows) => rows.into_iter().rev().for_each(|row| self.rows.push_front(row)),
            Job::Quarantine { .. } | Job::CreateIndex { .. } => self.jobs.push_front(job),
        }
    }

    /// Nodes to be marked with the reason their text is refused.
    pub(super) fn quarantine(&mut self, batch: Batch, reason: String) {
        let nodes = batch.inputs.into_iter().flat_map(|input| {
            input.nodes.into_iter().map(move |node| (node.id, input.text.clone()))
        });
        let nodes: Vec<(NodeId, Text)> = nodes.collect();
        self.jobs.push_back(Job::Quarantine { nodes, reason });
    }

    /// A label whose nodes got vectors in this pass.
    pub(super) fn note_label(&mut self, label: &str) {
        if !self.labels.contains(label) {
            self.labels.insert(label.to_owned());
        }
    }

    /// As STATUS shows it.
    pub(super) fn state(&self) -> GraphState {
        match self.stage {
            _ if self.waiting_since.is_some() => GraphState::Waiting,
            Stage::Indexes | Stage::Counting(_) => GraphState::Counting,
            Stage::Filling(_) | Stage::Done => GraphState::Filling,
            Stage::Sampling(_) | Stage::Building => GraphState::Indexing,
        }
    }
}

/// Nodes a job settles that are not rows.
fn marked(job: &Job) -> usize {
    match job {
        Job::Quarantine { nodes, .. } => nodes.len(),
        Job::Vectors(rows) => rows.len(),
        Job::CreateIndex { .. } => 0,
    }
}
