//! The core: decides what is selected, embedded and written, and when. It does no I/O itself.
//!
//! [`Filler`] is a state machine without Redis, HTTP, thread, clock or log: [`Filler::handle`]
//! takes an [`Event`] and the time, [`Filler::poll`] returns the [`Action`]s that follow, and
//! [`Filler::deadline`] the latest time to come back. All of its rules can therefore be tested in
//! milliseconds, and a simulator (`sim/`) can put it through years of failures in seconds.
//!
//! In standard terms it is a level-triggered reconciler (a pass compares a graph with what it
//! should be) with debounced wake-ups, AIMD and pacing for the embedder, a circuit breaker, request
//! coalescing and poison-message isolation.
//!
//! # The flow
//!
//! The graph itself is the queue: a node or relationship is *pending* if it has a text, no vector and
//! no quarantine mark. Nothing else has to survive a crash. A rule at work on a graph is a
//! [`Binding`](crate::rule::Binding). Its *pass* ([`pass`]) counts nodes, reads which labels have a
//! vector index, fills, turns plain lists into vectors, and creates a missing index. While it fills,
//! three stages run at once:
//!
//! 1. **select**: a [`sweep::Sweep`] walks over the node ids in windows; the nodes it finds go into
//!    the [`lane::batcher::Batcher`];
//! 2. **embed**: whenever the lane ([`lane::Lane`]) has room, the next batch is sent; the reply is
//!    paired with the texts by index ([`lane::batch::Embedded::pair`]), the one place where a
//!    vector meets its node;
//! 3. **write**: the rows are written in slices, sized so that each hold of the server stays within
//!    its budget (`pass/write_sizer.rs`), each row guarded by id and text; a row that no longer
//!    matches is *stale*.
//!
//! A pass whose nodes use up its share of the memory selects no more: that bounds every queue.
//! Bindings take turns at each stage, so none starves another.
//!
//! # The machines
//!
//! | machine | owns | returns |
//! |---|---|---|
//! | [`schedule`] | graphs, passes, runs, what the server lets us do | which pass begins, which run is fulfilled |
//! | [`store`] | reads and the write in flight, the duty cycle | who a reply belongs to |
//! | [`lane`], one for each embedder | everything about the embedder: limiter, cache, queries, suspects | [`lane::Follow`]s |
//! | [`quarantine`] | users' requests about the quarantine | reads, writes and replies |
//! | [`pass`] | the nodes of one binding in every stage | queries, batches, writes |
//!
//! They do not know about each other. `route.rs` hands each event to the machine it concerns,
//! `drive.rs` hands out what can be done now. What a failure of the embedder means is decided in
//! one place, [`port::fault::classify`], and what follows from it in one place, `lane/outcome/`.

mod drive;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod lane;
mod lanes;
mod pass;
pub(crate) mod port;
mod quarantine;
mod retry;
mod route;
mod schedule;
mod send;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod status;
mod store;
mod sweep;
pub(crate) mod tally;

use std::collections::VecDeque;
use std::time::Instant;

use crate::fill::lanes::Lanes;
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::event::{Action, Event, Outcome};
use crate::fill::port::id::RunId;
use crate::fill::port::server::RunFault;
use crate::fill::port::settings::Settings;
use crate::fill::quarantine::QuarantineJobs;
use crate::fill::schedule::Schedule;
use crate::fill::status::{LaneState, Snapshot};
use crate::fill::store::StoreAccess;
use crate::fill::tally::Tally;
use crate::rule::name::EmbedderName;

/// Keeps an up-to-date vector on every node and relationship. See the [module documentation](self).
///
/// A router: each machine owns its state, and anything one machine learns that another needs passes
/// through here.
#[derive(Debug)]
pub(crate) struct Filler {
    settings: Settings,
    /// When the last event arrived.
    last: Instant,
    schedule: Schedule,
    store: StoreAccess,
    lanes: Lanes,
    quarantine: QuarantineJobs,
    actions: VecDeque<Action>,
}

