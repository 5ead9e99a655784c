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

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::lane::batch::Batch;
use crate::fill::lane::cache::Known;
use crate::fill::lane::isolate::Doubt;
use crate::fill::lane::limiter::Lane;
use crate::fill::lane::query::{Question, Questions};
use crate::fill::pass::Ending;
use crate::fill::port::event::{Action, Event, Outcome, RunFault, ServerState};
use crate::fill::port::id::{BatchId, RunId};
use crate::fill::port::settings::Settings;
use crate::fill::quarantine::job::Errand;
use crate::fill::schedule::dirty::Wakes;
use crate::fill::schedule::graph::Graph;
use crate::fill::schedule::graphs::Graphs;
use crate::fill::schedule::runs::Runs;
use crate::fill::status::{GraphsFigures, LaneFigures, Snapshot};
use crate::fill::store::duty::Duty;
use crate::fill::tally::Tally;

/// How soon to look again at a server that is not ready, should no event tell of the change.
const SURVEY_AGAIN: Duration = Duration::from_secs(1);

/// How soon to look again at graphs that were written while they could not be filled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A request at the embedder.
#[derive(Debug)]
struct Flight {
    cargo: Cargo,
    /// Estimated tokens of its texts.
    tokens: usize,
    sent: Instant,
}

/// What a request was sent for.
#[derive(Debug)]
pub(crate) enum Cargo {
    /// Nodes of a graph.
    Batch(Batch),
    /// To see whether the embedder answers at all (`lane/isolate.rs`).
    Probe,
    /// Users who wait (`lane::query`).
    Question(Question),
}

/// Keeps every node supplied with a vector. See the [module documentation](self).
#[derive(Debug)]
pub(crate) struct Filler {
    settings: Settings,
    /// When the last event came.
    last: Instant,
    server: ServerState,
    engine: Option<String>,
    most_rows: usize,
    paused: Option<String>,
    engine_tested: bool,
    /// Since when the answer to a survey is waited for.
    surveying: Option<Instant>,
    survey_at: Option<Instant>,
    next_run: Option<Instant>,
    /// Graphs were written while they could not be filled.
    missed: bool,
    /// Stands for all graphs that are written to and not known. Anybody can name a graph, even a
    /// client that may do nothing: one is taken up when the server lists it.
    strangers: Wakes,
    /// They are looked for with the next survey.
    meeting: bool,
    graphs: Graphs,
    lane: Lane,
    duty: Duty,
    flights: HashMap<BatchId, Flight>,
    known: Known,
    questions: Questions,
    doubts: Vec<Doubt>,
    runs: Runs,
    errands: Vec<Errand>,
    figures: LaneFigures,
    totals: Tally,
    tickets: u64,
    actions: VecDeque<Action>,
}

impl Filler {
    /// A filler that looks at the server first of all. `seed` decides the jitter of its backoffs.
    pub(crate) fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        let questions = Questions::new(settings.query_cache);
        Self {
            lane: Lane::new(settings.lane, seed),
            settings,
            last: now,
            server: ServerState::default(),
            engine: None,
            most_rows: usize::MAX,
            paused: None,
            engine_tested: true,
            surveying: None,
            survey_at: Some(now),
            next_run: Some(now),
            missed: false,
            strangers: Wakes::default(),
            meeting: false,
            graphs: Graphs::default(),
            duty: Duty::default(),
            flights: HashMap::new(),
            known: Known::default(),
            questions,
            doubts: Vec::new(),
            runs: Runs::default(),
            errands: Vec::new(),
            figures: LaneFigures::default(),
            totals: Tally::default(),
            tickets: 0,
            actions: VecDeque::new(),
        }
    }

    /// Takes in what happened. Follow it with [`poll`](Self::poll) until that gives nothing.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        // No two events share a moment: what is sent at the same moment was handed out together.
        let now = now.max(self.last + Duration::from_nanos(1));
        self.last = now;
        match event {
            Event::Configured { settings, embedder_replaced } => {
                self.configure(now, *settings, embedder_replaced);
            }
            Event::ServerChanged => self.survey_at = Some(now),
            Event::GraphsArrive => self.graphs_arrive(now),
            Event::Touched(graph) => self.touched(now, &graph),
            Event::Run { run, graph } => self.run(now, run, graph),
            Event::Errand { run, graph, wish } => self.ask(now, run, graph, wish),
            Event::Question { run, texts } => self.question(now, run, texts),
            Event::GaveUp(run) => {
                self.runs.close(run);
                self.questions.close(run);
            }
            Event::Surveyed(survey) => self.surveyed(now, survey),
            Event::Read { ticket, outcome } => self.read(now, ticket, outcome),
            Event::Embedded(completion) => self.embedded(now, completion),
            Event::Written { write, outcome } => self.written(now, write, outcome),
            Event::Tick => {}
        }
        self.drive(now);
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to send a [`Event::Tick`] at the latest; `None` = only when something happens.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let passes = self.passes().flat_map(|pass| {
            [pass.not_before, schedule::read_limit(pass), schedule::write_limit(pass)]
        });
        let own = [
            self.survey_at,
            self.surveying.map(|since| since + schedule::STORE_LIMIT),
            self.next_run.filter(|_| self.may_begin()),
            self.lane.wait_until(now),
            self.lane.question_waits_until(now).filter(|_| self.questions.is_queued()),
            self.duty.wait_until(now),
            self.graphs.next_wake(now),
            self.known.expires(),
            self.strangers.next().filter(|_| self.may_begin()),
        ];
        let errands = self.errands.iter().map(|errand| Some(errand.deadline()));
        passes.chain(own).chain(errands).flatten().filter(|at| *at > now).min()
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        let asked = !self.errands.is_empty() || self.questions.waiting() > 0;
        self.surveying.is_some() || asked || self.graphs.is_active()
    }

    /// The picture STATUS shows.
    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let lane = LaneFigures {
            state: self.lane.state(),
            reason: self.lane.reason().map(str::to_owned),
            in_flight: self.lane.in_flight(),
            window: self.lane.window(),
            ..self.figures.clone()
        };
        let figures = |(name, graph): (&GraphName, &Graph)| {
            (name.clone(), graph.figures(now, self.graphs.pass(name)))
        };
        let graphs = self.graphs.iter().map(figures).collect();
        Snapshot {
            enabled: self.settings.enabled,
            server: self.server,
            engine: self.engine.clone(),
            engine_tested: self.engine_tested,
            paused: self.paused.clone(),
            next_run: self.next_run,
            lane,
            questions: self.questions.figures(),
            totals: self.totals.clone(),
            graphs: GraphsFigures::new(graphs),
        }
    }

    fn may_begin(&self) -> bool {
        self.settings.enabled && self.server == ServerState::Ready
    }

    /// Why a run cannot be, if it cannot.
    fn refusal(&self) -> Option<RunFault> {
        if self.settings.enabled { self.server.fault() } else { Some(RunFault::Disabled) }
    }

    /// Tells a user what came of their request.
    fn answer(&mut self, run: RunId, outcome: Result<Outcome, RunFault>) {
        self.actions.push_back(Action::Answer { run, outcome });
    }

    fn pass_mut(&mut self, graph: &GraphName) -> Option<&mut pass::Pass> {
        self.graphs.pass_mut(graph)
    }

    /// Ends all passes early, for the reason given.
    fn end_all(&mut self, ending: Ending, reason: Option<&str>) {
        self.each_pass(|pass| {
            pass.end(ending);
            if let Some(reason) = reason {
                pass.tally.error = Some(reason.to_owned());
            }
        });
    }
}
