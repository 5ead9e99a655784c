//! Wake-on-write: what is new is found soon, however large the graph is; what was edited, later.

use crate::replication::ro_number;
use testkit::harness::{Setup, wait_for};
use testkit::service::Service;

#[test]
fn a_write_wakes_the_filler() {
    let service = Service::start(8);
    let server = Setup::with(&service).set("wake-on-write", "yes").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'hello'})");
    let filled = "MATCH (n) RETURN count(n.embedding)";
    wait_for("the vector", || (ro_number(&mut redis, filled) == 1).then_some(()));
}

/// A graph of 300,000 nodes rests for a second or more after it was swept.
#[test]
fn a_new_node_does_not_wait_until_a_large_graph_has_rested() {
    let service = Service::start(2);
    let server = Setup::with(&service).set("auto-index", "no").start();
    let mut redis = server.connect();
    let finished = "CREATE (:Doc {text: toString(i), embedding: vecf32([1, i])})";
    redis.query("kb", &format!("UNWIND range(1, 300000) AS i {finished}"));
    redis.run("kb");
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.wake-on-write", "yes"]);
    redis.query(
        "kb",
        "MATCH (n) WHERE ID(n) = 7 SET n.embedding = NULL CREATE (:Doc {text: 'new'})",
    );
    // Bit 0: the new node; bit 1: the old one.
    let which = "MATCH (n) WHERE ID(n) = 7 OR ID(n) = 300000 \
                 RETURN sum(CASE WHEN n.embedding IS NULL THEN 0 WHEN ID(n) = 7 THEN 2 ELSE 1 END)";
    let first =
        wait_for("a vector", || Some(ro_number(&mut redis, which)).filter(|found| *found > 0));
    assert_eq!(first, 1, "the new node comes first");
    wait_for("the other", || (ro_number(&mut redis, which) == 3).then_some(()));
    wait_for("the figures", || {
        let status = redis.graph_status("kb");
        let figures = (status.number("eligible"), status.number("pending"));
        (figures == (300_001, 0)).then_some(())
    });
}
