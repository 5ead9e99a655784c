//! What to do next: begins passes, and hands out reads, batches and writes, graph by graph in turn.

use std::time::{Duration, Instant};

use super::errand::Errand;
use super::event::{Action, Outcome, Report, ServerState};
use super::fault::StoreFault;
use super::graph::Graph;
use super::node::{Batch, BatchId, GraphName, Role, Text};
use super::pace::LaneState;
use super::pass::{Ending, Pass, Plan, Reading, Step};
use super::store::{Change, Query, Read, Ticket, Write};
use super::tally::Tally;
use super::{Cargo, Filler, Flight};

/// Reads in flight over all graphs: one more than one, so that the engine's answer to the first
/// does not find us idle; not many, because each takes a thread from the users.
const MOST_READS: usize = 2;
/// A read that has not been answered by then never will be.
const READ_LIMIT: Duration = Duration::from_mins(1);
/// Most rows of one reply, whatever their size.
const MOST_ROWS: usize = 128;
/// How often a write is put off because a query has just begun. It may be a long one, and a write
/// would wait for it with the server in hand; where one short query follows the other without a gap,
/// a write that never dared would never come.
pub(super) const MOST_PUT_OFF: u32 = 8;
/// Passes that select and embed at the same time; the others wait for their turn.
const MOST_OPEN: usize = 8;
/// Passes in all, with those that wait for the queries of others.
const MOST_PASSES: usize = 64;
/// Memory all stages may hold in texts and vectors.
const HELD_BYTES: usize = 64 << 20;
/// Bytes of text that may wait for a request before no more is selected.
const HELD_TEXT_BYTES: usize = 16 << 20;
/// A guess for the length of a vector before the first one has come.
const GUESSED_DIMENSIONS: usize = 1_536;
/// A guess for what a node holds besides its vector: its text, and our own bookkeeping.
const NODE_BYTES: usize = 2_048;

/// When a pass gives up on the read it waits for.
pub(super) fn read_limit(pass: &Pass) -> Option<Instant> {
    pass.reading.as_ref().map(|reading| reading.since + READ_LIMIT)
}

impl Filler {
    /// Does everything that can be done at this time.
    pub(super) fn drive(&mut self, now: Instant) {
        self.survey_when_due(now);
        self.wake_when_due(now);
        self.give_up_reads(now);
        self.known.expire(now);
        self.hand_out_questions(now);
        loop {
            if self.may_begin() {
                self.begin_passes(now);
            }
            self.hand_out_reads(now);
            self.run_errands(now);
            // The one request that a cooling lane allows is the one that tells most.
            let cooling = self.lane.state() == LaneState::Cooling;
            let settled = cooling && self.settle_doubts(now);
            self.hand_out_batches(now);
            let settled = self.settle_doubts(now) || settled;
            self.hand_out_write(now);
            // A pass that moved on, or made room for another, may need something at once.
            if !self.step_passes(now) && !settled {
                break;
            }
        }
        for (run, tally) in self.runs.fulfilled() {
            self.actions.push_back(Action::Answer { run, outcome: Ok(Outcome::Pass(tally)) });
        }
    }

    fn survey_when_due(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let scheduled = self.may_begin() && due(self.next_run);
        if !self.surveying && (scheduled || due(self.survey_at)) {
            self.surveying = true;
            self.survey_at = None;
            self.actions.push_back(Action::Survey);
        }
    }

    fn wake_when_due(&mut self, now: Instant) {
        let worth_it = self.lane.is_worth_waking_for(now);
        let woken = self.graphs.values_mut().map(|graph| graph.wake(now, worth_it));
        if woken.filter(|woken| *woken).count() > 0 {
            self.forgive();
        }
    }

    fn give_up_reads(&mut self, now: Instant) {
        let late = |pass: &Pass| read_limit(pass).is_some_and(|limit| limit <= now);
        let overdue: Vec<Ticket> = self
            .graphs
            .values()
            .filter_map(|graph| graph.pass.as_ref().filter(|pass| late(pass)))
            .filter_map(|pass| pass.reading.as_ref().map(|reading| reading.ticket))
            .collect();
        for ticket in overdue {
            self.read(now, ticket, Err(StoreFault::NoReply));
        }
    }

