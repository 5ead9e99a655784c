//! What filling would take, and what a rule would do: told without sending anything.

use redis::Value;

use testkit::harness::{Redis, Server, Setup, Tally, wait_for};
use testkit::service::Service;

/// A server that does nothing of its own accord; its embedder costs two dollars a million tokens.
fn start(service: &Service) -> (Server, Redis) {
    let lines = format!(
        "EMBEDDER paid PROVIDER openai URL {} MODEL m KEY-ENV '' PRICE 2\n\
         RULE docs NODE Doc TEXT text INTO vec EMBEDDER paid\n\
         RULE people NODE Person TEXT '{{name}}[ ({{city}})]' INTO vec",
        service.at("/v1")
    );
    let setup = Setup::with(service).set("graphs", "no-graph").set("enabled", "no");
    let server = setup.env("VECTORFILL_DEFINITIONS", &lines).start();
    let redis = server.connect();
    (server, redis)
}

fn estimate(redis: &mut Redis, words: &[&str]) -> Tally {
    Tally(redis.call(&[&["VECTORFILL.ESTIMATE"], words].concat()))
}

fn test(redis: &mut Redis, words: &[&str]) -> Tally {
    Tally(redis.call(&[&["VECTORFILL.RULE", "TEST"], words].concat()))
}

fn dollars(of: &Tally) -> f64 {
    of.text("usd").parse().unwrap()
}

fn texts(of: &Tally) -> Vec<String> {
    redis::from_redis_value(of.get("texts").0).unwrap()
}

/// Label, dimension and similarity of the indexes that would be created.
fn indexes(of: &Tally) -> Vec<(String, String, String)> {
    let Value::Array(indexes) = of.get("index").0 else { panic!("{of:?}") };
    let dimension = |index: &Tally| match index.get("dimension").0 {
        Value::Int(number) => number.to_string(),
        _ => String::new(),
    };
    let shown = |index: Tally| (index.text("label"), dimension(&index), index.text("similarity"));
    indexes.into_iter().map(Tally).map(shown).collect()
}

/// A thousand texts of 48 letters, all different, and as many people of two names.
const TEXTS: &str = "UNWIND range(10000, 10999) AS i \
     CREATE (:Doc {text: toString(i) + ' is the number of this text of forty eight'}), \
            (:Person {name: 'Person ' + toString(i % 2)})";

#[test]
fn what_is_pending_is_estimated_and_nothing_is_sent() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    redis.query("kb", TEXTS);
    let all = estimate(&mut redis, &["kb"]);
    let docs = all.get("rules").get("docs");
    assert_eq!((docs.number("texts"), docs.number("sampled")), (1_000, 500));
    assert_eq!((docs.number("distinct"), docs.number("tokens")), (1_000, 12_000));
    assert!((dollars(&docs) - 0.024).abs() < 1e-9, "{docs:?}");
    assert_eq!((docs.text("seconds"), docs.text("price_as_of")), (String::new(), String::new()));
    assert_eq!(docs.text("embedder"), "paid");
    let people = all.get("rules").get("people");
    assert_eq!((people.number("texts"), people.number("distinct")), (1_000, 2));
    assert_eq!((people.number("tokens"), people.text("usd")), (6, String::new()));
    let sums = all.get("sums");
    assert_eq!((sums.number("texts"), sums.number("tokens")), (2_000, 12_006));
    assert_eq!(sums.text("usd"), "", "one of the prices is not known");
    let one = estimate(&mut redis, &["kb", "RULE", "docs"]);
    assert_eq!(one.get("rules").keys(), ["docs"]);
    assert!((dollars(&one.get("sums")) - 0.024).abs() < 1e-9);
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn without_a_graph_the_figures_known_already_are_enough() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "UNWIND range(1, 60) AS i CREATE (:Doc {text: toString(i) + ' of sixty'})");
    redis.query("theirs", "CREATE (:Doc {text: 'one'})");
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.enabled", "yes"]);
    redis.run("kb");
    redis.run("theirs");
    let done = estimate(&mut redis, &[]);
    assert_eq!(done.get("graphs").keys(), [""; 0]);
    assert_eq!(done.get("sums").number("texts"), 0);
    let sent = service.requests().len();
    let one = estimate(&mut redis, &["kb"]).get("rules").get("docs");
    assert_eq!((one.number("texts"), one.number("tokens")), (0, 0));
    assert_eq!(one.number("seconds"), 0, "there is a rate now");
    assert_eq!(service.requests().len(), sent);
}

#[test]
fn an_estimate_is_refused_in_the_words_of_the_other_commands() {
    let service = Service::start(8);
    let (server, mut redis) = start(&service);
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.query("theirs", "CREATE (:Doc {text: 'a'})");
    let error = redis.error(&["VECTORFILL.ESTIMATE", "kb", "RULE", "nobody"]);
    assert!(error.starts_with("NORULE "), "{error}");
    assert!(redis.error(&["VECTORFILL.ESTIMATE", "nope"]).starts_with("NOGRAPH "));
    assert!(redis.error(&["VECTORFILL.ESTIMATE", "kb", "docs"]).contains("syntax"));
    let user = ["ACL", "SETUSER", "bob", "on", "nopass", "~kb", "+@vectorfill"];
    redis.call::<String>(&user);
    let mut bob = server.connect();
    bob.call::<String>(&["AUTH", "bob", "x"]);
    assert!(bob.error(&["VECTORFILL.ESTIMATE", "theirs"]).starts_with("NOPERM "));
    assert!(bob.error(&["VECTORFILL.RULE", "TEST", "theirs", "docs"]).starts_with("NOPERM "));
    let error = bob.error(&["VECTORFILL.ESTIMATE", "kb"]);
    assert!(error.starts_with("NOPERM ") && error.contains("GRAPH.RO_QUERY"), "{error}");
    let error = bob.error(&["VECTORFILL.RULE", "TEST", "kb", "docs"]);
    assert!(error.starts_with("NOPERM ") && error.contains("GRAPH.RO_QUERY"), "{error}");
    redis.call::<String>(&["ACL", "SETUSER", "bob", "+graph.ro_query"]);
    assert_eq!(estimate(&mut bob, &["kb"]).get("sums").number("texts"), 1);
    assert_eq!(test(&mut bob, &["kb", "docs"]).number("pending"), 1);
    redis.call::<Value>(&["MULTI"]);
    redis.call::<Value>(&["VECTORFILL.ESTIMATE", "kb"]);
    let outcome = redis.try_call::<Vec<Value>>(&["EXEC"]);
    assert!(format!("{outcome:?}").contains("MULTI"), "{outcome:?}");
}

