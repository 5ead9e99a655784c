//! Master, replica, and the change between them.

use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Service, paced};

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";

pub fn ro_number(redis: &mut Redis, cypher: &str) -> i64 {
    let reply: Vec<redis::Value> =
        redis.try_call(&["GRAPH.RO_QUERY", "kb", cypher]).unwrap_or_default();
    let Some(redis::Value::Array(rows)) = reply.get(1) else { return -1 };
    let Some(redis::Value::Array(cells)) = rows.first() else { return -1 };
    redis::FromRedisValue::from_redis_value(cells[0].clone()).unwrap_or(-1)
}

/// Everything in the graph: DEBUG DIGEST does not look into one.
pub fn contents(redis: &mut Redis) -> redis::Value {
    let all = "MATCH (n) RETURN ID(n), n.text, n.embedding ORDER BY ID(n)";
    let reply: Vec<redis::Value> = redis.call(&["GRAPH.RO_QUERY", "kb", all]);
    reply[1].clone()
}

/// Sends its data at once, and does not wait for further replicas.
pub fn master(service: &Service) -> Server {
    Setup::with(service).arg("--repl-diskless-sync-delay", "0").start()
}

pub fn replica_of(master: &Server, service: &Service) -> Server {
    let port = master.port.to_string();
    Setup::with(service).arg("--replicaof", &format!("127.0.0.1 {port}")).start()
}

#[test]
fn a_replica_never_asks_the_service_and_gets_the_vectors_of_its_master() {
    let (service, unused) = (Service::start(8), Service::start(8));
    let master = master(&service);
    let replica = replica_of(&master, &unused);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    // Synchronised before there is anything to fill, it gets the vectors by the stream alone.
    wait_for("the link", || {
        redis.call::<String>(&["INFO", "replication"]).contains("state=online").then_some(())
    });
    wait_for("the state", || (copy.status().text("state") == "replica").then_some(()));
    redis.query("kb", "UNWIND range(1, 100) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    wait_for("the copy", || (ro_number(&mut copy, FILLED) == 100).then_some(()));
    assert!(copy.error(&["VECTORFILL.RUN", "kb"]).starts_with("READONLY "));
    assert!(unused.requests().is_empty());
    assert!(contents(&mut redis) == contents(&mut copy), "the replica holds something else");
}

#[test]
fn a_promoted_replica_takes_over_and_the_demoted_master_stops() {
    let (first, second) = (Service::start(8), Service::start(8));
    let master = master(&first);
    let replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    redis.query("kb", "UNWIND range(1, 100) AS i CREATE (:Doc {text: toString(i)})");
    wait_for("the copy", || {
        (ro_number(&mut copy, "MATCH (n) RETURN count(n)") == 100).then_some(())
    });
    let master_port = replica.port.to_string();
    copy.call::<String>(&["REPLICAOF", "NO", "ONE"]);
    redis.call::<String>(&["REPLICAOF", "127.0.0.1", &master_port]);
    wait_for("the new master's pass", || (ro_number(&mut copy, FILLED) == 100).then_some(()));
    wait_for("the old master's state", || {
        (redis.status().text("state") == "replica").then_some(())
    });
    assert!(first.requests().is_empty());
}

#[test]
fn pauses_of_writes_during_a_fill_with_aof_kill_nothing_and_lose_nothing() {
    let service = paced(256, std::time::Duration::from_millis(5), std::time::Duration::ZERO);
    let setup = Setup::with(&service).arg("--appendonly", "yes").set("batch-size", "20");
    let mut server = setup.start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 3000) AS i CREATE (:Doc {text: toString(i)})");
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    for _ in 0..60 {
        redis.call::<String>(&["CLIENT", "PAUSE", "20", "WRITE"]);
        std::thread::sleep(std::time::Duration::from_millis(25));
        assert!(server.is_alive());
    }
    wait_for("all vectors", || (ro_number(&mut redis, FILLED) == 3000).then_some(()));
    wait_for("the end", || (redis.status().text("state") == "idle").then_some(()));
    let before = contents(&mut redis);
    redis.call::<String>(&["DEBUG", "LOADAOF"]);
    assert!(contents(&mut redis) == before, "the AOF does not hold what the server held");
}
