//! What happens to a server in the middle of a fill: failovers, power cuts, saving, reloading.

use std::time::{Duration, Instant};

use crate::replication::{contents, ro_number};
use crate::vectors::own_vectors;
use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Service, paced};

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";
const NODES: i64 = 2_000;

/// A server with an AOF whose fill of [`NODES`] takes about a second.
fn setup(service: &Service) -> Setup {
    Setup::with(service)
        .arg("--appendonly", "yes")
        .arg("--repl-diskless-sync-delay", "0")
        .set("batch-size", "10")
        .set("concurrency", "2")
}

fn service() -> Service {
    paced(64, Duration::from_millis(10), Duration::ZERO)
}

fn replica_of(master: &Server, service: &Service) -> Server {
    setup(service).arg("--replicaof", &format!("127.0.0.1 {}", master.port)).start()
}

fn link(redis: &mut Redis) {
    wait_for("the link", || {
        redis.call::<String>(&["INFO", "replication"]).contains("state=online").then_some(())
    });
}

/// The fill is under way, and far from its end.
fn under_way(redis: &mut Redis) {
    let texts = format!("UNWIND range(1, {NODES}) AS i CREATE (:Doc {{text: 'text ' + i}})");
    redis.query("kb", &texts);
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    wait_for("a part of it", || (ro_number(redis, FILLED) > NODES / 10).then_some(()));
    assert!(ro_number(redis, FILLED) < NODES / 2, "the fill is too fast for this test");
}

fn all_of_it(redis: &mut Redis) {
    wait_for("all of it", || (ro_number(redis, FILLED) == NODES).then_some(()));
    assert_eq!(own_vectors(redis, "kb") as i64, NODES);
}

/// The role has changed; gives the time until the new master asks its service.
fn takes_over(copy: &mut Redis, service: &Service) -> Duration {
    wait_for("the promotion", || {
        copy.call::<String>(&["INFO", "replication"]).contains("role:master").then_some(())
    });
    let promoted = Instant::now();
    service.wait_for_requests(1);
    promoted.elapsed()
}

/// The replica has everything, and nothing else.
fn same(redis: &mut Redis, copy: &mut Redis) {
    wait_for("the copy", || (ro_number(redis, FILLED) == NODES).then_some(()));
    assert!(contents(redis) == contents(copy), "the replica holds something else");
}

#[test]
fn a_failover_in_a_fill_hands_the_rest_to_the_promoted_server() {
    let (first, second) = (service(), service());
    let mut master = setup(&first).start();
    let mut replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    link(&mut redis);
    under_way(&mut redis);
    redis.call::<String>(&["FAILOVER"]);
    let took = takes_over(&mut copy, &second);
    assert!(took < Duration::from_secs(1), "{took:?}");
    wait_for("the old master to stop", || {
        (redis.status().text("state") == "replica").then_some(())
    });
    let asked = first.requests().len();
    all_of_it(&mut copy);
    same(&mut redis, &mut copy);
    assert_eq!(first.requests().len(), asked, "the demoted master has stopped");
    assert!(master.is_alive() && replica.is_alive());
}

#[test]
fn a_replica_promoted_in_a_fill_takes_over_and_its_old_master_follows_it() {
    let (first, second) = (service(), service());
    let mut master = setup(&first).start();
    let mut replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    link(&mut redis);
    under_way(&mut redis);
    copy.call::<String>(&["REPLICAOF", "NO", "ONE"]);
    redis.call::<String>(&["REPLICAOF", "127.0.0.1", &replica.port.to_string()]);
    assert!(takes_over(&mut copy, &second) < Duration::from_secs(1));
    all_of_it(&mut copy);
    same(&mut redis, &mut copy);
    assert_eq!(redis.status().text("state"), "replica");
    assert!(master.is_alive() && replica.is_alive());
}

#[test]
fn a_master_killed_in_a_fill_is_replaced_by_its_replica_and_comes_back_as_one() {
    let (first, second) = (service(), service());
    let mut master = setup(&first).start();
    let replica = replica_of(&master, &second);
    let (mut redis, mut copy) = (master.connect(), replica.connect());
    link(&mut redis);
    under_way(&mut redis);
    master.kill();
    copy.call::<String>(&["REPLICAOF", "NO", "ONE"]);
    assert!(takes_over(&mut copy, &second) < Duration::from_secs(1));
    all_of_it(&mut copy);
    master.start_again();
    let mut redis = master.connect();
    redis.call::<String>(&["REPLICAOF", "127.0.0.1", &replica.port.to_string()]);
    same(&mut redis, &mut copy);
}

#[test]
fn a_server_that_saves_rewrites_and_reloads_in_a_fill_loses_nothing() {
    let service = service();
    let mut server = setup(&service).start();
    let mut redis = server.connect();
    under_way(&mut redis);
    let children = [
        ("BGSAVE", "rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok"),
        ("BGREWRITEAOF", "aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok"),
    ];
    for (command, ended, well) in children {
        redis.call::<String>(&[command]);
        let info = wait_for("the child's end", || {
            let info = redis.call::<String>(&["INFO", "persistence"]);
            info.contains(ended).then_some(info)
        });
        assert!(info.contains(well), "{info}");
    }
    redis.call::<String>(&["DEBUG", "RELOAD"]);
    assert!(ro_number(&mut redis, FILLED) < NODES, "all of it came in the middle");
    all_of_it(&mut redis);
    let before = contents(&mut redis);
    server.kill();
    server.start_again();
    let mut redis = server.connect();
    wait_for("the AOF", || (ro_number(&mut redis, FILLED) == NODES).then_some(()));
    assert!(contents(&mut redis) == before, "the AOF does not hold what the server held");
}