    fn begin_passes(&mut self, now: Instant) {
        let mut open = self.passes().filter(|pass| pass.waiting_since.is_none()).count();
        let mut all = self.passes().count();
        let most_rows = self.most_rows();
        for graph in self.graphs.values_mut() {
            if open >= MOST_OPEN || all >= MOST_PASSES {
                return;
            }
            if graph.wanted && graph.pass.is_none() {
                (open, all) = (open + 1, all + 1);
                let plan = Plan {
                    rule: self.settings.rule.clone(),
                    most_rows,
                    list_labels: !graph.labels_listed,
                    auto_index: self.settings.auto_index,
                };
                graph.wanted = false;
                graph.begun += 1;
                graph.pass = Some(Pass::new(plan, now));
            }
        }
    }

    /// Most rows of one reply, those that tell of what lies beyond left out.
    pub(super) fn most_rows(&self) -> usize {
        self.most_rows.saturating_sub(2).clamp(1, MOST_ROWS)
    }

    fn hand_out_reads(&mut self, now: Instant) {
        let mut reads = self.passes().filter(|pass| pass.reading.is_some()).count();
        let (capacity, heavy) = (self.capacity(), self.is_heavy());
        for name in self.in_turn() {
            if reads >= MOST_READS {
                break;
            }
            let Some(pass) = self.pass_mut(&name) else { continue };
            let room = if heavy { 0 } else { capacity.saturating_sub(pass.held()) };
            if let Some(query) = pass.next_query(now, room) {
                reads += 1;
                self.hand_out_read(now, name, query);
            }
        }
    }

