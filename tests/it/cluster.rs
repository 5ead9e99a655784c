//! Redis Cluster: three masters, each with graphs of its own, and a replica of each.

use std::collections::HashSet;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::vectors::own_vectors;
use testkit::harness::{Redis, Server, Setup, Tally, wait_for};
use testkit::service::{Service, paced};

const DIM: usize = 8;
/// The slots of each master.
const SLOTS: [(i64, i64); 3] = [(0, 5460), (5461, 10_922), (10_923, 16_383)];

const BATCH: usize = 10;
const IN_FLIGHT: usize = 2;
/// Texts a pass may have paid for and not written yet, with the two settings above: those in flight,
/// and as many again that came back.
const HELD: usize = 2 * IN_FLIGHT * BATCH;
/// At twenty milliseconds a request, a fill of so many texts takes 400 ms at the least.
const TEXTS: usize = 400;
const PAUSE: Duration = Duration::from_millis(20);

/// A node of the cluster, with a service that nobody else asks.
pub struct Node {
    pub server: Server,
    pub service: Service,
    /// The port of the cluster bus.
    bus: u16,
    /// Its name in the cluster.
    pub id: String,
}

impl Node {
    /// The settings leave the fill to RUN; `setup` may change that.
    fn launch(setup: fn(Setup) -> Setup) -> Self {
        let service = paced(DIM, PAUSE, Duration::ZERO);
        let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let small = Setup::with(&service)
            .set("batch-size", &BATCH.to_string())
            .set("concurrency", &IN_FLIGHT.to_string())
            .arg("--cluster-enabled", "yes")
            .arg("--cluster-node-timeout", "2000")
            // By default it is the port + 10000, which may be taken, or no port at all.
            .arg("--cluster-port", &bus.to_string())
            .arg("--repl-diskless-sync-delay", "0");
        let server = setup(small).start();
        let id = server.connect().call(&["CLUSTER", "MYID"]);
        Self { server, service, bus, id }
    }

    pub fn connect(&self) -> Redis {
        let mut redis = self.server.connect();
        // Lets a replica answer for its master's slots; a master does so anyway.
        redis.call::<String>(&["READONLY"]);
        redis
    }

    fn state(&self) -> String {
        self.connect().status().text("state")
    }

    fn is_linked(&self) -> bool {
        let info: String = self.connect().call(&["INFO", "replication"]);
        info.contains("role:slave") && info.contains("master_link_status:up")
    }

    fn knows(&self, words: &str) -> bool {
        self.connect().call::<String>(&["CLUSTER", "INFO"]).contains(words)
    }

    /// Whether this node has heard that `master` has a replica: who has not lets nobody take over.
    fn knows_a_replica_of(&self, master: &Node) -> bool {
        let command = ["CLUSTER", "REPLICAS", &master.id];
        self.connect().try_call::<Vec<String>>(&command).is_ok_and(|replicas| !replicas.is_empty())
    }

    fn filled(&self, graph: &str) -> usize {
        self.connect().number(graph, "MATCH (n) RETURN count(n.embedding)") as usize
    }
}

