//! The running queries in GRAPH.INFO: whether a write would have to wait for one.

use std::time::Duration;

use crate::engine::query::is_sweep;
use crate::engine::value::Value;

/// How long the oldest query on `graph` in GRAPH.INFO has been running; `Duration::MAX` if one is
/// still waiting to run.
pub(crate) fn oldest_reader(reply: &Value<'_>, graph: &[u8]) -> Option<Duration> {
    let on_graph =
        |query: &&Value<'_>| query.field("Graph name").and_then(Value::bytes) == Some(graph);
    // Our own sweeps are short, and must not hold up our own writes.
    let ours =
        |query: &&Value<'_>| query.field("Query").and_then(Value::bytes).is_some_and(is_sweep);
    let queries = reply.items().iter().flat_map(Value::items);
    let age = |query: &Value<'_>| match query.field("Wait duration") {
        Some(_) => Some(Duration::MAX),
        None => query.field("Execution duration").map(Value::millis),
    };
    queries.filter(on_graph).filter(|query| !ours(query)).filter_map(age).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_as_old_as_it_has_run_and_one_that_waits_is_older_than_all() {
        let info = |graph: &str, kind: &str, ms: &str| {
            let query = format!("*4\r\n+Graph name\r\n+{graph}\r\n+{kind}\r\n+{ms}\r\n");
            format!("*2\r\n+# Running queries\r\n*1\r\n{query}")
        };
        let oldest = |graph: &str, kind: &str, ms: &str| {
            oldest_reader(&Value::parse(info(graph, kind, ms).as_bytes()).unwrap(), b"g")
        };
        let ms = |ms| Some(Duration::from_secs_f64(ms / 1_000.0));
        assert_eq!(oldest("g", "Execution duration", "297.87"), ms(297.87));
        assert_eq!(oldest("g", "Execution duration", "0.5"), ms(0.5));
        assert_eq!(oldest("h", "Execution duration", "297.87"), None);
        assert_eq!(oldest("g", "Wait duration", "0.1"), Some(Duration::MAX));
        assert_eq!(oldest("g", "Execution duration", "?"), Some(Duration::MAX));
    }
}
