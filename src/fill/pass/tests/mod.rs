//! One pass, led by hand over a graph in memory: no schedule, no lane, and time is a number.

mod endings;
mod queue;
mod stages;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::EntityId;
use crate::fill::fixture::{binding, rule};
use crate::fill::lane::batch::Batch;
use crate::fill::lane::cache::EmbeddingCache;
use crate::fill::pass::queue::PassJob;
use crate::fill::pass::{Finished, Pass, Plan, Progress, Room, Step};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::settings::BatchLimits;
use crate::fill::port::store::{Answer, Change, Job, Query, Row, Written};
use crate::fill::sim::store::{answer, apply};
use crate::fill::sim::{Graph, Node};
use crate::fill::sweep::Scope;
use crate::fill::tally::Tally;
use crate::rule::Rule;

const BUDGET: Duration = Duration::from_millis(5);
const HELD: Duration = Duration::from_micros(300);
/// Steps after which a pass that has not ended never will.
const MANY: usize = 10_000;

/// A pass over all of a graph that sees to the indexes.
fn plan() -> Plan {
    Plan { scope: Scope::Full, rule: rule().into(), max_rows: 128, check_indexes: true }
}

fn node(text: &str) -> Node {
    Node { text: text.to_owned(), ..Node::default() }
}

fn filled(text: &str) -> Node {
    Node { vector: Some(vec![1.0, 2.0]), ..node(text) }
}

/// So many nodes that have a text and no vector.
fn pending(nodes: u64) -> Graph {
    (0..nodes).map(|id| (id, node(&format!("text {id}")))).collect()
}

/// A pass, the graph it is over, and the time.
struct Lead {
    pass: Pass,
    graph: Graph,
    /// Whether the index is built, if there is one.
    index: Option<bool>,
    /// The engine never ends to build it.
    stuck: bool,
    /// Labels of nodes that have vectors.
    labels: Vec<String>,
    cache: EmbeddingCache,
    room: Room,
    now: Instant,
}

impl Lead {
    fn new(graph: Graph) -> Self {
        Self::with(plan(), graph)
    }

    fn with(plan: Plan, graph: Graph) -> Self {
        let now = Instant::now();
        let has_vectors = graph.values().any(|node| node.vector.is_some());
        Self {
            pass: Pass::new(plan, now),
            graph,
            index: None,
            stuck: false,
            labels: has_vectors.then(|| "Doc".to_owned()).into_iter().collect(),
            cache: EmbeddingCache::default(),
            room: Room {
                nodes: 100,
                heavy: false,
                limits: BatchLimits { texts: 100, tokens: 10_000 },
            },
            now,
        }
    }

    /// The same with so many texts in a request.
    fn with_batches_of(self, texts: usize) -> Self {
        let limits = BatchLimits { texts, ..self.room.limits };
        Self { room: Room { limits, ..self.room }, ..self }
    }

    /// Takes the next query, to be answered or not.
    fn query(&mut self) -> Option<Query> {
        self.pass.take_query(self.now, self.room.nodes)
    }

    /// The engine answers a query. A building index is built when it is asked for again.
    fn answer(&mut self, query: &Query) -> Progress {
        let mut answer = answer(&self.graph, self.index, query);
        match (&mut answer, query) {
            (Answer::CountAll(Some(count)), Query::CountAll { labels: true, .. })
            | (Answer::Count(count), Query::Count { labels: true, .. }) => {
                count.labels.clone_from(&self.labels);
            }
            (Answer::Indexes(_), _) => self.index = self.index.map(|built| built || !self.stuck),
            _ => {}
        }
        self.pass.read(self.now, query, answer)
    }

    /// Takes the next query and has it answered.
    fn ask(&mut self) -> Option<Query> {
        let query = self.query()?;
        self.answer(&query);
        Some(query)
    }

    /// Takes the next batch; it is at the embedder now.
    fn batch(&mut self) -> Option<Batch> {
        self.pass.take_batch(self.now, &binding("g"), self.room, &mut self.cache)
    }

