//! The core: decides what is selected, embedded and written, and when. It carries nothing out.
//!
//! [`Filler`] is a state machine without Redis, HTTP, thread, clock or log: [`Filler::handle`] takes
//! an [`Event`] and the time, [`Filler::poll`] gives the [`Action`]s that follow, and
//! [`Filler::deadline`] says when to come back at the latest. So all of its rules can be tested in
//! milliseconds, and a simulator can lead it through years of bad days.
//!
//! # The flow
//!
//! The graph itself is the queue: a node is *pending* when it has a text, no vector and no mark of
//! quarantine. Nothing else has to survive a crash. A *pass* over one graph ([`pass`]) first reads
//! which labels have a vector index, then counts, then fills, then creates the index that is
//! missing. While it fills, three stages run at once:
//!
//! 1. **select**: a [`sweep::Sweep`] walks over the node ids in windows; what it finds goes into the
//!    [`lane::batcher::Batcher`];
//! 2. **embed**: whenever the lane ([`lane::limiter::Lane`]) has room, the next batch is sent; the answer is
//!    paired with the texts by index ([`lane::batch::Embedded::pair`]), the one place where a vector meets
//!    its node;
//! 3. **write**: the rows are written in slices, sized so that a hold of the server stays under its
//!    budget (`pass/write_sizer.rs`), each row guarded by id and text; what no longer matches is *stale*.
//!
//! A graph whose nodes the stages hold is full, and selects no more: that bounds every queue.
//! Graphs take turns at each stage, so none starves another. After a write to a graph, a pass looks
//! at what is new, and only once the graph has rested at all of it (`schedule/dirty.rs`).
//!
//! What a failure means is decided in [`port::fault`], by one `match`; whether a text or the request is to
//! blame, in `lane/isolate.rs`. A run asked for by a user is a set of pass numbers to wait for (`schedule/runs.rs`).

pub(crate) mod lane;
mod pass;
pub(crate) mod port;
mod quarantine;
mod retry;
mod schedule;
#[cfg(test)]
mod sim;
pub(crate) mod status;
mod store;
mod sweep;
pub(crate) mod tally;

use std::collections::VecDeque;
use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::lane::{Follow, Lane};
use crate::fill::pass::{Ending, Pass, Room, Step};
use crate::fill::port::event::{
    Action, Event, Outcome, QuarantineRequest, Report, RunFault, ServerState, Survey,
};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Change, Query, Write, Written};
use crate::fill::quarantine::{JobDone, JobRead, JobRequest, QuarantineJobs};
use crate::fill::schedule::Schedule;
use crate::fill::status::Snapshot;
use crate::fill::store::{Owner, ReadOrder, StoreAccess, WriteOrder};

/// Memory all stages may hold in texts and vectors.
const HELD_BYTES: usize = 64 << 20;
/// Bytes of text that may wait for a request before no more is selected.
const HELD_TEXT_BYTES: usize = 16 << 20;
/// A guess for the length of a vector before the first one has come.
const GUESSED_DIMENSIONS: usize = 1_536;
/// A guess for what a node holds besides its vector: its text, and our own bookkeeping.
const NODE_BYTES: usize = 2_048;

/// Keeps every node supplied with a vector. See the [module documentation](self).
///
/// A router: each machine owns its state, and what one of them finds out that another has to know goes
/// through here.
#[derive(Debug)]
pub(crate) struct Filler {
    settings: Settings,
    /// When the last event came.
    last: Instant,
    schedule: Schedule,
    store: StoreAccess,
    lane: Lane,
    quarantine: QuarantineJobs,
    actions: VecDeque<Action>,
}

