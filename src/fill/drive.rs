//! Hands out what can be done now: reads, requests, writes and ends of passes, graph by graph in
//! turn.

use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::Filler;
use crate::fill::pass::{Ending, Pass, Room, Step};
use crate::fill::port::event::{Action, Outcome, Report, ServerState};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::store::Change;
use crate::fill::quarantine::{JobDone, JobRead};
use crate::fill::store::{Owner, ReadOrder, WriteOrder};

/// Memory that all stages together may hold in texts and vectors.
const HELD_BYTES: usize = 64 << 20;
/// Bytes of text waiting to be sent at which selecting stops.
const HELD_TEXT_BYTES: usize = 16 << 20;
/// Assumed vector length before the first vector arrives.
const GUESSED_DIMENSIONS: usize = 1_536;
/// Assumed memory per node besides its vector: its text, and our own bookkeeping.
const NODE_BYTES: usize = 2_048;

impl Filler {
    /// Does everything that can be done now.
    pub(super) fn drive(&mut self, now: Instant) {
        if self.schedule.take_survey(now) {
            self.actions.push_back(Action::Survey);
        }
        if self.lane.is_worth_waking_for(now) && self.schedule.wake(now) {
            self.lane.half_open();
        }
        self.give_up_lost(now);
        let batches = self.schedule.passes().any(Pass::has_batch);
        self.lane.send_queries(now, batches);
        loop {
            self.schedule.begin_passes(now, &self.settings);
            self.schedule.extend_passes(now);
            self.read_for_passes(now);
            self.run_jobs(now);
            // A cooling lane allows one request: spend it on the one that reveals the most.
            let resolved = self.lane.is_cooling() && self.resolve_suspects(now);
            self.send_batches(now);
            let resolved = self.resolve_suspects(now) || resolved;
            self.write(now);
            // A pass that moved on or made room for another may need something right away.
            if !self.step_passes(now) && !resolved {
                break;
            }
        }
        for (run, tally) in self.schedule.take_fulfilled() {
            self.answer(run, Ok(Outcome::Pass(tally)));
        }
    }

    /// Gives up on reads and writes that the store never answered.
    fn give_up_lost(&mut self, now: Instant) {
        while let Some(read) = self.store.take_lost_read(now) {
            self.hand_over_read(now, &read.owner, &read.query, Err(StoreFault::NoReply));
        }
        if let Some(Owner::Pass(name)) = self.store.take_lost_write(now) {
            self.schedule.on_pass(&name, Pass::lost_write);
        }
    }

    /// **Where pending nodes are read.**
    fn read_for_passes(&mut self, now: Instant) {
        let room = self.room();
        for name in self.schedule.in_turn() {
            if !self.store.may_read() {
                return;
            }
            let Some(pass) = self.schedule.pass_mut(&name) else { continue };
            let free = if room.heavy { 0 } else { room.nodes.saturating_sub(pass.held()) };
            let Some(query) = pass.take_query(now, free) else { continue };
            let (owner, rule) = (Owner::Pass(name.clone()), pass.rule().clone());
            self.schedule.serve(&name);
            let read = self.store.read(now, ReadOrder { owner, graph: name, rule, query });
            self.actions.push_back(Action::Read(read));
        }
    }

    /// How much a pass may hold: enough to keep the embedder busy twice over, but never more than
    /// its share of the memory.
    fn room(&self) -> Room {
        let limits = self.lane.batch_limits();
        let dimensions = self.lane.dimensions().unwrap_or(GUESSED_DIMENSIONS);
        let fitting = HELD_BYTES / (dimensions * size_of::<f32>() + NODE_BYTES);
        let wanted = self.settings.lane.concurrency * self.settings.batch.texts * 2;
        let share = wanted.min(fitting) / self.schedule.passes().count().max(1);
        let waiting: usize = self.schedule.passes().map(Pass::waiting_bytes).sum();
        let heavy = waiting > HELD_TEXT_BYTES;
        Room { nodes: share.max(limits.texts.min(fitting)), heavy, limits }
    }

