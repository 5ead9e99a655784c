//! A simulated world around the core: graphs that change, a service and a store that fail, and time
//! that is only a number. The invariants are checked after every step.

mod disturb;
mod invariants;
mod lives;
mod service;
pub(crate) mod store;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::{GraphName, Text};
use crate::fill::Filler;
use crate::fill::port::event::{Action, Event};
use crate::fill::port::id::RunId;
use crate::fill::port::server::{ServerState, Survey};
use crate::fill::port::settings::{BatchLimits, LaneLimits, LaneSettings, Overlong, Settings};
use crate::fill::quarantine::mark::is_outdated;
use crate::rule::globs::Globs;
use crate::rule::name::{EmbedderName, Name, RuleName};
use crate::rule::set::RuleSet;
use crate::rule::{Pattern, Rule};

const DIMENSIONS: usize = 2;
const BATCH: usize = 5;
const CONCURRENCY: usize = 3;
const MAX_CHARS: usize = 1_000;
/// A graph with more nodes is counted in windows.
const SMALL: usize = 12;
/// Time a query takes the engine.
const TOOK: Duration = Duration::from_micros(100);

/// A node: its text, the text its vector was made from, its mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) text: String,
    pub(crate) vector: Option<Vec<f32>>,
    pub(crate) error: Option<String>,
}

impl Node {
    /// Whether its mark is about its current text.
    fn is_quarantined(&self) -> bool {
        let text = Text::new(self.text.as_bytes(), MAX_CHARS);
        self.error.as_ref().is_some_and(|note| !is_outdated(note, &text))
    }
}

/// Nodes by id.
pub(crate) type Graph = BTreeMap<u64, Node>;

/// The vector of a text; it encodes the text it was made from.
fn vector_of(text: &str) -> Vec<f32> {
    let sum = text.bytes().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let length = u16::try_from(text.len()).unwrap();
    vec![sum.into(), length.into()]
}

struct World {
    rng: fastrand::Rng,
    now: Instant,
    filler: Filler,
    graphs: BTreeMap<GraphName, Graph>,
    indexed: BTreeSet<GraphName>,
    server: ServerState,
    /// Things that will happen, with their time.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    events: BTreeMap<u64, Event>,
    count: u64,
    /// Probability of faults, in percent; 0 once the world has calmed down.
    malice: u32,
    /// The same before the world calmed down.
    malice_ever: u32,
    /// By embedder.
    in_flight: BTreeMap<EmbedderName, usize>,
    writes: usize,
    requests: usize,
    runs: BTreeSet<RunId>,
    run_ids: u64,
    /// The service refuses everything.
    refusing: bool,
    /// Some texts make the service answer 500 every time.
    stumbles: bool,
    /// Whether passes are scheduled, or only requested and woken.
    scheduled: bool,
    /// Writes to this graph never succeed.
    cursed: Option<GraphName>,
    /// When the requests of the last minute were sent.
    sent: BTreeMap<EmbedderName, VecDeque<Instant>>,
    /// When a text was last embedded.
    paid: BTreeMap<(EmbedderName, String), Instant>,
    /// Texts that were part of a request that failed.
    faulted: BTreeSet<String>,
    seed: u64,
}

/// Settings differ from life to life.
pub(crate) fn settings(seed: u64) -> Settings {
    let scheduled = !seed.is_multiple_of(3);
    // Some lives have a rate ceiling, some send one request at a time.
    let requests_per_minute = if seed.is_multiple_of(7) { 1_200 } else { 0 };
    let concurrency = if seed.is_multiple_of(11) { 1 } else { CONCURRENCY };
    let lane = LaneSettings {
        batch: BatchLimits { texts: BATCH, tokens: 1_000 },
        limits: LaneLimits { concurrency, extra: 0, requests_per_minute, tokens_per_minute: 0 },
        query_cache: 3,
        max_attempts: 4,
        overlong: Overlong::Shorten,
        dimensions: None,
    };
    Settings {
        enabled: true,
        interval: scheduled.then_some(Duration::from_mins(1)),
        wake_on_write: true,
        rules: rules(seed),
        lanes: embedders().map(|name| (name, lane.clone())).into(),
        max_text_chars: MAX_CHARS,
        write_budget: Duration::from_millis(5),
        write_patience: None,
        write_effects: true,
    }
}

/// The embedders of all lives; some lives use only the first.
fn embedders() -> [EmbedderName; 2] {
    [EmbedderName::default_embedder(), EmbedderName::parse("EMBEDDER", "other").unwrap()]
}

