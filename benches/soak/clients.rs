//! The clients: they create, edit and delete nodes of all graphs, at a pace.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use redis::{FromRedisValue, Value};

use crate::Plan;
use crate::faults::POISON;
use testkit::harness::{Redis, Server};

pub const GRAPHS: usize = 100;
const CLIENTS: u64 = 4;
/// What a client does in one round.
const CREATED: u64 = 200;
const EDITED: usize = 30;
const EDITED_IN_FLIGHT: usize = 20;
const DELETED: usize = 20;
/// One text in so many is poison.
const POISONED: u32 = 5_000;
/// One text in so many is one of a few that many nodes share.
const SHARED: u32 = 50;
/// Quotes, backslashes and more than one byte a character have to come through unharmed.
const WORDS: [&str; 12] = [
    "ferry",
    "l'été",
    "C:\\temp",
    "東京",
    "\"seven\"",
    "naïve",
    "harbour",
    "${x}",
    "100 %",
    "[1, 2]",
    "\\'",
    "🦀",
];

/// What the clients have done.
pub struct Load {
    pub created: AtomicU64,
    pub edited: AtomicU64,
    pub deleted: AtomicU64,
    /// One behind the highest id of each graph.
    ends: [AtomicU64; GRAPHS],
}

impl Load {
    pub fn live(&self) -> u64 {
        self.created.load(Ordering::SeqCst) - self.deleted.load(Ordering::SeqCst)
    }
}

pub fn graph_name(graph: usize) -> String {
    format!("g{graph:02}")
}

/// Starts the clients; each ends when it has created its share.
pub fn start(plan: &Plan, server: &Server) -> (Arc<Load>, Vec<JoinHandle<()>>) {
    let mut redis = server.connect();
    (0..GRAPHS).for_each(|graph| drop(redis.query(&graph_name(graph), "RETURN 1")));
    let counter = || AtomicU64::new(0);
    let ends = std::array::from_fn(|_| counter());
    let load = Arc::new(Load { created: counter(), edited: counter(), deleted: counter(), ends });
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client {
            number,
            texts: 0,
            redis: server.connect(),
            rng: Rng::with_seed(plan.seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            load: Arc::clone(&load),
        };
        let (share, span) = (plan.nodes / CLIENTS, plan.span);
        std::thread::spawn(move || client.run(share, span))
    });
    let clients = clients.collect();
    (load, clients)
}

struct Client {
    number: u64,
    texts: u64,
    redis: Redis,
    rng: Rng,
    load: Arc<Load>,
}

impl Client {
    fn run(&mut self, share: u64, span: Duration) {
        let (begun, rounds) = (Instant::now(), share.div_ceil(CREATED));
        for round in 0..rounds {
            let due = begun + span.mul_f64(round as f64 / rounds as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.round(CREATED.min(share - round * CREATED));
        }
    }

    fn round(&mut self, nodes: u64) {
        let graph = self.rng.usize(..GRAPHS);
        let fresh = self.create(graph, nodes);
        let other = self.rng.usize(..GRAPHS);
        let ids = self.some_ids(other, EDITED);
        self.edit(other, &ids);
        let other = self.rng.usize(..GRAPHS);
        let ids = self.some_ids(other, DELETED);
        self.delete(other, &ids);
        if self.rng.bool() {
            // By now the filler has selected the new nodes: they wait, are asked for, or come back.
            std::thread::sleep(Duration::from_millis(self.rng.u64(30..150)));
            let from = self.rng.usize(..fresh.len());
            self.edit(graph, &fresh[from..fresh.len().min(from + EDITED_IN_FLIGHT)]);
        }
    }

    fn create(&mut self, graph: usize, nodes: u64) -> Vec<u64> {
        let texts = self.texts(nodes as usize);
        let rows = self.redis.query(
            &graph_name(graph),
            &format!("CYPHER texts=[{texts}] UNWIND $texts AS t CREATE (n:Doc {{text: t}}) RETURN collect(ID(n))"),
        );
        // The engine prints a list as `[1, 2]`.
        let list: String = cell(&rows);
        let ids = list.trim_matches(['[', ']']).split(", ");
        let ids: Vec<u64> = ids.map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids.len() as u64, nodes);
        self.load.created.fetch_add(nodes, Ordering::SeqCst);
        let end = ids.iter().max().map_or(0, |id| id + 1);
        self.load.ends[graph].fetch_max(end, Ordering::SeqCst);
        ids
    }

    /// As a user has to do it: a new text makes the old vector and the old mark void.
    fn edit(&mut self, graph: usize, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let (list, texts) = (listed(ids), self.texts(ids.len()));
        let rows = self.redis.query(
            &graph_name(graph),
            &format!(
                "CYPHER ids=[{list}] texts=[{texts}] UNWIND range(0, size($ids) - 1) AS k \
                 WITH $ids[k] AS i, $texts[k] AS t MATCH (n) WHERE ID(n) = i \
                 SET n.text = t, n.embedding = NULL, n.embedding_error = NULL RETURN count(n)"
            ),
        );
        self.load.edited.fetch_add(cell(&rows), Ordering::SeqCst);
    }

    fn delete(&mut self, graph: usize, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let list = listed(ids);
        let rows = self.redis.query(
            &graph_name(graph),
            &format!(
                "CYPHER ids=[{list}] UNWIND $ids AS i MATCH (n) WHERE ID(n) = i DELETE n \
                 RETURN count(n)"
            ),
        );
        self.load.deleted.fetch_add(cell(&rows), Ordering::SeqCst);
    }

    /// Different ids of a graph, where there may be nodes.
    fn some_ids(&mut self, graph: usize, most: usize) -> Vec<u64> {
        let end = self.load.ends[graph].load(Ordering::SeqCst);
        let most = if end == 0 { 0 } else { most };
        let ids: BTreeSet<u64> = (0..most).map(|_| self.rng.u64(..end)).collect();
        ids.into_iter().collect()
    }

    /// New texts as a list of literals.
    fn texts(&mut self, number: usize) -> String {
        let texts: Vec<String> = (0..number).map(|_| quoted(&self.text())).collect();
        texts.join(",")
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        if self.rng.u32(..SHARED) == 0 {
            return format!("what many say, {}", self.rng.u32(..20));
        }
        let mut text = format!("note {} of client {}:", self.texts, self.number);
        for _ in 0..self.rng.usize(1..12) {
            text += " ";
            text += WORDS[self.rng.usize(..WORDS.len())];
        }
        if self.rng.u32(..POISONED) == 0 {
            text = format!("{text} {POISON}");
        }
        text
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn listed(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    ids.join(",")
}

/// The one value of a reply.
fn cell<T: FromRedisValue>(rows: &[Vec<Value>]) -> T {
    T::from_redis_value(rows[0][0].clone()).unwrap()
}