/// Starts three masters and, with `nodes` = 6, a replica of each: that of node 0 is node 3.
pub fn cluster(nodes: usize, setup: fn(Setup) -> Setup) -> Vec<Node> {
    let nodes: Vec<Node> = (0..nodes).map(|_| Node::launch(setup)).collect();
    let (port, bus) = (nodes[0].server.port.to_string(), nodes[0].bus.to_string());
    for (at, node) in nodes.iter().enumerate() {
        let mut redis = node.connect();
        if let Some((first, last)) = SLOTS.get(at) {
            let (first, last) = (first.to_string(), last.to_string());
            redis.call::<String>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        let epoch = (at + 1).to_string();
        redis.call::<String>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        redis.call::<String>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    }
    for (at, replica) in nodes.iter().enumerate().skip(SLOTS.len()) {
        let mut redis = replica.connect();
        let command = ["CLUSTER", "REPLICATE", &nodes[at - SLOTS.len()].id];
        wait_for("a master that is known", || redis.try_call::<String>(&command).ok());
        wait_for("the link", || replica.is_linked().then_some(()));
        wait_for("the state", || (replica.state() == "replica").then_some(()));
        wait_until_known(&nodes, &nodes[at - SLOTS.len()]);
    }
    wait_until_up(&nodes);
    nodes
}

fn wait_until_up(nodes: &[Node]) {
    for node in nodes {
        wait_for("the cluster", || node.knows("cluster_state:ok").then_some(()));
    }
}

/// Waits until all nodes have heard of a replica of this master.
fn wait_until_known(nodes: &[Node], master: &Node) {
    for node in nodes {
        wait_for("a known replica", || node.knows_a_replica_of(master).then_some(()));
    }
}

/// A graph in a slot of this master.
pub fn graph_of(nodes: &[Node], master: usize, kind: &str) -> String {
    let (mut redis, (first, last)) = (nodes[master].connect(), SLOTS[master]);
    let mut names = (0..).map(|number| format!("{kind}-{number}"));
    let is_own = |slot: i64| (first..=last).contains(&slot);
    names.find(|name| is_own(redis.call(&["CLUSTER", "KEYSLOT", name]))).unwrap()
}

/// Creates a graph with so many texts, each of them at so many nodes.
fn create(node: &Node, graph: &str, texts: usize, copies: usize) {
    let query = format!(
        "UNWIND range(1, {}) AS i CREATE (:Doc {{text: '{graph}, text ' + toString(i % {texts})}})",
        texts * copies
    );
    node.connect().query(graph, &query);
}

/// All texts that were paid for.
fn paid(nodes: &[Node]) -> Vec<String> {
    nodes.iter().flat_map(|node| node.service.texts()).collect()
}

/// How many texts were paid for that had been paid for before.
fn paid_again(nodes: &[Node]) -> usize {
    let paid = paid(nodes);
    paid.len() - paid.iter().collect::<HashSet<_>>().len()
}

/// The graphs INFO has a line for.
fn graphs_in_info(node: &Node) -> Vec<String> {
    let info: String = node.connect().call(&["INFO", "vectorfill"]);
    let names = info.lines().filter_map(|line| line.strip_prefix("vectorfill_graph_"));
    names.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

/// Sees to it that something stays as it is for a while.
fn stays(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert!(condition(), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn each_master_of_a_cluster_fills_its_own_graphs() {
    let nodes = cluster(3, |setup| setup);
    for (at, node) in nodes.iter().enumerate() {
        let mut redis = node.connect();
        let texts = 30 + at;
        let [one, other] = ["one", "other"].map(|kind| graph_of(&nodes, at, kind));
        create(node, &one, texts, 2);
        let all = 2 * texts as i64;
        assert_eq!(redis.run(&one).counts(), [all, all, 0, 0, 0]);
        create(node, &other, texts, 2);
        let tally = Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "10000"]));
        assert_eq!((tally.number("graphs"), tally.counts()), (2, [all, all, 0, 0, 0]));
        for graph in [&one, &other] {
            assert_eq!(own_vectors(&mut redis, graph), 2 * texts);
            let status = redis.graph_status(graph);
            assert_eq!((status.number("pending"), status.number("embedded")), (0, all));
        }
        assert_eq!(graphs_in_info(node), [one, other], "another master's graphs are not shown");
        assert_eq!(node.service.texts().len(), 2 * texts);
    }
    assert_eq!(paid_again(&nodes), 0);
    assert_eq!(paid(&nodes).len(), 2 * (30 + 31 + 32));
}

#[test]
fn replicas_of_a_cluster_get_the_vectors_and_spend_nothing() {
    // Woken by what they are sent, and once a second, they would have every occasion.
    let nodes = cluster(6, |setup| setup.set("wake-on-write", "yes").set("interval", "1"));
    let (masters, replicas) = nodes.split_at(3);
    for (at, (master, replica)) in masters.iter().zip(replicas).enumerate() {
        let graph = graph_of(&nodes, at, "kb");
        create(master, &graph, 100, 1);
        assert_eq!(master.connect().run(&graph).number("deferred"), 0);
        let mut redis = replica.connect();
        wait_for("the copy", || (replica.filled(&graph) == 100).then_some(()));
        assert_eq!(own_vectors(&mut redis, &graph), 100);
        assert!(redis.error(&["VECTORFILL.RUN", &graph]).starts_with("MOVED "));
        assert!(redis.error(&["VECTORFILL.RUN"]).starts_with("READONLY "));
        assert!(redis.error(&["VECTORFILL.RUN", "WAIT", "1000"]).starts_with("READONLY "));
    }
    stays("a replica spends", || paid(replicas).is_empty());
    assert_eq!((paid(masters).len(), paid_again(masters)), (300, 0));
}

/// Waits for the fill that a replica has to finish once it is the master.
fn wait_for_the_new_master(node: &Node, graph: &str) {
    wait_for("the new master", || (node.state() != "replica").then_some(()));
    wait_for("its fill", || (node.filled(graph) == TEXTS).then_some(()));
    assert_eq!(own_vectors(&mut node.connect(), graph), TEXTS);
    assert!(!node.service.requests().is_empty(), "the fill was over before");
}

#[test]
fn a_replica_that_takes_over_on_demand_finishes_the_fill() {
    let nodes = cluster(6, |setup| setup);
    let (master, replica) = (&nodes[0], &nodes[3]);
    let graph = graph_of(&nodes, 0, "kb");
    create(master, &graph, TEXTS, 1);
    master.connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    master.service.wait_for_requests(10);
    wait_for("a copy that has begun", || (replica.filled(&graph) > 0).then_some(()));

    replica.connect().call::<String>(&["CLUSTER", "FAILOVER"]);
    wait_for("the demotion", || (master.state() == "replica").then_some(()));
    let spent = master.service.requests().len();

    wait_for_the_new_master(replica, &graph);
    wait_for("the copy", || (master.filled(&graph) == TEXTS).then_some(()));
    assert_eq!(own_vectors(&mut master.connect(), &graph), TEXTS);
    assert_eq!(master.service.requests().len(), spent, "a replica spends");
    assert!(paid_again(&nodes) <= HELD, "{} texts were paid for twice", paid_again(&nodes));
}

#[test]
fn a_master_that_was_replaced_in_a_pause_is_not_paused_when_it_is_master_again() {
    let nodes = cluster(6, |setup| setup);
    let (master, replica) = (&nodes[0], &nodes[3]);
    let graph = graph_of(&nodes, 0, "kb");
    create(master, &graph, TEXTS, 1);
    master.connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    master.service.wait_for_requests(10);
    master.connect().call::<String>(&["CLIENT", "PAUSE", "500", "WRITE"]);
    wait_for("the pause", || (master.state() == "paused").then_some(()));
    replica.connect().call::<String>(&["CLUSTER", "FAILOVER"]);
    wait_for("the demotion", || (master.state() == "replica").then_some(()));
    wait_for_the_new_master(replica, &graph);

    wait_for("its end", || (replica.state() == "idle").then_some(()));
    wait_for("the link", || master.is_linked().then_some(()));
    wait_until_known(&nodes, replica);
    master.connect().call::<String>(&["CLUSTER", "FAILOVER"]);
    wait_for("the promotion", || (master.state() != "replica").then_some(()));
    wait_for("the end", || (master.state() == "idle").then_some(()));
}

#[test]
fn a_master_that_dies_while_it_fills_is_replaced_and_returns_as_a_replica() {
    let mut nodes = cluster(6, |setup| setup.arg("--appendonly", "yes"));
    let graph = graph_of(&nodes, 0, "kb");
    create(&nodes[0], &graph, TEXTS, 1);
    nodes[0].connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    nodes[0].service.wait_for_requests(10);
    wait_for("a copy that has begun", || (nodes[3].filled(&graph) > 0).then_some(()));

    nodes[0].server.kill();
    let spent = nodes[0].service.requests().len();
    wait_for_the_new_master(&nodes[3], &graph);
    let again = paid_again(&nodes);
    // What the master had written and not sent yet is lost with it.
    assert!(again <= 2 * HELD, "{again} texts were paid for twice");

    // It has pending nodes in its own data, and is still the master in its own eyes.
    nodes[0].server.start_again();
    wait_for("the demotion", || (nodes[0].state() == "replica").then_some(()));
    wait_for("the link", || nodes[0].is_linked().then_some(()));
    assert_eq!(own_vectors(&mut nodes[0].connect(), &graph), TEXTS);
    assert_eq!(nodes[0].service.requests().len(), spent, "the old master spends");
    assert_eq!(paid_again(&nodes), again);
}

#[test]
fn a_master_that_was_frozen_and_replaced_stops_when_it_thaws() {
    let nodes = cluster(6, |setup| setup);
    let (master, replica) = (&nodes[0], &nodes[3]);
    let graph = graph_of(&nodes, 0, "kb");
    create(master, &graph, TEXTS, 1);
    master.connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    master.service.wait_for_requests(10);
    wait_for("a copy that has begun", || (replica.filled(&graph) > 0).then_some(()));

    signal(master, "-STOP");
    wait_for_the_new_master(replica, &graph);
    signal(master, "-CONT");
    wait_for("the demotion", || (master.state() == "replica").then_some(()));
    wait_for("the copy", || (master.filled(&graph) == TEXTS).then_some(()));
    assert_eq!(own_vectors(&mut master.connect(), &graph), TEXTS);
    let again = paid_again(&nodes);
    // Until the others tell it, it sends what it had selected.
    assert!(again <= 2 * HELD, "{again} texts were paid for twice");
    stays("the old master spends", || paid_again(&nodes) == again);
}

fn signal(node: &Node, signal: &str) {
    let pid = node.server.pid().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// Moves a slot with its one graph, as redis-cli does it.
fn migrate(nodes: &[Node], from: usize, to: usize, graph: &str) {
    let (source, target) = (&nodes[from], &nodes[to]);
    let slot: i64 = source.connect().call(&["CLUSTER", "KEYSLOT", graph]);
    let (slot, port) = (slot.to_string(), target.server.port.to_string());
    let set = |node: &Node, words: &[&str]| {
        let command = [&["CLUSTER", "SETSLOT", &slot], words].concat();
        node.connect().call::<String>(&command);
    };
    set(target, &["IMPORTING", &source.id]);
    set(source, &["MIGRATING", &target.id]);
    // Until the graph leaves, its old owner goes on.
    source.service.wait_for_requests(source.service.requests().len() + IN_FLIGHT + 1);
    let command = ["MIGRATE", "127.0.0.1", &port, graph, "0", "5000"];
    assert_eq!(source.connect().call::<String>(&command), "OK");
    set(target, &["NODE", &target.id]);
    set(source, &["NODE", &target.id]);
}

/// What holds once a graph has left `from` for `to` in the middle of its fill.
fn assert_moved(nodes: &mut [Node], from: usize, to: usize, graph: &str) {
    let tally = nodes[to].connect().run(graph);
    assert_eq!((tally.number("deferred"), tally.number("stale")), (0, 0));
    assert_eq!(own_vectors(&mut nodes[to].connect(), graph), TEXTS);
    assert!(!nodes[to].service.requests().is_empty(), "the fill was over before");
    wait_for("the end at the source", || (nodes[from].state() == "idle").then_some(()));
    let mut redis = nodes[from].connect();
    assert_eq!(redis.call::<i64>(&["DBSIZE"]), 0, "nothing is left, and nothing came back");
    assert!(redis.error(&["VECTORFILL.RUN", graph]).starts_with("MOVED "));
    assert_eq!(graphs_in_info(&nodes[from]), [""; 0]);
    assert!(paid_again(nodes) <= HELD, "{} texts were paid for twice", paid_again(nodes));
    assert!(nodes.iter_mut().all(|node| node.server.is_alive()));
}

#[test]
fn a_graph_that_is_migrated_while_it_fills_is_finished_by_its_new_owner() {
    let mut nodes = cluster(3, |setup| setup);
    let graph = graph_of(&nodes, 0, "kb");
    create(&nodes[0], &graph, TEXTS, 1);
    nodes[0].connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    nodes[0].service.wait_for_requests(10);
    migrate(&nodes, 0, 1, &graph);
    assert_moved(&mut nodes, 0, 1, &graph);
}

#[test]
fn a_migrated_graph_wakes_its_new_owner() {
    let nodes = cluster(3, |setup| setup.set("wake-on-write", "yes"));
    let graph = graph_of(&nodes, 0, "kb");
    create(&nodes[0], &graph, TEXTS, 1);
    nodes[0].service.wait_for_requests(10);
    migrate(&nodes, 0, 1, &graph);
    wait_for("the fill", || (nodes[1].filled(&graph) == TEXTS).then_some(()));
    assert!(paid_again(&nodes) <= HELD, "{} texts were paid for twice", paid_again(&nodes));
}

#[test]
fn a_slot_that_is_moved_at_once_while_its_graph_fills_loses_nothing() {
    let mut nodes = cluster(3, |setup| setup);
    let mut target = nodes[1].connect();
    if target.try_call::<redis::Value>(&["CLUSTER", "MIGRATION", "STATUS", "ALL"]).is_err() {
        // Redis moves slots at once from 8.4 on.
        return;
    }
    let graph = graph_of(&nodes, 0, "kb");
    create(&nodes[0], &graph, TEXTS, 1);
    nodes[0].connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    nodes[0].service.wait_for_requests(10);
    let slot = target.call::<i64>(&["CLUSTER", "KEYSLOT", &graph]).to_string();
    target.call::<String>(&["CLUSTER", "MIGRATION", "IMPORT", &slot, &slot]);
    wait_for("the slot at the target", || {
        target.try_call::<redis::Value>(&["GRAPH.RO_QUERY", &graph, "RETURN 1"]).ok()
    });
    assert_moved(&mut nodes, 0, 1, &graph);
}

/// Kills all masters but the first, and waits until that one knows.
fn bring_down(nodes: &mut [Node]) {
    nodes[1..].iter_mut().for_each(|node| node.server.kill());
    wait_for("the fall", || nodes[0].knows("cluster_state:fail").then_some(()));
}

fn bring_back(nodes: &mut [Node]) {
    nodes[1..].iter_mut().for_each(|node| node.server.start_again());
    wait_until_up(nodes);
}

fn assert_paused(node: &Node) {
    wait_for("the pause", || (node.state() == "paused").then_some(()));
    let reason = node.connect().status().text("reason");
    assert!(reason.contains("cluster is down"), "{reason}");
}

#[test]
fn a_fill_rests_while_the_cluster_is_down_and_goes_on_when_it_is_back() {
    let mut nodes = cluster(3, |setup| setup);
    let graph = graph_of(&nodes, 0, "kb");
    create(&nodes[0], &graph, TEXTS, 1);
    nodes[0].service.hold();
    nodes[0].connect().call::<String>(&["VECTORFILL.RUN", &graph]);
    nodes[0].service.wait_for_requests(IN_FLIGHT);
    bring_down(&mut nodes);
    nodes[0].service.release();

    let node = &nodes[0];
    assert_paused(node);
    wait_for("the answers", || {
        (node.connect().status().get("embedder").number("in_flight") == 0).then_some(())
    });
    let spent = node.service.texts().len();
    assert!(spent <= HELD, "{spent} texts were paid for");
    stays("something is embedded", || node.service.texts().len() == spent);
    assert!(node.connect().error(&["VECTORFILL.RUN", &graph]).starts_with("CLUSTERDOWN "));

    bring_back(&mut nodes);
    let node = &nodes[0];
    wait_for("the fill", || (node.filled(&graph) == TEXTS).then_some(()));
    assert_eq!(own_vectors(&mut node.connect(), &graph), TEXTS);
    assert_eq!((paid(&nodes).len(), paid_again(&nodes)), (TEXTS, 0));
    wait_for("the end", || (node.state() == "idle").then_some(()));
}

#[test]
fn a_run_that_a_cluster_keeps_from_its_graphs_is_not_reported_as_done() {
    let mut nodes = cluster(3, |setup| setup);
    let graph = graph_of(&nodes, 0, "kb");
    create(&nodes[0], &graph, TEXTS, 1);
    bring_down(&mut nodes);

    // It names no key, so that the server itself does not refuse it.
    let node = &nodes[0];
    node.connect().error(&["VECTORFILL.RUN", "WAIT", "500"]);
    assert_paused(node);
    stays("something is embedded", || node.service.requests().is_empty());

    bring_back(&mut nodes);
    let node = &nodes[0];
    wait_for("the fill", || (node.filled(&graph) == TEXTS).then_some(()));
    assert_eq!((paid(&nodes).len(), paid_again(&nodes)), (TEXTS, 0));
}

#[test]
fn the_word_wait_is_no_key() {
    let service = Service::start(DIM);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("graph1", "CREATE (:Doc {text: 'a'})");
    let keys = |redis: &mut Redis, words: &[&str]| -> Vec<String> {
        redis.call(&[&["COMMAND", "GETKEYS", "VECTORFILL.RUN"], words].concat())
    };
    assert_eq!(keys(&mut redis, &[]), [""; 0]);
    assert_eq!(keys(&mut redis, &["WAIT", "1000"]), [""; 0]);
    assert_eq!(keys(&mut redis, &["kb"]), ["kb"]);
    assert_eq!(keys(&mut redis, &["kb", "WAIT", "1000"]), ["kb"]);
    assert_eq!(keys(&mut redis, &["WAIT"]), ["WAIT"], "a graph may be called so");

    let rules = ["on", ">secret", "+@vectorfill", "~graph*"];
    redis.call::<String>(&[&["ACL", "SETUSER", "filler"], &rules[..]].concat());
    let mut filler = server.connect();
    filler.call::<String>(&["AUTH", "filler", "secret"]);
    assert_eq!(filler.call::<String>(&["VECTORFILL.RUN"]), "OK");
    let tally = Tally(filler.call(&["VECTORFILL.RUN", "WAIT", "2000"]));
    assert_eq!(tally.number("deferred"), 0);
    redis.query("private", "CREATE (:Doc {text: 'b'})");
    for words in [&["VECTORFILL.RUN"][..], &["VECTORFILL.RUN", "WAIT", "2000"]] {
        assert!(filler.error(words).starts_with("NOPERM "), "{words:?}");
    }
    assert_eq!(filler.call::<String>(&["VECTORFILL.RUN", "graph1"]), "OK");
    assert!(filler.error(&["VECTORFILL.RUN", "private", "WAIT", "2000"]).starts_with("NOPERM "));
}
