//! Vectors handed over as the engine's effects: the same graph as by queries, on the server, in its
//! AOF, on its replicas.

use redis::Value;

use crate::replication::{contents, replica_of, ro_number};
use testkit::harness::{Redis, Setup, wait_for};
use testkit::service::Service;

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";

/// How often a command was called, as the server counts it.
fn calls(redis: &mut Redis, command: &str) -> u64 {
    let info: String = redis.call(&["INFO", "commandstats"]);
    let prefix = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or("0,");
    line.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn effects_and_queries_leave_the_same_graph() {
    let service = Service::start(64);
    let fill = |effects: &str| -> (Value, bool) {
        let server = Setup::with(&service).set("write-effects", effects).start();
        let mut redis = server.connect();
        redis.query("kb", "UNWIND range(1, 300) AS i CREATE (:Doc:Two {a: i, text: toString(i)})");
        redis.query("kb", "MATCH (n) WHERE ID(n) % 7 = 0 DELETE n");
        assert_eq!(redis.run("kb").number("deferred"), 0);
        (contents(&mut redis), calls(&mut redis, "graph.EFFECT") > 0)
    };
    let (by_effects, sent) = fill("yes");
    let (by_queries, sent_anyway) = fill("no");
    assert!(sent && !sent_anyway, "{sent} {sent_anyway}");
    assert!(by_effects == by_queries);
}

/// The engine numbers properties in the order in which a graph came to know them.
#[test]
fn a_graph_that_was_made_anew_has_its_vectors_in_the_right_property() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    for properties in ["a: 1, b: 2, text: 'x'", "text: 'x', b: 2, c: 3, d: 4, a: 1", "text: 'x'"] {
        redis.query("kb", &format!("UNWIND range(1, 5) AS i CREATE (:Doc {{{properties}}})"));
        redis.run("kb");
        redis.query("kb", &format!("UNWIND range(1, 60) AS i CREATE (:Doc {{{properties}}})"));
        redis.run("kb");
        assert_eq!(redis.number("kb", FILLED), 65);
        let others = "MATCH (n) WHERE n.text = 'x' AND coalesce(n.a, 1) = 1 \
                      AND coalesce(n.b, 2) = 2 AND coalesce(n.c, 3) = 3 RETURN count(n)";
        assert_eq!(redis.number("kb", others), 65, "{properties}");
        redis.call::<String>(&["GRAPH.DELETE", "kb"]);
    }
}

#[test]
fn a_node_with_a_mark_of_an_older_text_loses_it() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    // A mark that ends in the fingerprint of some other text.
    let outdated = "refused [text 0123456789abcdef]";
    redis.query(
        "kb",
        &format!(
            "UNWIND range(1, 20) AS i \
             CREATE (:Doc {{text: 'new ' + toString(i), embedding_error: '{outdated}'}})"
        ),
    );
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: 'more ' + toString(i)})");
    assert_eq!(redis.run("kb").counts(), [40, 40, 0, 0, 0]);
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.embedding_error)"), 0);
}

#[test]
fn effects_feed_an_index_that_is_there_already() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 200) AS i CREATE (:Doc {text: toString(i)})");
    redis.query(
        "kb",
        "CREATE VECTOR INDEX FOR (n:Doc) ON (n.embedding) \
         OPTIONS {dimension: 8, similarityFunction: 'cosine'}",
    );
    redis.run("kb");
    assert!(calls(&mut redis, "graph.EFFECT") > 0);
    for node in [0, 100, 199] {
        let nearest = format!(
            "MATCH (n) WHERE ID(n) = {node} \
             CALL db.idx.vector.queryNodes('Doc', 'embedding', 1, n.embedding) YIELD node \
             RETURN ID(node)"
        );
        assert_eq!(redis.number("kb", &nearest), node);
    }
}

/// The engine's own command for effects does not ask, and it would write beyond the limit.
#[test]
fn no_effect_is_sent_to_a_server_that_has_no_memory_left() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'first'})");
    redis.run("kb");
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(2);
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "1"]);
    service.release();
    wait_for("the pause", || (redis.status().text("state") == "paused").then_some(()));
    assert_eq!((calls(&mut redis, "graph.EFFECT"), redis.number("kb", FILLED)), (0, 1));
    redis.call::<String>(&["CONFIG", "SET", "maxmemory", "0"]);
    wait_for("the rest", || (redis.number("kb", FILLED) == 21).then_some(()));
    assert!(calls(&mut redis, "graph.EFFECT") > 0);
}

/// All writes of the engine's are effects: ids travel.
fn logged_as_effects(service: &Service) -> Setup {
    Setup::with(service)
        .engine_arg("EFFECTS_THRESHOLD", "0")
        .arg("--repl-diskless-sync-delay", "0")
        .arg("--appendonly", "yes")
        .arg("--appendfsync", "always")
}

fn wait_for_link(redis: &mut Redis) {
    wait_for("the link", || {
        redis.call::<String>(&["INFO", "replication"]).contains("state=online").then_some(())
    });
}

