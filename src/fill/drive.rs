//! Hands out what can be done now: reads, requests, writes and ends of passes, graph by graph in
//! turn.

use std::time::Instant;

use crate::fill::Filler;
use crate::fill::lane::Lane;
use crate::fill::pass::{Pass, Step};
use crate::fill::port::event::{Action, Outcome, Report};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::server::ServerState;
use crate::fill::port::store::Change;
use crate::fill::quarantine::{JobDone, JobRead};
use crate::fill::store::{Owner, ReadOrder, WriteOrder};
use crate::rule::Binding;
use crate::rule::name::EmbedderName;

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
