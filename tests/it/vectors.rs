//! Whether the vectors of a graph are those of its texts.

use redis::FromRedisValue as _;

use testkit::harness::{Redis, close, numbers};
use testkit::service::vector_of;

/// Asserts that every node has the vector of its own text; gives the number of nodes.
pub fn own_vectors(redis: &mut Redis, graph: &str) -> usize {
    let rows = redis.rows("GRAPH.RO_QUERY", graph, "MATCH (n) RETURN n.text, n.embedding");
    for row in &rows {
        let text = String::from_redis_value(row[0].clone()).unwrap();
        let vector = numbers(&row[1]).unwrap_or_else(|| panic!("no vector at {text:?}"));
        let own = vector_of(&text, vector.len());
        assert!(close(&vector, &own), "{text:?} has {vector:?} and not {own:?}");
    }
    rows.len()
}