impl Filler {
    /// A filler that looks at the server first of all. `seed` decides the jitter of its backoffs.
    pub(crate) fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        Self {
            schedule: Schedule::new(settings.enabled, now),
            store: StoreAccess::default(),
            lane: Lane::new(&settings, seed),
            quarantine: QuarantineJobs::default(),
            settings,
            last: now,
            actions: VecDeque::new(),
        }
    }

    /// Takes in what happened. Follow it with [`poll`](Self::poll) until that gives nothing.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        let now = now.max(self.last);
        self.last = now;
        self.lane.begin_wave(now);
        match event {
            Event::Configured { settings, embedder_replaced } => {
                self.configure(now, *settings, embedder_replaced);
            }
            Event::ServerChanged => self.schedule.survey_now(now),
            Event::GraphsArrive => self.schedule.graphs_arrive(now, &self.settings),
            Event::Touched(graph) => self.schedule.touched(now, &graph, &self.settings),
            Event::Run { run, graph } => self.run(now, run, graph),
            Event::Quarantine { run, graph, request } => self.ask(now, run, graph, request),
            Event::Query { run, texts } => self.lane.query(now, run, texts),
            Event::GaveUp(run) => {
                self.schedule.close(run);
                self.lane.close(run);
            }
            Event::Surveyed(survey) => self.surveyed(now, survey),
            Event::Read { ticket, outcome } => self.read(now, ticket, outcome),
            Event::Embedded(completion) => {
                let passes = &self.schedule;
                self.lane.complete(now, completion, |batch, received| {
                    passes.pass(&batch.graph)?.index_conflict(batch, received)
                });
            }
            Event::Written { write, outcome } => self.written(now, write, outcome),
            Event::Tick => {}
        }
        self.follow();
        self.drive(now);
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to send a [`Event::Tick`] at the latest; `None` = only when something happens.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let machines = [
            self.schedule.deadline(now),
            self.store.deadline(now),
            self.lane.deadline(now),
            self.quarantine.deadline(),
        ];
        machines.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.schedule.is_busy() || !self.quarantine.is_empty() || self.lane.is_awaited()
    }

    /// The picture STATUS shows.
    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let (lane, queries) = self.lane.figures();
        let (engine, next_run, totals) = self.schedule.figures();
        Snapshot {
            enabled: self.settings.enabled,
            server: self.schedule.server(),
            engine,
            paused: self.schedule.passes().find_map(Pass::held_back).map(str::to_owned),
            next_run,
            lane,
            queries,
            totals,
            graphs: self.schedule.graphs_figures(now),
        }
    }

    fn configure(&mut self, now: Instant, settings: Settings, embedder_replaced: bool) {
        let before = std::mem::replace(&mut self.settings, settings);
        // Any change may be what mends a rejected embedder.
        let restart = embedder_replaced || self.lane.rejection().is_some();
        if embedder_replaced {
            // What has not been handed out yet would be paid for twice.
            self.actions.retain(|action| !matches!(action, Action::Embed(_)));
            self.lane.reset();
        }
        self.lane.configure(&self.settings);
        self.schedule.configure(now, &before, &self.settings, restart);
        if before.rule != self.settings.rule || !self.settings.enabled {
            self.end_passes(Ending::Stop, None);
        }
        if !self.settings.enabled {
            self.refuse_runs(&RunFault::Disabled);
        }
    }

    fn run(&mut self, now: Instant, run: Option<RunId>, graph: Option<GraphName>) {
        match (self.schedule.refusal(), run) {
            (None, _) => {
                self.lane.half_open();
                self.schedule.run(now, run, graph);
            }
            (Some(fault), Some(run)) => self.answer(run, Err(fault)),
            (Some(_), None) => {}
        }
    }

    /// A user asks something of a graph's quarantine.
    fn ask(&mut self, now: Instant, run: RunId, graph: GraphName, request: QuarantineRequest) {
        let reads_only = matches!(request, QuarantineRequest::List { .. });
        let server = self.schedule.server();
        // A replica can be read.
        let readable = reads_only && server == ServerState::Replica;
        let fault = server.fault().filter(|_| !readable);
        let max_rows = self.schedule.max_rows();
        let opened = match fault {
            Some(fault) => Err(fault),
            None => self.quarantine.open(now, JobRequest { run, graph, request }, max_rows),
        };
        if let Err(fault) = opened {
            self.answer(run, Err(fault));
        }
    }

    fn surveyed(&mut self, now: Instant, outcome: Result<Survey, StoreFault>) {
        match outcome {
            Ok(survey) => {
                if self.schedule.surveyed(now, survey, &self.settings) {
                    self.lane.half_open();
                }
            }
            Err(fault) => {
                self.schedule.not_surveyed(now);
                let Some(server) = fault.server() else { return };
                self.schedule.server_is(now, server);
                if let Some(fault) = server.fault() {
                    self.refuse_runs(&fault);
                    self.end_passes(Ending::Abandon, Some(&fault.to_string()));
                }
            }
        }
    }

    /// A read was answered.
    fn read(&mut self, now: Instant, ticket: Ticket, outcome: Result<Answer, StoreFault>) {
        let Some(read) = self.store.answered(ticket) else { return };
        self.hand_over_read(now, &read.owner, &read.query, outcome);
    }

    fn hand_over_read(
        &mut self,
        now: Instant,
        owner: &Owner,
        query: &Query,
        outcome: Result<Answer, StoreFault>,
    ) {
        match (owner, outcome) {
            (Owner::Job(run), outcome) => {
                self.quarantine.read(now, *run, query, outcome.map(Answer::marked));
            }
            (Owner::Pass(name), Ok(answer)) => {
                self.schedule.in_pass(name, |pass| pass.read(now, query, answer));
            }
            (Owner::Pass(name), Err(fault)) => {
                if let Some(pass) = self.schedule.pass_mut(name) {
                    pass.not_read(now, &fault);
                }
                self.note_server(now, &fault);
            }
        }
    }

    /// A write came back.
    fn written(&mut self, now: Instant, write: Write, outcome: Result<Written, StoreFault>) {
        if let Ok(written) = &outcome {
            self.store.held(now, written);
        }
        // What was given up is left to the next pass, with its nodes.
        let Some(owner) = self.store.written(write.ticket) else { return };
        match (owner, write.change, outcome) {
            (Owner::Job(run), Change::Release(ids), outcome) => {
                let outcome = outcome.map(|written| written.ids.len());
                self.quarantine.wrote(now, run, ids, outcome);
            }
            (Owner::Pass(name), Change::Job(job), Ok(written)) => {
                let budget = self.settings.write_budget;
                self.schedule.in_pass(&name, |pass| pass.wrote(job, &written, budget));
            }
            (Owner::Pass(name), Change::Job(job), Err(fault)) => {
                if let Some(pass) = self.schedule.pass_mut(&name) {
                    pass.not_written(now, job, &fault);
                }
                self.note_server(now, &fault);
            }
            (Owner::Job(_), Change::Job(_), _) | (Owner::Pass(_), Change::Release(_), _) => {
                debug_assert!(false, "a write came back to somebody else");
            }
        }
    }

    /// A fault may say that the server as a whole cannot be filled.
    fn note_server(&mut self, now: Instant, fault: &StoreFault) {
        if let Some(server) = fault.server() {
            self.schedule.server_is(now, server);
            self.end_passes(Ending::Abandon, Some(&fault.to_string()));
        }
    }

    /// Does what follows from what the lane did.
    fn follow(&mut self) {
        while let Some(follow) = self.lane.poll() {
            let mut pass = |graph: &GraphName, change: &mut dyn FnMut(&mut Pass)| {
                self.schedule.pass_mut(graph).into_iter().for_each(change);
            };
            match follow {
                Follow::Send(request, payer) => {
                    if let Some(graph) = payer {
                        pass(&graph, &mut Pass::note_request);
                    }
                    self.actions.push_back(Action::Embed(request));
                }
                Follow::Spent(graph, tokens) => pass(&graph, &mut |pass| pass.note_tokens(tokens)),
                Follow::Failed(graph, why) => pass(&graph, &mut |pass| pass.note_error(&why)),
                Follow::Defer(graph, nodes) => pass(&graph, &mut |pass| pass.defer(nodes)),
                Follow::Write(graph, rows) => {
                    if let Some(pass) = self.schedule.pass_mut(&graph) {
                        pass.accept(rows);
                    }
                }
                Follow::Requeue(batch) => {
                    if let Some(pass) = self.schedule.pass_mut(&batch.graph) {
                        pass.requeue(batch);
                    }
                }
                Follow::Quarantine(batch, why) => {
                    if let Some(pass) = self.schedule.pass_mut(&batch.graph) {
                        pass.quarantine(batch, &why);
                    }
                }
                Follow::EndPasses(why) => self.end_passes(Ending::Stop, Some(&why)),
                Follow::Answer(run, outcome) => self.answer(run, outcome),
            }
        }
    }

    /// Does everything that can be done at this time.
    fn drive(&mut self, now: Instant) {
        if self.schedule.take_survey(now) {
            self.actions.push_back(Action::Survey);
        }
        if self.lane.is_worth_waking_for(now) && self.schedule.wake(now) {
            self.lane.half_open();
        }
        self.give_up_lost(now);
        self.lane.send_queries(now);
        loop {
            self.schedule.begin_passes(now, &self.settings);
            self.read_for_passes(now);
            self.run_jobs(now);
            // The one request that a cooling lane allows is the one that tells most.
            let resolved = self.lane.is_cooling() && self.resolve_suspects(now);
            self.send_batches(now);
            let resolved = self.resolve_suspects(now) || resolved;
            self.write(now);
            // A pass that moved on, or made room for another, may need something at once.
            if !self.step_passes(now) && !resolved {
                break;
            }
        }
        for (run, tally) in self.schedule.take_fulfilled() {
            self.answer(run, Ok(Outcome::Pass(tally)));
        }
    }

    /// What the store never answered is not waited for any more.
    fn give_up_lost(&mut self, now: Instant) {
        while let Some(read) = self.store.take_lost_read(now) {
            self.hand_over_read(now, &read.owner, &read.query, Err(StoreFault::NoReply));
        }
        if let Some(Owner::Pass(name)) = self.store.take_lost_write(now) {
            self.schedule.pass_mut(&name).into_iter().for_each(Pass::lost_write);
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

    /// What a pass may hold: enough to keep the embedder busy twice over, and never more than its
    /// share of the memory.
    fn room(&self) -> Room {
        let limits = self.settings.batch;
        let dimensions = self.lane.dimensions().unwrap_or(GUESSED_DIMENSIONS);
        let fitting = HELD_BYTES / (dimensions * size_of::<f32>() + NODE_BYTES);
        let wanted = self.settings.lane.concurrency * limits.texts * 2;
        let share = wanted.min(fitting) / self.schedule.passes().count().max(1);
        let waiting: usize = self.schedule.passes().map(Pass::waiting_bytes).sum();
        let heavy = waiting > HELD_TEXT_BYTES;
        Room { nodes: share.max(limits.texts.min(fitting)), heavy, limits }
    }

    /// Reads for jobs about the quarantine, and ends those that are done.
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
                if let Some(batch) = pass.take_batch(&name, room, self.lane.cache()) {
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

    /// A pass that has nodes to embed while the lane is rejected would wait for a person.
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

    /// Lets every pass move on that can. Returns whether one did.
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

    /// Ends all passes early, for the reason given.
    fn end_passes(&mut self, ending: Ending, reason: Option<&str>) {
        self.schedule.each_pass(|pass| pass.end(ending, reason));
    }

    fn refuse_runs(&mut self, fault: &RunFault) {
        for run in self.schedule.drain_runs() {
            self.answer(run, Err(fault.clone()));
        }
    }

    /// Tells a user what came of their request.
    fn answer(&mut self, run: RunId, outcome: Result<Outcome, RunFault>) {
        self.actions.push_back(Action::Answer { run, outcome });
    }
}