#[test]
fn what_was_written_as_effects_is_in_the_aof_and_on_the_replica() {
    let (service, unused) = (Service::start(16), Service::start(16));
    let master = logged_as_effects(&service).start();
    let replica = replica_of(&master, &unused);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    wait_for_link(&mut redis);
    redis.query("kb", "UNWIND range(1, 500) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    assert!(calls(&mut redis, "graph.EFFECT") > 0);
    assert!(redis.writes_effects());
    wait_for("the copy", || (ro_number(&mut copy, FILLED) == 500).then_some(()));
    let before = contents(&mut redis);
    assert!(contents(&mut copy) == before, "the replica holds something else");
    redis.call::<String>(&["DEBUG", "LOADAOF"]);
    assert!(contents(&mut redis) == before, "the AOF holds something else");
}

#[test]
fn where_the_writes_of_others_are_logged_as_text_vectors_are_written_by_queries() {
    let service = Service::start(8);
    let setup = Setup::with(&service).arg("--appendonly", "yes");
    let server = setup.engine_arg("EFFECTS_THRESHOLD", "300").start();
    let mut redis = server.connect();
    let fill = |redis: &mut Redis| {
        redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
        assert_eq!(redis.run("kb").number("written"), 20);
        (calls(redis, "graph.EFFECT") > 0, redis.status().text("writes_reason"))
    };
    let (sent, reason) = fill(&mut redis);
    assert!(!sent && reason.contains("EFFECTS_THRESHOLD is not 0"), "{reason}");
    redis.call::<Value>(&["GRAPH.CONFIG", "SET", "EFFECTS_THRESHOLD", "0"]);
    let (sent, reason) = fill(&mut redis);
    assert!(!sent && reason.contains("BGREWRITEAOF"), "the text is still in the log: {reason}");
    redis.call::<String>(&["BGREWRITEAOF"]);
    wait_for("the rewrite", || {
        let info: String = redis.call(&["INFO", "persistence"]);
        (info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrites:1"))
            .then_some(())
    });
    let (sent, reason) = fill(&mut redis);
    assert!(sent && reason.is_empty(), "{reason}");
}

#[test]
fn a_replay_that_makes_other_ids_does_not_keep_the_server_from_starting() {
    let service = Service::start(8);
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("x.csv");
    std::fs::write(&csv, "t\nc0\nc1\nc2\nc3\nc4\n").unwrap();
    let setup = Setup::with(&service).arg("--appendonly", "yes").arg("--appendfsync", "always");
    let import = format!("{}/", folder.path().display());
    let mut server = setup.engine_arg("IMPORT_FOLDER", &import).start();
    let mut redis = server.connect();
    redis.query(
        "kb",
        "LOAD CSV WITH HEADERS FROM 'file://x.csv' AS row CREATE (:Doc {text: row['t']})",
    );
    redis.query("kb", "CREATE (:Doc {text: 'b'})");
    redis.run("kb");
    redis.query("kb", "MATCH (n) WHERE n.text <> 'b' SET n.embedding = NULL");
    redis.run("kb");
    std::fs::remove_file(&csv).unwrap();
    server.kill();
    server.start_again();
    let mut redis = server.connect();
    let texts = redis.number("kb", "MATCH (n) RETURN count(n)");
    assert!(texts == 1 || texts == 6, "{texts}: the file is gone, or its rows were logged");
    // A node that has another id now may have lost its vector: it gets it again, once the server that
    // has returned is sure of its role.
    let run = ["VECTORFILL.RUN", "kb", "WAIT", "60000"];
    wait_for("a run", || redis.try_call::<Value>(&run).ok());
    assert_eq!(crate::vectors::own_vectors(&mut redis, "kb") as i64, texts);
}

#[test]
fn an_aof_and_a_replica_that_come_in_mid_fill_hold_what_the_master_holds() {
    let service =
        testkit::service::paced(8, std::time::Duration::from_millis(20), std::time::Duration::ZERO);
    let unused = Service::start(8);
    let setup = Setup::with(&service).set("batch-size", "10").set("concurrency", "2");
    let master = setup.arg("--repl-diskless-sync-delay", "0").start();
    let mut redis = master.connect();
    redis.query("kb", "UNWIND range(1, 600) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    wait_for("a part of it", || (redis.number("kb", FILLED) > 100).then_some(()));
    redis.call::<String>(&["CONFIG", "SET", "appendonly", "yes"]);
    let replica = replica_of(&master, &unused);
    let mut copy = replica.connect();
    wait_for_link(&mut redis);
    assert!(redis.number("kb", FILLED) < 600, "the fill was over before the replica was there");
    wait_for("the rest", || (redis.number("kb", FILLED) == 600).then_some(()));
    wait_for("the copy", || (ro_number(&mut copy, FILLED) == 600).then_some(()));
    let before = contents(&mut redis);
    assert!(contents(&mut copy) == before, "the replica holds something else");
    redis.call::<String>(&["DEBUG", "LOADAOF"]);
    assert!(contents(&mut redis) == before, "the AOF holds something else");
}
