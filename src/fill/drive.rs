//! Hands out what can be done now: reads, requests, writes and ends of passes, graph by graph in
//! turn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::fill::Filler;
use crate::fill::lane::Lane;
use crate::fill::lane::batch::Batch;
use crate::fill::lane::space::Offer;
use crate::fill::pass::{Ending, Pass, Room, Step};
use crate::fill::port::event::{Action, Outcome, Report, ServerState};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::store::Change;
use crate::fill::quarantine::{JobDone, JobRead};
use crate::fill::store::{Owner, ReadOrder, WriteOrder};
use crate::rule::Binding;
use crate::rule::name::EmbedderName;

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
        self.wake(now);
        self.give_up_lost(now);
        self.send_queries(now);
        loop {
            self.schedule.begin_passes(now);
            self.schedule.extend_passes(now);
            self.read_for_passes(now);
            self.run_jobs(now);
            let mut resolved = false;
            for embedder in self.lanes.names() {
                resolved |= self.serve_lane(now, &embedder);
            }
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

    /// Turns wake-ups that are due into passes, except where the embedder cannot serve them.
    fn wake(&mut self, now: Instant) {
        let lanes = &self.lanes;
        let is_worth =
            |name: &EmbedderName| lanes.get(name).is_some_and(|l| l.is_worth_waking_for(now));
        if !lanes.iter().any(|(name, _)| is_worth(name)) {
            return;
        }
        for embedder in self.schedule.wake(now, is_worth) {
            self.lanes.get_mut(&embedder).into_iter().for_each(Lane::half_open);
        }
    }

    /// Sends what users wait for, before any batch.
    fn send_queries(&mut self, now: Instant) {
        for embedder in self.lanes.names() {
            let needs = |pass: &Pass| pass.rule().embedder == embedder && pass.has_batch();
            let batches = self.schedule.passes().any(needs);
            self.lanes.get_mut(&embedder).into_iter().for_each(|l| l.send_queries(now, batches));
        }
    }

    /// Sends what one embedder can be sent now. Returns whether a suspect was resolved.
    fn serve_lane(&mut self, now: Instant, embedder: &EmbedderName) -> bool {
        // A cooling lane allows one request: spend it on the one that reveals the most.
        let cooling = self.lanes.get(embedder).is_some_and(Lane::is_cooling);
        let resolved = cooling && self.resolve_suspects(now, embedder);
        self.send_batches(now, embedder);
        self.resolve_suspects(now, embedder) || resolved
    }

    /// Gives up on reads and writes that the store never answered.
    fn give_up_lost(&mut self, now: Instant) {
        while let Some(read) = self.store.take_lost_read(now) {
            self.hand_over_read(now, &read.owner, &read.query, Err(StoreFault::NoReply));
        }
        if let Some(Owner::Pass(binding)) = self.store.take_lost_write(now) {
            self.schedule.on_pass(&binding, Pass::lost_write);
        }
    }

    /// **Where pending nodes are read.**
    fn read_for_passes(&mut self, now: Instant) {
        let rooms = self.rooms();
        for binding in self.schedule.in_turn() {
            if !self.store.may_read() {
                return;
            }
            let Some(pass) = self.schedule.pass_mut(&binding) else { continue };
            let Some(room) = rooms.get(&pass.rule().embedder) else { continue };
            let free = if room.heavy { 0 } else { room.nodes.saturating_sub(pass.held()) };
            let Some(query) = pass.take_query(now, free) else { continue };
            let (rule, graph) = (pass.rule().clone(), binding.graph.clone());
            self.schedule.serve(&binding);
            let owner = Owner::Pass(binding);
            let read = self.store.read(now, ReadOrder { owner, graph, rule, query });
            self.actions.push_back(Action::Read(read));
        }
    }

    /// How much the passes of each lane may hold.
    fn rooms(&self) -> BTreeMap<EmbedderName, Room> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), self.room(name, lane))).collect()
    }

    /// How much a pass of a lane may hold: enough to keep the embedder busy twice over, but never
    /// more than its share of the memory.
    fn room(&self, embedder: &EmbedderName, lane: &Lane) -> Room {
        let limits = lane.batch_limits();
        let dimensions = lane.dimensions(None).unwrap_or(GUESSED_DIMENSIONS);
        let (mut ours, mut waiting, mut busy) = (0, 0, BTreeSet::new());
        for pass in self.schedule.passes() {
            busy.insert(&pass.rule().embedder);
            if pass.rule().embedder == *embedder {
                ours += 1;
                waiting += pass.waiting_bytes();
            }
        }
        // Each lane has its share, so that one that is slow fills up only its own.
        let lanes = busy.len().max(1);
        let fitting = HELD_BYTES / lanes / (dimensions * size_of::<f32>() + NODE_BYTES);
        let share = fitting.min(lane.wanted()) / ours.max(1);
        Room {
            nodes: share.max(limits.texts.min(fitting)),
            heavy: waiting > HELD_TEXT_BYTES / lanes,
            limits,
        }
    }

    /// Reads for quarantine jobs, and ends those that are done.
    fn run_jobs(&mut self, now: Instant) {
        while let Some(read) = self.quarantine.take_read(now) {
            let JobRead { run, graph, rule, query } = read;
            let owner = Owner::Job(run);
            let read = self.store.read(now, ReadOrder { owner, graph, rule, query });
            self.actions.push_back(Action::Read(read));
        }
        for JobDone { run, graph, released, outcome } in self.quarantine.take_done(now) {
            for (rule, released) in released.into_iter().filter(|(_, released)| *released > 0) {
                self.lanes.each(Lane::half_open);
                self.schedule.released(&Binding { graph: graph.clone(), rule }, released);
            }
            self.answer(run, outcome);
        }
    }

    fn resolve_suspects(&mut self, now: Instant, embedder: &EmbedderName) -> bool {
        let passes = &self.schedule;
        let is_ending = |binding: &Binding| passes.pass(binding).is_none_or(Pass::is_ending);
        let Some(lane) = self.lanes.get_mut(embedder) else { return false };
        let resolved = lane.resolve_suspects(now, is_ending);
        self.follow();
        resolved
    }

    /// **Where pending nodes go to the embedder**, binding by binding in turn.
    fn send_batches(&mut self, now: Instant, embedder: &EmbedderName) {
        self.end_rejected(embedder);
        while self.send_batch(now, embedder) {}
        self.follow();
    }

    /// Sends the next batch, if there is room and a pass has one.
    fn send_batch(&mut self, now: Instant, embedder: &EmbedderName) -> bool {
        let Some(lane) = self.lanes.get(embedder).filter(|lane| lane.has_room(now)) else {
            return false;
        };
        let room = self.room(embedder, lane);
        for binding in self.schedule.in_turn_for(embedder) {
            let Some((pass, lane)) =
                self.schedule.pass_mut(&binding).zip(self.lanes.get_mut(embedder))
            else {
                continue;
            };
            let wanted = pass.wanted_length().filter(|_| pass.has_batch());
            let asked = match (lane.offers(wanted), wanted) {
                (Offer::Yes(asked), _) => asked,
                (Offer::No(why), _) => {
                    pass.end(Ending::Stop, Some(&why));
                    continue;
                }
                (Offer::Unknown, wanted) => {
                    if let Some(wanted) = wanted {
                        lane.try_length(now, wanted);
                    }
                    // That may have taken the last room.
                    if lane.has_room(now) {
                        continue;
                    }
                    return false;
                }
            };
            if let Some(batch) = pass.take_batch(now, &binding, room, lane.cache(asked)) {
                let batch = Batch { asked, ..batch };
                lane.send(now, batch);
                self.schedule.serve(&binding);
                return true;
            }
        }
        false
    }

    /// Ends passes with entities to embed while their lane is rejected: they would wait for the
    /// operator.
    fn end_rejected(&mut self, embedder: &EmbedderName) {
        let rejection = self.lanes.get(embedder).and_then(Lane::rejection);
        let Some(reason) = rejection else { return };
        self.schedule.each_pass_of(embedder, |pass| {
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
            rule: write.rule,
            change: Change::Release(write.entities),
            readers: write.readers,
            effects: false,
        })
    }

    fn pass_order(&mut self, now: Instant) -> Option<WriteOrder> {
        for binding in self.schedule.in_turn() {
            let Some(pass) = self.schedule.pass_mut(&binding) else { continue };
            let Some(write) = pass.take_job(now, self.settings.write_patience) else { continue };
            let rule = pass.rule().clone();
            self.schedule.serve(&binding);
            return Some(WriteOrder {
                graph: binding.graph.clone(),
                owner: Owner::Pass(binding),
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
        for binding in self.schedule.in_turn() {
            let step = self.schedule.pass_mut(&binding).map_or(Step::Stay, Pass::step);
            moved |= step != Step::Stay;
            if step == Step::Over
                && let Some(finished) = self.schedule.end_pass(now, &binding)
            {
                let (tally, indexed) = (finished.tally, finished.indexed);
                self.actions.push_back(Action::Report(Report { binding, tally, indexed }));
            }
        }
        moved
    }
}