    fn hand_out_read(&mut self, now: Instant, graph: GraphName, query: Query) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let Some(pass) = self.pass_mut(&graph) else { return };
        pass.reading = Some(Reading { ticket, query: query.clone(), since: now });
        let rule = pass.plan.rule.clone();
        self.turn = Some(graph.clone());
        self.actions.push_back(Action::Read(Read { ticket, graph, rule, query }));
    }

    /// Nodes one graph may hold in all stages: enough to keep the embedder busy twice over, and
    /// never more than its share of the memory.
    fn capacity(&self) -> usize {
        let dimensions = self.figures.dimensions.unwrap_or(GUESSED_DIMENSIONS);
        let fitting = HELD_BYTES / (dimensions * size_of::<f32>() + NODE_BYTES);
        let wanted = self.settings.lane.concurrency * self.settings.batch.texts * 2;
        let share = wanted.min(fitting) / self.passes().count().max(1);
        share.max(self.settings.batch.texts.min(fitting))
    }

    /// Whether so much text waits for requests that nothing more is selected.
    fn is_heavy(&self) -> bool {
        let waiting: usize = self.passes().map(|pass| pass.batcher.bytes()).sum();
        waiting > HELD_TEXT_BYTES
    }

    fn hand_out_batches(&mut self, now: Instant) {
        self.end_rejected();
        loop {
            let mut sent = false;
            for name in self.in_turn() {
                if !self.lane.has_room(now) {
                    return;
                }
                sent |= self.hand_out_batch(now, &name);
            }
            if !sent {
                return;
            }
        }
    }

    /// A pass that has nodes to embed while the lane is rejected would wait for a person.
    fn end_rejected(&mut self) {
        if self.lane.state() != LaneState::Rejected {
            return;
        }
        let reason = self.lane.reason().map(str::to_owned);
        for pass in self.passes_mut() {
            if pass.batcher.len() > 0 && pass.ending.is_none() {
                pass.end(Ending::Stop);
                pass.tally.error.clone_from(&reason);
            }
        }
    }

    fn hand_out_batch(&mut self, now: Instant, name: &GraphName) -> bool {
        let limits = self.settings.batch;
        let (capacity, heavy) = (self.capacity(), self.is_heavy());
        let Some(pass) = self.graphs.get_mut(name).and_then(|graph| graph.pass.as_mut()) else {
            return false;
        };
        pass.settle_known(&mut self.known);
        let retry = pass.retries.pop_front();
        let repeated = retry.is_some();
        // What is full will not become fuller, nor will what has no room for more.
        let no_more = !pass.expects_more() || pass.held() >= capacity || heavy;
        let ready = pass.batcher.is_full(limits) || no_more;
        let fresh = || ready.then(|| pass.batcher.next(name, limits, &self.known)).flatten();
        let Some(batch) = retry.or_else(fresh) else { return false };
        pass.in_flight += batch.nodes();
        self.figures.retries += u64::from(repeated);
        self.turn = Some(name.clone());
        self.send(now, batch);
        true
    }

    /// Sends a batch whose nodes its pass counts as in flight.
    pub(super) fn send(&mut self, now: Instant, batch: Batch) {
        if let Some(pass) = self.pass_mut(&batch.graph) {
            pass.tally.requests += 1;
        }
        let texts = batch.inputs.iter().map(|input| input.text.clone()).collect();
        self.submit(now, Cargo::Batch(batch), Role::Document, texts);
    }

    pub(super) fn submit(&mut self, now: Instant, cargo: Cargo, role: Role, texts: Vec<Text>) {
        self.tickets += 1;
        let id = BatchId(self.tickets);
        self.figures.requests += 1;
        let tokens = texts.iter().map(Text::estimated_tokens).sum();
        if matches!(cargo, Cargo::Batch(_)) {
            self.known.sent(&texts);
        }
        self.lane.sent(now, tokens);
        self.flights.insert(id, Flight { cargo, tokens, sent: now });
        self.actions.push_back(Action::Embed { batch: id, role, texts });
    }

    /// One write at a time: it holds the server, and the next is sized by what it took.
    fn hand_out_write(&mut self, now: Instant) {
        let errand = self.errands.iter().any(Errand::is_writing);
        let busy = errand || self.passes().any(|pass| pass.writing.is_some());
        if busy || self.server != ServerState::Ready || self.duty.wait_until(now).is_some() {
            return;
        }
        if self.hand_out_lift(now) {
            return;
        }
        let patience = self.settings.write_patience;
        for name in self.in_turn() {
            let Some(pass) = self.pass_mut(&name) else { continue };
            if let Some(job) = pass.next_job(now) {
                pass.writing = Some(job.nodes());
                let waited = pass.waiting_since.map(|since| now.duration_since(since));
                let impatient = waited.zip(patience).is_some_and(|(waited, most)| waited >= most);
                let hurried = pass.put_off >= MOST_PUT_OFF;
                let rule = pass.plan.rule.clone();
                self.turn = Some(name.clone());
                let change = Change::Job(job);
                let write = Write { graph: name, rule, change, impatient, hurried };
                self.actions.push_back(Action::Write(write));
                return;
            }
        }
    }

    /// Lets every pass move on that can. Returns whether one did.
    fn step_passes(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for name in self.in_turn() {
            let step = self.pass_mut(&name).map_or(Step::Stay, Pass::step);
            moved |= step != Step::Stay;
            if step == Step::Over {
                self.end_pass(now, name);
            }
        }
        moved
    }

    fn end_pass(&mut self, now: Instant, name: GraphName) {
        let Some(graph) = self.graphs.get_mut(&name) else { return };
        let Some(pass) = graph.pass.take() else { return };
        let duration = now.duration_since(pass.started);
        let tally = Tally { duration, ..pass.tally.clone() };
        graph.finish(now, &pass, &tally);
        let forgotten = std::mem::take(&mut graph.gone) && !graph.is_expected();
        self.runs.ended(&name, graph.begun, &tally);
        if forgotten {
            self.graphs.remove(&name);
        }
        self.totals.add(&tally);
        self.totals.graphs = self.graphs.len() as u64;
        let report = Report { graph: name, tally, indexed: pass.indexed };
        self.actions.push_back(Action::Report(report));
    }

    pub(super) fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.graphs.values().filter_map(|graph| graph.pass.as_ref())
    }

    pub(super) fn passes_mut(&mut self) -> impl Iterator<Item = &mut Pass> {
        self.graphs.values_mut().filter_map(|graph| graph.pass.as_mut())
    }

    /// Graphs with a pass, beginning behind the one that was served last.
    fn in_turn(&self) -> Vec<GraphName> {
        let active =
            |(name, graph): (&GraphName, &Graph)| graph.pass.is_some().then(|| name.clone());
        let mut names: Vec<GraphName> = self.graphs.iter().filter_map(active).collect();
        if let Some(turn) = &self.turn {
            let behind = names.partition_point(|name| name <= turn);
            names.rotate_left(behind);
        }
        names
    }
}