impl Filler {
    /// A filler that starts by surveying the server. `seed` determines the jitter of its backoffs.
    pub(crate) fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        Self {
            schedule: Schedule::new(settings.enabled, now),
            store: StoreAccess::default(),
            lanes: Lanes::new(&settings.lanes, seed),
            quarantine: QuarantineJobs::default(),
            settings,
            last: now,
            actions: VecDeque::new(),
        }
    }

    /// Processes an event. Call [`poll`](Self::poll) afterwards until it returns `None`.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        let now = now.max(self.last);
        self.last = now;
        self.lanes.each(|lane| lane.begin_wave(now));
        match event {
            Event::Configured { settings, replaced } => {
                self.configure(now, *settings, &replaced);
            }
            Event::ServerChanged => self.schedule.survey_now(now),
            Event::GraphsArrive => self.schedule.graphs_arrive(now, &self.settings),
            Event::Touched(graph) => self.schedule.touched(now, &graph, &self.settings),
            Event::Run { run, graph, rule } => self.run(now, run, graph, rule.as_ref()),
            Event::Quarantine { run, about, request } => self.ask(now, run, about, request),
            Event::Query { run, embedder, length, texts } => match self.lanes.get_mut(&embedder) {
                Some(lane) => lane.query(now, run, length, texts),
                None => self.answer(run, Err(RunFault::NoEmbedder(embedder))),
            },
            Event::GaveUp(run) => {
                self.schedule.close(run);
                self.lanes.close(run);
            }
            Event::Surveyed(survey) => self.surveyed(now, survey),
            Event::Read { ticket, outcome } => self.read(now, ticket, outcome),
            Event::Embedded(completion) => {
                let passes = &self.schedule;
                // The answer of an embedder that is gone is useless.
                if let Some(lane) = self.lanes.get_mut(&completion.embedder.clone()) {
                    lane.complete(now, completion, |batch, received| {
                        passes.pass(&batch.binding)?.index_conflict(batch, received)
                    });
                }
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

    /// The latest time to send an [`Event::Tick`]; `None` = only when something happens.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let machines = [
            self.schedule.deadline(now),
            self.store.deadline(now),
            self.lanes.deadline(now),
            self.quarantine.deadline(),
        ];
        machines.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.schedule.is_busy() || !self.quarantine.is_empty() || self.lanes.is_awaited()
    }

    /// The snapshot that STATUS shows.
    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let lanes = self.lanes.figures(now);
        // Passes with texts to embed are waiting if nothing can be sent and nothing is in flight.
        let waits = |embedder: &EmbedderName| {
            let lane = lanes.get(embedder).map(|(lane, _)| lane);
            lane.is_some_and(|lane| lane.in_flight == 0 && lane.state != LaneState::Ready)
        };
        let graphs = self.schedule.graphs_figures(now, waits);
        let (engine, next_run, totals) = self.schedule.figures();
        Snapshot {
            enabled: self.settings.enabled,
            server: self.schedule.server(),
            engine,
            paused: self.schedule.passes().find_map(Pass::held_back).map(str::to_owned),
            next_run,
            totals: Tally { graphs: graphs.sums.graphs, ..totals },
            lanes,
            graphs,
        }
    }

    /// Ends all passes early, for the given reason.
    fn end_passes(&mut self, ending: Ending, reason: Option<&str>) {
        self.schedule.each_pass(|pass| pass.end(ending, reason));
    }

    fn refuse_runs(&mut self, fault: &RunFault) {
        for run in self.schedule.drain_runs() {
            self.answer(run, Err(fault.clone()));
        }
    }

    /// Answers a user's request.
    fn answer(&mut self, run: RunId, outcome: Result<Outcome, RunFault>) {
        self.actions.push_back(Action::Answer { run, outcome });
    }
}
