//! Relationships: filled by pairs of nodes, guarded by their text, indexed and searched.

use redis::Value;

use testkit::harness::{Redis, Server, Setup};
use testkit::service::{Answer, Service, vector_of};

/// A server whose only rules are these.
pub fn defined(service: &Service, rules: &str) -> (Server, Redis) {
    let setup = Setup::with(service).set("graphs", "no-graph");
    let server = setup.env("VECTORFILL_DEFINITIONS", rules).start();
    let redis = server.connect();
    (server, redis)
}

const FACTS: &str = "RULE facts REL RELATES_TO TEXT fact INTO fact_embedding DIMENSIONS 4 INDEX no";

const FILLED: &str = "MATCH ()-[r]->() RETURN count(r.fact_embedding)";

/// Ten nodes, each related to each, once or several times, and to itself.
fn related(redis: &mut Redis, kind: &str, times: u32) {
    redis.query("kb", "UNWIND range(0, 9) AS i MERGE (:Node {i: i})");
    redis.query(
        "kb",
        &format!(
            "MATCH (a:Node), (b:Node) UNWIND range(1, {times}) AS k CREATE (a)-[:{kind} \
             {{fact: toString(a.i) + ' {kind} ' + toString(b.i) + ', ' + toString(k)}}]->(b)"
        ),
    );
}

/// The facts whose vector is not the one the service gives for them.
fn wrong(redis: &mut Redis) -> Vec<String> {
    let facts = "MATCH ()-[r]->() WHERE r.fact_embedding IS NOT NULL RETURN r.fact, ID(r)";
    let rows = redis.query("kb", facts);
    let mut wrong = Vec::new();
    for row in rows {
        let fact: String = redis::from_redis_value(row[0].clone()).unwrap();
        let id: i64 = redis::from_redis_value(row[1].clone()).unwrap();
        let one = format!("MATCH ()-[r]->() WHERE ID(r) = {id} RETURN r.fact_embedding");
        let vector = redis.vector("kb", &one).unwrap();
        if !testkit::harness::close(&vector, &vector_of(&fact, 4)) {
            wrong.push(fact);
        }
    }
    wrong
}

#[test]
fn each_relationship_gets_the_vector_of_its_fact() {
    let service = Service::start(4);
    for effects in ["yes", "no"] {
        let (_server, mut redis) = defined(&service, FACTS);
        redis.call::<String>(&["CONFIG", "SET", "vectorfill.write-effects", effects]);
        related(&mut redis, "RELATES_TO", 1);
        related(&mut redis, "OTHER", 1);
        redis.query("kb", "MATCH (a {i: 1})-[r:RELATES_TO]->({i: 2}) DELETE r");
        redis.run("kb");
        assert_eq!(redis.number("kb", FILLED), 99);
        assert_eq!(wrong(&mut redis), [""; 0]);
        related(&mut redis, "RELATES_TO", 2);
        redis.run("kb");
        assert_eq!(redis.number("kb", FILLED), 299);
        assert_eq!(wrong(&mut redis), [""; 0]);
    }
}

/// More between two nodes than fit into the first reply.
#[test]
fn many_relationships_between_two_nodes_are_all_filled() {
    let service = Service::start(4);
    let (_server, mut redis) = defined(&service, FACTS);
    related(&mut redis, "RELATES_TO", 1);
    redis.query(
        "kb",
        "MATCH (a {i: 3}), (b {i: 4}) UNWIND range(1, 700) AS k \
         CREATE (a)-[:RELATES_TO {fact: 'again ' + toString(k)}]->(b), \
         (a)-[:RELATES_TO {fact: 'itself ' + toString(k)}]->(a)",
    );
    redis.run("kb");
    assert_eq!(redis.number("kb", FILLED), 1_500);
    assert_eq!(wrong(&mut redis), [""; 0]);
}

#[test]
fn several_types_and_any_type_are_filled() {
    let service = Service::start(4);
    for (types, expected) in [("REL RELATES_TO REL OTHER", 200), ("REL *", 300)] {
        let rule = format!("RULE facts {types} TEXT fact INTO fact_embedding DIMENSIONS 4");
        let (_server, mut redis) = defined(&service, &rule);
        for kind in ["RELATES_TO", "OTHER", "THIRD"] {
            related(&mut redis, kind, 1);
        }
        redis.run("kb");
        assert_eq!(redis.number("kb", FILLED), expected, "{types}");
        let third = "CALL db.indexes() YIELD label, entitytype WHERE entitytype = 'RELATIONSHIP' \
                     RETURN count(label)";
        assert_eq!(redis.number("kb", third), expected / 100, "{types}");
    }
}

#[test]
fn a_relationship_whose_fact_changed_meanwhile_gets_the_vector_of_the_new_one() {
    let service = Service::start(4);
    let (_server, mut redis) = defined(&service, FACTS);
    related(&mut redis, "RELATES_TO", 1);
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.query("kb", "MATCH (a)-[r]->(b) WHERE a.i < 5 SET r.fact = r.fact + ' changed'");
    redis.query("kb", "MATCH (a)-[r]->(b) WHERE a.i = 9 DELETE r");
    service.release();
    redis.run("kb");
    assert_eq!(redis.number("kb", FILLED), 90);
    assert_eq!(wrong(&mut redis), [""; 0]);
}

#[test]
fn a_refused_fact_is_marked_and_mended() {
    let service = Service::scripted(4, |request| {
        if request.texts.iter().any(|text| text.contains("poison")) {
            let refusal = r#"{"error":{"message":"this text is not allowed"}}"#;
            return Answer::Status(400, vec![], refusal.into());
        }
        Answer::Vectors
    });
    let (_server, mut redis) = defined(&service, FACTS);
    related(&mut redis, "RELATES_TO", 1);
    redis.query("kb", "MATCH ({i: 3})-[r]->({i: 4}) SET r.fact = 'poison'");
    redis.run("kb");
    let marked = "MATCH ()-[r]->() RETURN count(r.fact_embedding_error)";
    assert_eq!((redis.number("kb", FILLED), redis.number("kb", marked)), (99, 1));
    redis.query("kb", "MATCH ({i: 3})-[r]->({i: 4}) SET r.fact = 'cured'");
    redis.run("kb");
    assert_eq!((redis.number("kb", FILLED), redis.number("kb", marked)), (100, 0));
}

#[test]
fn a_search_tells_the_facts_and_the_ends_of_relationships() {
    let service = Service::start(4);
    let rule = "RULE facts REL RELATES_TO REL OTHER TEXT fact INTO fact_embedding DIMENSIONS 4";
    let (_server, mut redis) = defined(&service, rule);
    related(&mut redis, "RELATES_TO", 1);
    related(&mut redis, "OTHER", 1);
    redis.run("kb");
    for (word, fact) in [("facts", "3 OTHER 4, 1"), ("RELATES_TO", "3 RELATES_TO 4, 1")] {
        let found: Vec<Vec<Value>> = redis.call(&["VECTORFILL.SEARCH", "kb", word, "2", fact]);
        assert_eq!(found.len(), 2, "{word}");
        let text: String = redis::from_redis_value(found[0][2].clone()).unwrap();
        assert_eq!(text, fact);
        let ends: Vec<i64> =
            found[0][3..].iter().map(|id| redis::from_redis_value(id.clone()).unwrap()).collect();
        let node = |i: i64| format!("MATCH (n:Node) WHERE n.i = {i} RETURN ID(n)");
        assert_eq!(ends, [redis.number("kb", &node(3)), redis.number("kb", &node(4))]);
    }
}