#[test]
fn all_graphs_are_those_a_user_may_read() {
    let service = Service::start(8);
    let (server, mut redis) = start(&service);
    // Texts that stay pending, and are counted.
    redis.query("kb", "UNWIND range(1, 9) AS i CREATE (:Doc {text: 'refused ' + toString(i)})");
    redis.query("theirs", "CREATE (:Doc {text: 'a'})");
    service.hold();
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.enabled", "yes"]);
    redis.call::<String>(&["VECTORFILL.RUN"]);
    let pending = |redis: &mut Redis| estimate(redis, &[]).get("sums").number("texts");
    wait_for("the counts", || (pending(&mut redis) == 10).then_some(()));
    let all = estimate(&mut redis, &[]);
    let kb = all.get("graphs").get("kb").get("docs");
    assert_eq!((kb.number("texts"), kb.number("sampled")), (9, 0));
    assert_eq!((kb.text("tokens"), kb.text("usd")), (String::new(), String::new()));
    redis.call::<String>(&["ACL", "SETUSER", "bob", "on", "nopass", "~kb", "+@vectorfill"]);
    let mut bob = server.connect();
    bob.call::<String>(&["AUTH", "bob", "x"]);
    let seen = estimate(&mut bob, &[]);
    assert_eq!(seen.get("graphs").keys(), ["kb"]);
    assert_eq!(seen.get("sums").number("texts"), 9);
    service.release();
}

#[test]
fn a_rule_is_tested_before_it_is_set() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    redis.query(
        "kb",
        "CREATE (a:Person {name: 'Ada', city: 'Rome'})-[:KNOWS {fact: 'Ada knows Bob'}]-> \
         (:Person {name: 'Bob'}), (:Person {name: ' '}), (:Person {name: vecf32([1, 2])}), \
         (:Company {title: 'Ltd.'}), (a)-[:KNOWS {fact: 7}]->(a)",
    );
    let people = test(&mut redis, &["kb", "people"]);
    assert_eq!((people.number("pending"), people.number("sampled")), (4, 4));
    assert_eq!((people.number("blank"), people.number("unusable")), (1, 1));
    let mut composed = texts(&people);
    composed.sort();
    assert_eq!(composed, ["Ada (Rome)", "Bob"]);
    let definition = "NODE Person TEXT \"{name}[ ({city})]\" INTO vec";
    assert_eq!(
        (people.text("definition"), people.text("embedder")),
        (definition.into(), "default".into())
    );
    assert_eq!(indexes(&people), [("Person".into(), String::new(), "cosine".into())]);
    let words = ["kb", "facts", "rel", "KNOWS", "text", "fact", "into", "vec"];
    let facts =
        test(&mut redis, &[&words[..], &["DIMENSIONS", "4", "INDEX", "euclidean"]].concat());
    assert_eq!((facts.number("pending"), texts(&facts)), (1, vec!["Ada knows Bob".into()]));
    assert_eq!(indexes(&facts), [("KNOWS".into(), "4".into(), "euclidean".into())]);
    let none = test(&mut redis, &[&words[..], &["INDEX", "no"]].concat());
    assert_eq!(none.get("index").0, Value::Nil);
    let nothing = redis.call::<Vec<Vec<String>>>(&["VECTORFILL.RULE", "LIST", "kb"]);
    assert_eq!(nothing.len(), 2, "no rule came of it");
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn a_wrong_predicate_is_told_in_the_engines_words() {
    let service = Service::start(8);
    let (_server, mut redis) = start(&service);
    redis.query("kb", "CREATE (:Doc {text: 'a', n: 1}), (:Doc {text: 'b', n: 2})");
    let words =
        ["VECTORFILL.RULE", "TEST", "kb", "some", "NODE", "Doc", "TEXT", "text", "INTO", "v"];
    let with = |predicate| [&words[..], &["WHERE", predicate]].concat();
    assert_eq!(Tally(redis.call(&with("n.n > 1"))).number("pending"), 1);
    let error = redis.error(&with("m.n > 1"));
    assert!(error.contains("'m' not defined"), "{error}");
    let error = redis.error(&with("n.n >"));
    assert!(error.to_lowercase().contains("invalid input"), "{error}");
    let error = redis.error(&with("n.n > 1)"));
    assert!(error.contains("WHERE"), "{error}");
    let clash = ["VECTORFILL.RULE", "TEST", "kb", "x", "NODE", "Doc", "TEXT", "t", "INTO", "vec"];
    redis.call::<String>(&[
        "VECTORFILL.RULE",
        "SET",
        "kb",
        "y",
        "NODE",
        "Doc",
        "TEXT",
        "t",
        "INTO",
        "vec",
    ]);
    let error = redis.error(&clash);
    assert!(error.contains("would both write"), "{error}");
}
