//! What must hold at the end: nothing is pending, and every vector is that of its text.

use std::time::{Duration, Instant};

use redis::{FromRedisValue, Value};

use crate::clients::{GRAPHS, graph_name};
use crate::faults::{DIMENSIONS, POISON};
use crate::watch::Watch;
use testkit::harness::Redis;
use testkit::service::vector_of;

/// Ids looked at in one query: fewer than any limit on rows.
const WINDOW: i64 = 2_000;
/// The engine prints six decimals.
const EXACT: f32 = 1e-5;
const MOST_EXAMPLES: usize = 10;

const PENDING: &str = "MATCH (n) WHERE n.text IS NOT NULL AND n.embedding IS NULL \
                       AND n.embedding_error IS NULL RETURN count(n)";

/// Nodes that wait for a vector, by query.
pub fn pending(redis: &mut Redis) -> i64 {
    (0..GRAPHS).map(|graph| redis.number(&graph_name(graph), PENDING)).sum()
}

/// Nodes that wait for a vector, as the module tells.
fn told_pending(redis: &mut Redis) -> i64 {
    let graphs = redis.full_status().get("graphs");
    graphs.keys().iter().map(|name| graphs.get(name).number("pending")).sum()
}

/// Waits until nothing is pending; gives the time it took, or what is still pending.
pub fn drain(redis: &mut Redis, limit: Duration, watch: &mut Watch) -> Result<Duration, String> {
    let begun = Instant::now();
    loop {
        let (pending, told) = (pending(redis), told_pending(redis));
        if (pending, told) == (0, 0) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return Err(format!("after {limit:?} {pending} nodes are pending; STATUS says {told}"));
        }
        watch.sample();
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What the nodes are like.
#[derive(Default)]
pub struct Verdict {
    pub nodes: u64,
    /// With the vector of their text.
    pub filled: u64,
    /// Poison, and marked as such.
    pub quarantined: u64,
    /// Neither a vector nor a mark.
    pub lost: u64,
    /// A vector of another text, or of a text the service never embeds.
    pub wrong: u64,
    /// Marked without being poison.
    pub misjudged: u64,
    pub examples: Vec<String>,
}

/// Looks at every node of every graph.
pub fn all(redis: &mut Redis) -> Verdict {
    let mut verdict = Verdict::default();
    for graph in 0..GRAPHS {
        let graph = graph_name(graph);
        let end = redis.number(&graph, "MATCH (n) RETURN coalesce(max(ID(n)), -1)") + 1;
        for lo in (0..end).step_by(WINDOW as usize) {
            let rows = redis.query(
                &graph,
                &format!(
                    "CYPHER lo={lo} hi={} MATCH (n) WHERE ID(n) >= $lo AND ID(n) < $hi \
                     RETURN ID(n), n.text, n.embedding, n.embedding_error",
                    lo + WINDOW
                ),
            );
            rows.iter().for_each(|row| verdict.judge(&graph, row));
        }
    }
    verdict
}

impl Verdict {
    fn judge(&mut self, graph: &str, row: &[Value]) {
        self.nodes += 1;
        let optional = |at: usize| Option::<String>::from_redis_value(row[at].clone()).unwrap();
        let (text, vector, mark) = (optional(1).expect("a text"), optional(2), optional(3));
        let (counter, good) = match (text.contains(POISON), vector, mark) {
            (false, Some(vector), None) if is_vector_of(&vector, &text) => (&mut self.filled, true),
            (true, None, Some(_)) => (&mut self.quarantined, true),
            (_, None, None) => (&mut self.lost, false),
            (false, None, Some(_)) => (&mut self.misjudged, false),
            (_, Some(_), _) => (&mut self.wrong, false),
        };
        *counter += 1;
        if !good && self.examples.len() < MOST_EXAMPLES {
            self.examples.push(format!("{graph}: {row:?}"));
        }
    }
}

/// Whether this is how the engine prints the vector of the text.
fn is_vector_of(printed: &str, text: &str) -> bool {
    let numbers = printed.trim_matches(['<', '>']).split(", ");
    let numbers: Vec<f32> = numbers.map(|number| number.parse().unwrap()).collect();
    let wanted = vector_of(text, DIMENSIONS);
    numbers.len() == wanted.len() && numbers.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < EXACT)
}
