//! A simulated world around the core: graphs that change, a service and a store that fail, and time
//! that is only a number. The invariants are checked after every step.

mod invariants;
mod service;
pub(crate) mod store;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::{GraphName, NodeId, Text};
use crate::fill::Filler;
use crate::fill::port::event::{Action, Event, QuarantineRequest, ServerState, Survey};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::RunId;
use crate::fill::port::settings::{BatchLimits, LaneLimits, Overlong, Settings};
use crate::fill::quarantine::mark::is_outdated;
use crate::fill::schedule::SURVEY_AGAIN;
use crate::rule::globs::Globs;
use crate::rule::name::Name;
use crate::rule::{Rule, Similarity};

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
    in_flight: usize,
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
    sent: VecDeque<Instant>,
    /// When a text was last embedded.
    paid: BTreeMap<String, Instant>,
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
    let name = |setting, value| Name::parse(setting, value).unwrap();
    Settings {
        enabled: true,
        interval: scheduled.then_some(Duration::from_mins(1)),
        wake_on_write: true,
        rule: Arc::new(Rule {
            graphs: Globs::parse("graphs", "*").unwrap(),
            label: None,
            source: name("source", "text"),
            target: name("target", "embedding"),
            error_property: name("error-property", "error"),
            max_text_chars: MAX_CHARS,
        }),
        batch: BatchLimits { texts: BATCH, tokens: 1_000 },
        lane: LaneLimits { concurrency, extra: 0, requests_per_minute, tokens_per_minute: 0 },
        query_cache: 3,
        max_attempts: 4,
        overlong: Overlong::Shorten,
        dimensions: None,
        write_budget: Duration::from_millis(5),
        write_patience: None,
        write_effects: true,
        auto_index: Some(Similarity::Cosine),
    }
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
            in_flight: 0,
            writes: 0,
            requests: 0,
            runs: BTreeSet::new(),
            run_ids: 0,
            refusing: false,
            stumbles: seed.is_multiple_of(5),
            scheduled: !seed.is_multiple_of(3),
            cursed: seed.is_multiple_of(13).then(|| GraphName::new("g1")),
            sent: VecDeque::new(),
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

    fn create(&mut self, graph: &GraphName) {
        let kind = self.rng.u32(..20);
        let number = self.rng.u32(..30);
        let text = match kind {
            0 => format!("poison {number}"),
            1 => String::new(),
            // A text that fails without a reason.
            2 if self.stumbles => format!("stumble {number}"),
            _ => format!("text {number}"),
        };
        let Some(nodes) = self.graphs.get_mut(graph) else { return };
        // The lowest free id: the engine reuses ids.
        let id = (0..1_000_000).find(|id| !nodes.contains_key(id)).unwrap();
        nodes.insert(id, Node { text, ..Node::default() });
    }

    /// A client changes the graphs.
    fn meddle(&mut self) {
        let names: Vec<GraphName> = self.graphs.keys().cloned().collect();
        let Some(name) = self.rng.choice(names) else { return };
        let ids: Vec<u64> = self.graphs[&name].keys().copied().collect();
        let id = self.rng.choice(ids).unwrap_or(0);
        match self.rng.u32(..20) {
            0..8 => self.create(&name),
            8..13 => drop(self.graphs.get_mut(&name).unwrap().remove(&id)),
            13..18 => {
                let kind =
                    *self.rng.choice(["edited", "edited", "edited", "poison"].iter()).unwrap();
                let text = format!("{kind} {}", self.rng.u32(..1_000));
                if let Some(node) = self.graphs.get_mut(&name).unwrap().get_mut(&id) {
                    // An edit as a user makes it: the old vector goes with the old text, but the
                    // user does not know about the quarantine mark.
                    *node = Node { text, vector: None, error: node.error.take() };
                }
            }
            18 => {
                self.graphs.remove(&name);
                self.indexed.remove(&name);
            }
            _ => {
                // The name may have existed before, and is announced before the graph exists.
                let name = GraphName::new(&format!("g{}", self.rng.u32(..4)));
                self.tell(Event::Touched(name.clone()));
                self.graphs.entry(name.clone()).or_default();
                self.create(&name);
            }
        }
        self.tell(Event::Touched(name));
    }

    /// The server or a user does something.
    fn disturb(&mut self) {
        match self.rng.u32(..10) {
            9 => {
                self.run_ids += 1;
                let texts =
                    (0..self.rng.usize(1..8)).map(|_| format!("text {}", self.rng.u32(..30)));
                let texts = texts.map(|text| Text::new(text.as_bytes(), MAX_CHARS)).collect();
                self.runs.insert(RunId(self.run_ids));
                self.tell(Event::Query { run: RunId(self.run_ids), texts });
            }
            8 => self.ask(),
            // A service that changes its mind between two requests could not be told apart from one
            // that objects to the text.
            6 | 7 => {
                self.live(1);
                self.refusing = !self.refusing;
                self.live(1);
            }
            0 => {
                self.server = *[ServerState::Replica, ServerState::Loading, ServerState::NoEngine]
                    .get(self.rng.usize(..3))
                    .unwrap();
                self.tell(Event::ServerChanged);
            }
            1 => {
                self.server = ServerState::Ready;
                self.tell(Event::ServerChanged);
            }
            2 => {
                let embedder_replaced = self.rng.bool();
                if embedder_replaced {
                    self.in_flight = 0;
                    self.events.retain(|_, event| !matches!(event, Event::Embedded(_)));
                }
                let enabled = self.rng.u32(..4) > 0;
                let settings = Box::new(Settings { enabled, ..settings(self.seed) });
                self.tell(Event::Configured { settings, embedder_replaced });
            }
            _ => {
                self.run_ids += 1;
                let name = GraphName::new(&format!("g{}", self.rng.u32(..4)));
                let graph = self.rng.bool().then_some(name);
                let run = self.rng.bool().then_some(RunId(self.run_ids));
                self.runs.extend(run);
                self.tell(Event::Run { run, graph });
            }
        }
    }

    /// A user lists or releases the quarantined nodes.
    fn ask(&mut self) {
        self.run_ids += 1;
        let (run, graph) =
            (RunId(self.run_ids), GraphName::new(&format!("g{}", self.rng.u32(..4))));
        let request = match self.rng.u32(..3) {
            0 => QuarantineRequest::List { most: self.rng.usize(1..10) },
            1 => QuarantineRequest::Release { ids: None },
            _ => QuarantineRequest::Release {
                ids: Some((0..self.rng.u64(1..20)).map(NodeId).collect()),
            },
        };
        self.runs.insert(run);
        self.tell(Event::Quarantine { run, graph, request });
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
            Some(Event::Embedded(_)) => self.in_flight -= 1,
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

fn one_life(seed: u64) {
    let mut world = World::new(seed);
    // A text that every service accepts: without one, a poison cannot be told from a bad request.
    let name = world.graphs.keys().next().cloned().unwrap();
    world
        .graphs
        .get_mut(&name)
        .unwrap()
        .insert(500, Node { text: "good".into(), ..Node::default() });
    world.tell(Event::Tick);
    for _ in 0..world.rng.u32(..40) {
        let pause = world.rng.u64(..4);
        world.live(pause);
        if world.malice > 0 && world.rng.u32(..4) == 0 {
            world.disturb();
        } else {
            world.meddle();
        }
    }
    // The world calms down; everything broken is fixed.
    world.malice = 0;
    world.refusing = false;
    world.server = ServerState::Ready;
    world.tell(Event::ServerChanged);
    world.tell(Event::Configured { settings: Box::new(settings(seed)), embedder_replaced: false });
    if !world.scheduled {
        // Nodes left pending by a fault are taken up on request.
        world.live(5);
        world.run_ids += 1;
        world.runs.insert(RunId(world.run_ids));
        world.tell(Event::Run { run: Some(RunId(world.run_ids)), graph: None });
        world.live(100);
    }
    let healthy = GraphName::new("healthy");
    world.graphs.insert(
        healthy.clone(),
        BTreeMap::from([(1, Node { text: "ok".into(), ..Node::default() })]),
    );
    world.tell(Event::Touched(healthy));
    // The longest time a rejected service is left alone, and then some.
    world.live(900);
    // Scheduled passes keep hitting faults, but each of them still ends.
    (0..900).any(|_| {
        world.live(1);
        !world.filler.is_busy()
    });
    world.assert_complete();
}

/// A survey holds the server: one that cannot be filled must not be surveyed endlessly.
#[test]
fn a_server_that_cannot_be_filled_is_looked_at_after_a_pause() {
    let mut now = Instant::now();
    let mut filler = Filler::new(settings(1), 1, now);
    let mut surveys = |filler: &mut Filler, event, after| {
        now += after;
        filler.handle(now, event);
        std::iter::from_fn(|| filler.poll()).filter(|a| matches!(a, Action::Survey)).count()
    };
    let refused = || Event::Surveyed(Err(StoreFault::Replica));
    assert_eq!(surveys(&mut filler, Event::Tick, Duration::ZERO), 1);
    surveys(&mut filler, Event::Surveyed(Ok(Survey::default())), Duration::ZERO);
    surveys(&mut filler, Event::Touched(GraphName::new("new")), Duration::ZERO);
    assert_eq!(
        surveys(&mut filler, Event::Tick, Duration::from_millis(60)),
        1,
        "for the new graph"
    );
    assert_eq!(surveys(&mut filler, refused(), Duration::ZERO), 0);
    // Each event takes a nanosecond.
    let pause = SURVEY_AGAIN + Duration::from_millis(1);
    assert_eq!(surveys(&mut filler, Event::Tick, pause), 1);
}

/// The seeds of the simulated lives; `VECTORFILL_SEEDS=from..to` selects others.
fn seeds() -> std::ops::Range<u64> {
    let range = std::env::var("VECTORFILL_SEEDS").unwrap_or_default();
    let parsed =
        range.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or(0..10_000)
}

#[test]
fn nothing_is_lost_and_no_vector_stands_on_a_wrong_text() {
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| one_life(seed));
        if let Err(panic) = outcome {
            let next = seed + 1;
            eprintln!("again: VECTORFILL_SEEDS={seed}..{next} cargo test --lib sim");
            std::panic::resume_unwind(panic);
        }
    }
}