    /// The vectors of a batch come.
    fn embed(&mut self, batch: Batch) {
        let rows = batch.inputs.into_iter().flat_map(|input| {
            let text = input.text;
            let row =
                move |entity| Row { entity, text: text.clone(), vector: Arc::from([1.0, 2.0]) };
            input.entities.into_iter().map(row)
        });
        self.pass.accept(rows.collect());
    }

    /// Takes the next write, to be made or not.
    fn job(&mut self) -> Option<PassJob> {
        self.pass.take_job(self.now, None)
    }

    /// The store makes a write.
    fn write(&mut self, job: Job) -> Progress {
        if matches!(job, Job::CreateIndex(_)) {
            self.index = Some(false);
        }
        let ids = apply(&mut self.graph, &Change::Job(job.clone()));
        self.pass.wrote(job, &Written { ids, held: HELD, contended: false }, BUDGET)
    }

    /// The store refuses a write for now.
    fn refuse(&mut self, job: Job, fault: &StoreFault) {
        self.pass.not_written(self.now, job, fault);
    }

    /// Lets the pass rest as long as it wants to.
    fn rest(&mut self) -> Option<Duration> {
        let until = self.pass.deadline(self.now)?;
        let before = std::mem::replace(&mut self.now, until);
        Some(until - before)
    }

    /// The next thing that the pass does, in a word.
    fn next(&mut self) -> &'static str {
        if let Some(query) = self.ask() {
            return kind(&query);
        }
        if let Some(batch) = self.batch() {
            self.embed(batch);
            return "embed";
        }
        if let Some(PassJob { job, .. }) = self.job() {
            let kind = kind_of_job(&job);
            self.write(job);
            return kind;
        }
        assert!(self.rest().is_some(), "it stands still: {:#?}", self.pass);
        "rest"
    }

    /// Leads the pass on until it has done this.
    fn until(&mut self, what: &str) {
        for _ in 0..MANY {
            match self.pass.step() {
                Step::Over => break,
                Step::Stay if self.next() == what => return,
                Step::Stay | Step::Moved => {}
            }
        }
        panic!("no {what}: {:#?}", self.pass);
    }

    /// Leads the pass to its end. Returns what it did on the way, rests apart.
    fn run(&mut self) -> Vec<&'static str> {
        let mut done = Vec::new();
        for _ in 0..MANY {
            match self.pass.step() {
                Step::Over => return done.into_iter().filter(|what| *what != "rest").collect(),
                Step::Moved => {}
                Step::Stay => done.push(self.next()),
            }
        }
        panic!("it never ends: {:#?}", self.pass);
    }

    /// The pass is over: what came of it.
    fn finish(mut self) -> Finished {
        assert_eq!(self.pass.step(), Step::Over, "{:#?}", self.pass);
        self.pass.finish(self.now)
    }

    fn with_vectors(&self) -> Vec<u64> {
        let filled = self.graph.iter().filter(|(_, node)| node.vector.is_some());
        filled.map(|(id, _)| *id).collect()
    }
}

fn kind(query: &Query) -> &'static str {
    match query {
        Query::Indexes => "indexes",
        Query::CountAll { .. } => "count all",
        Query::Count { .. } => "count",
        Query::Select(_) => "select",
        Query::Marked { .. } => "marked",
        Query::Lists(_) => "lists",
        Query::Sample(_) => "sample",
    }
}

fn kind_of_job(job: &Job) -> &'static str {
    match job {
        Job::Vectors(_) => "vectors",
        Job::Quarantine(_) => "marks",
        Job::CreateIndex(_) => "create index",
        Job::Convert(_) => "convert",
    }
}

/// The nodes of a write of vectors.
fn ids(job: &Job) -> Vec<EntityId> {
    let Job::Vectors(rows) = job else { panic!("{job:?}") };
    rows.iter().map(|row| row.entity.id).collect()
}

/// What became of the nodes, in the order of the log line.
fn counts(tally: &Tally) -> [u64; 5] {
    let Tally { selected, written, stale, quarantined, deferred, .. } = *tally;
    assert_eq!(selected, written + stale + quarantined + deferred, "{tally:?}");
    [selected, written, stale, quarantined, deferred]
}
