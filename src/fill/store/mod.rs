//! Hands out what passes need next, graph by graph in turn: reads, batches, writes.

pub(crate) mod duty;
mod outcome;

use std::sync::Arc;
use std::time::Instant;

use crate::entity::{GraphName, Text};
use crate::fill::lane::batch::Batch;
use crate::fill::pass::{Ending, Reading, Stage, Writing};
use crate::fill::port::embedding::Role;
use crate::fill::port::event::{Action, ServerState};
use crate::fill::port::id::{BatchId, Ticket};
use crate::fill::port::store::{Change, Query, Read, Readers, Write};
use crate::fill::quarantine::job::Errand;
use crate::fill::status::LaneState;
use crate::fill::{Cargo, Filler, Flight};
use crate::rule::Rule;

/// Reads in flight over all graphs: one more than one, so that the engine's answer to the first
/// does not find us idle; not many, because each takes a thread from the users.
const MOST_READS: usize = 2;
/// How often a write is put off because a query has just begun. It may be a long one, and a write
/// would wait for it with the server in hand; where one short query follows the other without a gap,
/// a write that never dared would never come.
pub(crate) const MOST_PUT_OFF: u32 = 8;
/// Memory all stages may hold in texts and vectors.
const HELD_BYTES: usize = 64 << 20;
/// Bytes of text that may wait for a request before no more is selected.
const HELD_TEXT_BYTES: usize = 16 << 20;
/// A guess for the length of a vector before the first one has come.
const GUESSED_DIMENSIONS: usize = 1_536;
/// A guess for what a node holds besides its vector: its text, and our own bookkeeping.
const NODE_BYTES: usize = 2_048;

impl Filler {
    pub(crate) fn hand_out_reads(&mut self, now: Instant) {
        let mut reads = self.passes().filter(|pass| pass.reading.is_some()).count();
        let (capacity, heavy) = (self.capacity(), self.is_heavy());
        for name in self.graphs.in_turn() {
            if reads >= MOST_READS {
                break;
            }
            let Some(pass) = self.pass_mut(&name) else { continue };
            let room = if heavy { 0 } else { capacity.saturating_sub(pass.held()) };
            if let Some(query) = pass.next_query(now, room) {
                reads += 1;
                self.hand_out_read(now, &name, query);
            }
        }
    }

    fn hand_out_read(&mut self, now: Instant, graph: &GraphName, query: Query) {
        let Some(rule) = self.pass_mut(graph).map(|pass| pass.plan.rule.clone()) else { return };
        self.graphs.serve(graph);
        let ticket = self.ask_store(graph.clone(), rule, query.clone());
        if let Some(pass) = self.pass_mut(graph) {
            pass.reading = Some(Reading { ticket, query, since: now });
        }
    }

    /// Asks something of a graph; the ticket names the answer.
    pub(crate) fn ask_store(&mut self, graph: GraphName, rule: Arc<Rule>, query: Query) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.actions.push_back(Action::Read(Read { ticket, graph, rule, query }));
        ticket
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

    pub(crate) fn hand_out_batches(&mut self, now: Instant) {
        self.end_rejected();
        loop {
            let mut sent = false;
            for name in self.graphs.in_turn() {
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
        self.each_pass(|pass| {
            if pass.batcher.len() > 0 && pass.ending.is_none() {
                pass.end(Ending::Stop);
                pass.tally.error.clone_from(&reason);
            }
        });
    }

    fn hand_out_batch(&mut self, now: Instant, name: &GraphName) -> bool {
        let limits = self.settings.batch;
        let (capacity, heavy) = (self.capacity(), self.is_heavy());
        let Some(pass) = self.graphs.pass_mut(name) else { return false };
        pass.settle_known(&mut self.known);
        let retry = pass.retries.pop_front();
        let repeated = retry.is_some();
        // What is full will not become fuller, unless what it holds elsewhere makes room.
        let full = pass.held() >= capacity && pass.held() == pass.batcher.len();
        let no_more = !pass.expects_more() || full || heavy;
        let ready = pass.batcher.is_full(limits) || no_more;
        let fresh = || ready.then(|| pass.batcher.next(name, limits, &self.known)).flatten();
        let Some(batch) = retry.or_else(fresh) else { return false };
        pass.in_flight += batch.nodes();
        self.figures.retries += u64::from(repeated);
        self.graphs.serve(name);
        self.send(now, batch);
        true
    }

    /// Sends a batch whose nodes its pass counts as in flight.
    pub(crate) fn send(&mut self, now: Instant, batch: Batch) {
        if let Some(pass) = self.pass_mut(&batch.graph) {
            pass.tally.requests += 1;
        }
        let texts = batch.inputs.iter().map(|input| input.text.clone()).collect();
        self.submit(now, Cargo::Batch(batch), Role::Document, texts);
    }

    pub(crate) fn submit(&mut self, now: Instant, cargo: Cargo, role: Role, texts: Vec<Text>) {
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
    pub(crate) fn hand_out_write(&mut self, now: Instant) {
        let errand = self.errands.iter().any(Errand::is_writing);
        let busy = errand || self.passes().any(|pass| pass.writing.is_some());
        if busy || self.server != ServerState::Ready || self.duty.wait_until(now).is_some() {
            return;
        }
        if self.hand_out_lift(now) {
            return;
        }
        let (patience, tickets) = (self.settings.write_patience, self.tickets);
        for name in self.graphs.in_turn() {
            let Some(pass) = self.pass_mut(&name) else { continue };
            if let Some(job) = pass.next_job(now) {
                let waited = pass.waiting_since.map(|since| now.duration_since(since));
                let impatient = waited.zip(patience).is_some_and(|(waited, most)| waited >= most);
                let readers = if impatient {
                    Readers::Ignore
                } else if pass.put_off >= MOST_PUT_OFF {
                    Readers::AllowRecent
                } else {
                    Readers::Wait
                };
                let rule = pass.plan.rule.clone();
                // A node that was marked loses its mark, which is more than an effect tells.
                let reviewing = matches!(pass.stage, Stage::Reviewing(_));
                let ticket = Ticket(tickets + 1);
                pass.writing = Some(Writing { ticket, nodes: job.nodes(), since: now });
                self.tickets = ticket.0;
                self.graphs.serve(&name);
                let effects = self.settings.write_effects && !reviewing;
                let change = Change::Job(job);
                let write = Write { ticket, graph: name, rule, change, readers, effects };
                self.actions.push_back(Action::Write(write));
                return;
            }
        }
    }
}