/// In some lives, another rule with another embedder fills two of the graphs.
fn rules(seed: u64) -> RuleSet {
    let rule = Rule {
        pattern: Pattern::Nodes(Vec::new()),
        error_property: Name::parse("error-property", "error").unwrap(),
        max_text_chars: MAX_CHARS,
        ..crate::rule::testing::rule()
    };
    if !seed.is_multiple_of(2) {
        return RuleSet::of_default(rule);
    }
    let [_, embedder] = embedders();
    let graphs = |globs| Globs::parse("graphs", globs).unwrap();
    let name = RuleName::parse("RULE", "other").unwrap();
    let other = Rule { name, embedder, graphs: graphs("g1 g3"), ..rule.clone() };
    let defined = [Arc::new(other)].into();
    RuleSet { defined, ..RuleSet::of_default(Rule { graphs: graphs("* !g1 !g3"), ..rule }) }
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut rng = fastrand::Rng::with_seed(seed);
        let malice = [0, 5, 20, 50][rng.usize(..4)];
        let mut world = Self {
            now,
            filler: Filler::new(settings(seed), seed, now),
            graphs: BTreeMap::new(),
            indexed: BTreeSet::new(),
            server: ServerState::Ready,
            due: BinaryHeap::new(),
            events: BTreeMap::new(),
            count: 0,
            malice,
            malice_ever: malice,
            in_flight: BTreeMap::new(),
            writes: 0,
            requests: 0,
            runs: BTreeSet::new(),
            run_ids: 0,
            refusing: false,
            stumbles: seed.is_multiple_of(5),
            scheduled: !seed.is_multiple_of(3),
            cursed: seed.is_multiple_of(13).then(|| GraphName::new("g1")),
            sent: BTreeMap::new(),
            paid: BTreeMap::new(),
            faulted: BTreeSet::new(),
            rng,
            seed,
        };
        for graph in 0..world.rng.usize(1..4) {
            let nodes = world.rng.u64(..40);
            let name = GraphName::new(&format!("g{graph}"));
            world.graphs.insert(name.clone(), Graph::new());
            (0..nodes).for_each(|_| world.create(&name));
        }
        world
    }

    fn unlucky(&mut self) -> bool {
        self.rng.u32(..100) < self.malice
    }

    fn later(&mut self, most_ms: u64, event: Event) {
        self.count += 1;
        let at = self.now + Duration::from_micros(self.rng.u64(10..=most_ms * 1_000));
        self.due.push(Reverse((at, self.count)));
        self.events.insert(self.count, event);
    }

    fn tell(&mut self, event: Event) {
        self.filler.handle(self.now, event);
        while let Some(action) = self.filler.poll() {
            self.perform(action);
        }
        self.check();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Survey => {
                let graphs = self.graphs.keys().cloned().collect();
                let max_rows = self.rng.bool().then(|| self.rng.usize(1..20));
                let survey = Survey { engine: None, engine_tested: true, graphs, max_rows };
                let outcome = self.server_fault().map_or(Ok(survey), Err);
                if !self.is_lost() {
                    self.later(1, Event::Surveyed(outcome));
                }
            }
            Action::Read(read) => self.perform_read(&read),
            Action::Embed(request) => self.perform_embed(&request),
            Action::Write(write) => self.perform_write(write),
            Action::Answer { run, .. } => {
                assert!(self.runs.remove(&run), "seed {}: {run:?} is answered twice", self.seed);
            }
            Action::Report(report) => {
                let t = &report.tally;
                let settled = t.written + t.stale + t.quarantined + t.deferred;
                assert_eq!(t.selected, settled, "seed {}: {report:?}", self.seed);
            }
        }
    }

    /// Whether this request to the store is never answered.
    fn is_lost(&mut self) -> bool {
        self.malice > 0 && self.rng.u32(..300) == 0
    }

    /// Moves time to what happens next.
    fn step(&mut self, until: Instant) -> bool {
        let due = self.due.peek().map(|Reverse((at, _))| *at);
        let tick = self.filler.deadline(self.now);
        let Some(at) = [due, tick].into_iter().flatten().min().filter(|at| *at <= until) else {
            return false;
        };
        self.now = at.max(self.now);
        let event = if due == Some(at) {
            let Some(Reverse((_, number))) = self.due.pop() else { return false };
            self.events.remove(&number)
        } else {
            Some(Event::Tick)
        };
        match &event {
            Some(Event::Embedded(completion)) => {
                *self.in_flight.entry(completion.embedder.clone()).or_default() -= 1;
            }
            Some(Event::Written { .. }) => self.writes -= 1,
            _ => {}
        }
        if let Some(event) = event {
            self.tell(event);
        }
        true
    }

    fn live(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        let mut steps = 0u32;
        while self.step(until) {
            steps += 1;
            assert!(steps < 200_000, "seed {}: time stands still", self.seed);
        }
        self.now = until;
    }
}
