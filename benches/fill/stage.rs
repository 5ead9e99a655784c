//! A server with a graph to be filled, and a service to fill it from.

use std::time::{Duration, Instant};

use redis::{FromRedisValue, Value};

use crate::options::Options;
use crate::service::Service;
use crate::vectors::Vectors;
use testkit::harness::{Redis, Server, Setup, Tally};

pub const GRAPH: &str = "kb";
/// Nodes created by one query.
const CHUNK: usize = 20_000;

/// What is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub nodes: usize,
    pub dimensions: usize,
    /// The vector index is there before the vectors are.
    pub indexed: bool,
}

pub struct Stage {
    pub server: Server,
    pub redis: Redis,
    pub nodes: usize,
}

/// The text of a node, which is its id as well.
pub fn text_of(node: usize) -> String {
    format!("some text {node}")
}

impl Stage {
    /// A graph of nodes with distinct texts.
    pub fn new(options: &Options, service: &Service, size: Size) -> Self {
        let mut stage = Self::empty(options, service);
        stage.create(size.nodes, "'some text ' + toString(i)", "");
        if size.indexed {
            stage.create_index(size.dimensions);
        }
        stage
    }

    /// Nothing is filled before [`fill`](Self::fill).
    pub fn empty(options: &Options, service: &Service) -> Self {
        // The index is created by those who measure its being built.
        let mut setup = Setup::with(service).set("auto-index", "no");
        for (name, value) in &options.set {
            setup = setup.set(name, value);
        }
        Self::of(setup)
    }

    pub fn of(setup: Setup) -> Self {
        let server = setup.start();
        let redis = server.connect();
        Self { server, redis, nodes: 0 }
    }

    /// Adds nodes whose text is the expression over their id `i`.
    pub fn create(&mut self, nodes: usize, text: &str, more: &str) {
        let first = self.nodes;
        self.nodes += nodes;
        create(&mut self.redis, first..self.nodes, text, more);
    }

    /// Adds nodes with these texts, which hold no quote.
    pub fn create_texts(&mut self, texts: &[String]) {
        self.nodes += texts.len();
        let list = texts.join("','");
        self.redis.query(GRAPH, &format!("UNWIND ['{list}'] AS t CREATE (:Doc {{text: t}})"));
    }

    /// Adds nodes that have a vector already.
    pub fn create_finished(&mut self, nodes: usize, dimensions: usize) {
        let last = dimensions - 1;
        let vector = format!("embedding: vecf32([x IN range(0, {last}) | 0.1 + i * x % 1013])");
        self.create(nodes, "'some text ' + toString(i)", &format!(", {vector}"));
    }

    pub fn create_index(&mut self, dimensions: usize) {
        self.redis.query(GRAPH, &index(dimensions));
    }

    pub fn configure(&mut self, name: &str, value: &str) {
        self.redis.call::<String>(&["CONFIG", "SET", &format!("vectorfill.{name}"), value]);
    }

    /// A pass of the module, from the request to the last vector; returns nodes a second.
    pub fn fill(&mut self) -> f64 {
        let begun = Instant::now();
        self.run();
        self.nodes as f64 / begun.elapsed().as_secs_f64()
    }

    /// A pass, whatever it finds.
    pub fn run(&mut self) -> Duration {
        let begun = Instant::now();
        self.redis.call::<Value>(&["VECTORFILL.RUN", GRAPH, "WAIT", "0"]);
        begun.elapsed()
    }

    /// Asks for a pass and does not wait for it.
    pub fn ask(&mut self) {
        self.redis.call::<String>(&["VECTORFILL.RUN", GRAPH]);
    }

    /// Nodes that are filled, as the module tells it.
    pub fn filled(&mut self) -> usize {
        // A graph that nobody has looked at yet is not known.
        let status = self.redis.try_call(&["VECTORFILL.STATUS", GRAPH]);
        status.map_or(0, |status| Tally(status).number("embedded") as usize)
    }

    /// Waits until the index is built: a pass of the module does not wait for a large one.
    pub fn wait_for_index(&mut self) {
        let status = "CALL db.indexes() YIELD status RETURN status";
        let built = "OPERATIONAL";
        loop {
            let reply: Value = self.redis.call(&["GRAPH.RO_QUERY", GRAPH, status]);
            let reply = format!("{reply:?}");
            if reply.contains(built) && !reply.contains("CONSTRUCTION") {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Bytes, as Redis counts them.
    pub fn used_memory(&mut self) -> usize {
        info(&mut self.redis, "memory", "used_memory:").parse().unwrap()
    }

    /// A figure counts only if the work was done: every node has a vector, and its own.
    pub fn check(&mut self, vectors: &Vectors) {
        let filled = "MATCH (n) WHERE n.embedding IS NOT NULL RETURN count(n)";
        assert_eq!(self.redis.number(GRAPH, filled), self.nodes as i64, "nodes with a vector");
        for node in [0, self.nodes / 2, self.nodes - 1] {
            let query = format!("MATCH (n) WHERE ID(n) = {node} RETURN n.embedding");
            let vector = self.redis.vector(GRAPH, &query).unwrap();
            // The engine prints six decimals.
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
            let wanted = vectors.numbers(&text_of(node));
            assert!(vector.len() == wanted.len() && vector.iter().zip(&wanted).all(near));
        }
    }
}

/// What creates the index, as the module does.
pub fn index(dimensions: usize) -> String {
    format!(
        "CREATE VECTOR INDEX FOR (n:Doc) ON (n.embedding) \
         OPTIONS {{dimension: {dimensions}, similarityFunction: 'cosine'}}"
    )
}

/// What a line of INFO says behind these words.
pub fn info(redis: &mut Redis, section: &str, words: &str) -> String {
    let info: String = redis.call(&["INFO", section]);
    let line = info.lines().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no {words} in {info}")).to_owned()
}

/// Creates nodes on any server. Each has its number as `id` too, for those who find it by that.
pub fn create(redis: &mut Redis, nodes: std::ops::Range<usize>, text: &str, more: &str) {
    for first in nodes.clone().step_by(CHUNK) {
        let last = (first + CHUNK).min(nodes.end) - 1;
        let query = format!(
            "UNWIND range({first}, {last}) AS i CREATE (:Doc {{id: i, text: {text}{more}}})"
        );
        redis.query(GRAPH, &query);
    }
}

/// The numbers a query returns, one a row.
pub fn numbers(redis: &mut Redis, command: &str, query: &str) -> Vec<i64> {
    let reply: Vec<Value> = redis.call(&[command, GRAPH, query]);
    let rows = Vec::<Vec<i64>>::from_redis_value(reply[1].clone()).unwrap();
    rows.into_iter().map(|row| row[0]).collect()
}