    /// Reads for quarantine jobs, and ends those that are done.
    fn run_jobs(&mut self, now: Instant) {
        while let Some(read) = self.quarantine.take_read(now) {
            let JobRead { run, graph, query } = read;
            let (owner, rule) = (Owner::Job(run), self.settings.rule.clone());
            let read = self.store.read(now, ReadOrder { owner, graph, rule, query });
            self.actions.push_back(Action::Read(read));
        }
        for JobDone { run, graph, released, outcome } in self.quarantine.take_done(now) {
            if released > 0 {
                self.lane.half_open();
                self.schedule.released(&graph, released);
            }
            self.answer(run, outcome);
        }
    }

    fn resolve_suspects(&mut self, now: Instant) -> bool {
        let passes = &self.schedule;
        let is_ending = |name: &GraphName| passes.pass(name).is_none_or(Pass::is_ending);
        let resolved = self.lane.resolve_suspects(now, is_ending);
        self.follow();
        resolved
    }

    /// **Where pending nodes go to the embedder**, graph by graph in turn.
    fn send_batches(&mut self, now: Instant) {
        self.end_rejected();
        loop {
            let mut sent = false;
            for name in self.schedule.in_turn() {
                if !self.lane.has_room(now) {
                    return self.follow();
                }
                let room = self.room();
                let Some(pass) = self.schedule.pass_mut(&name) else { continue };
                if let Some(batch) = pass.take_batch(now, &name, room, self.lane.cache()) {
                    self.lane.send(now, batch);
                    self.schedule.serve(&name);
                    sent = true;
                }
            }
            if !sent {
                return self.follow();
            }
        }
    }

    /// Ends passes with nodes to embed while the lane is rejected: they would wait for the
    /// operator.
    fn end_rejected(&mut self) {
        let Some(reason) = self.lane.rejection() else { return };
        self.schedule.each_pass(|pass| {
            if pass.needs_embedder() {
                pass.end(Ending::Stop, Some(reason));
            }
        });
    }

    /// **Where a write is ordered**: one at a time.
    fn write(&mut self, now: Instant) {
        if self.schedule.server() != ServerState::Ready || !self.store.may_write(now) {
            return;
        }
        if let Some(order) = self.job_order(now).or_else(|| self.pass_order(now)) {
            let write = self.store.write(now, order);
            self.actions.push_back(Action::Write(write));
        }
    }

    fn job_order(&mut self, now: Instant) -> Option<WriteOrder> {
        let write = self.quarantine.take_write(now)?;
        Some(WriteOrder {
            owner: Owner::Job(write.run),
            graph: write.graph,
            rule: self.settings.rule.clone(),
            change: Change::Release(write.ids),
            readers: write.readers,
            effects: false,
        })
    }

    fn pass_order(&mut self, now: Instant) -> Option<WriteOrder> {
        for name in self.schedule.in_turn() {
            let Some(pass) = self.schedule.pass_mut(&name) else { continue };
            let Some(write) = pass.take_job(now, self.settings.write_patience) else { continue };
            let rule = pass.rule().clone();
            self.schedule.serve(&name);
            return Some(WriteOrder {
                owner: Owner::Pass(name.clone()),
                graph: name,
                rule,
                change: Change::Job(write.job),
                readers: write.readers,
                effects: self.settings.write_effects && write.plain,
            });
        }
        None
    }

    /// Moves on every pass that can. Returns whether any did.
    fn step_passes(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for name in self.schedule.in_turn() {
            let step = self.schedule.pass_mut(&name).map_or(Step::Stay, Pass::step);
            moved |= step != Step::Stay;
            if step == Step::Over
                && let Some(finished) = self.schedule.end_pass(now, &name)
            {
                let (tally, indexed) = (finished.tally, finished.indexed);
                self.actions.push_back(Action::Report(Report { graph: name, tally, indexed }));
            }
        }
        moved
    }
}
