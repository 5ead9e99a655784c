//! Texts made from several properties, rules for several labels, conditions.

use redis::Value;

use crate::relationships::defined;
use testkit::service::Service;

const PEOPLE: &str = r#"RULE people NODE Person NODE Company TEXT "{name}[ ({city})]: {tags}" INTO vec DIMENSIONS 4"#;

const FILLED: &str = "MATCH (n) RETURN count(n.vec)";

/// The texts of entities. One word shows how long the vectors of the model are.
fn embedded(service: &Service) -> Vec<String> {
    service.texts().into_iter().filter(|text| text != "ok").collect()
}

#[test]
fn a_text_is_made_from_several_properties() {
    let service = Service::start(4);
    let (_server, mut redis) = defined(&service, PEOPLE);
    redis.query(
        "kb",
        "CREATE (:Person {name: 'Zoë', city: 'Rome', tags: ['a', 'b']}), \
         (:Company {name: 'O\\'Neill', tags: 2.5}), (:Person {city: 'Oslo', tags: true}), \
         (:Person {name: '', city: ' '}), (:Person {name: vecf32([1, 2])}), (:Person), \
         (:Other {name: 'nobody'})",
    );
    redis.run("kb");
    let mut texts = embedded(&service);
    texts.sort();
    assert_eq!(texts, [" (Oslo): true", "O'Neill: 2.500000", "Zoë (Rome): a, b"]);
    assert_eq!(redis.number("kb", FILLED), 3);
    let indexes = "CALL db.indexes() YIELD label WHERE label IN ['Person', 'Company'] \
                   RETURN count(label)";
    assert_eq!(redis.number("kb", indexes), 2);
}

/// The write compares every property, absent ones too; numbers that print alike are alike.
#[test]
fn a_change_of_any_property_keeps_an_old_vector_out() {
    let service = Service::start(4);
    let (_server, mut redis) = defined(&service, PEOPLE);
    redis.query(
        "kb",
        "UNWIND range(0, 99) AS i \
         CREATE (:Person {i: i, name: toString(i), tags: i % 2 = 0, city: 0.1 + 0.2})",
    );
    redis.query("kb", "MATCH (n) WHERE n.i % 3 = 0 SET n.city = NULL");
    service.hold();
    redis.call::<String>(&["VECTORFILL.RUN", "kb"]);
    service.wait_for_requests(1);
    redis.query("kb", "MATCH (n) WHERE n.i < 10 SET n.city = 'Bonn'");
    redis.query("kb", "MATCH (n) WHERE n.i >= 90 SET n.tags = NULL");
    service.release();
    redis.run("kb");
    assert_eq!(redis.number("kb", FILLED), 100);
    let texts = embedded(&service);
    assert_eq!(texts.len(), 120, "twenty were embedded again");
    for text in ["3 (Bonn): false", "91 (0.300000): ", "50 (0.300000): true", "51: false"] {
        assert!(texts.iter().any(|known| known == text), "{text}: {texts:?}");
    }
}

#[test]
fn a_condition_narrows_a_rule_down() {
    let service = Service::start(4);
    let rule =
        r#"RULE r NODE Doc TEXT text INTO vec DIMENSIONS 4 WHERE "n.draft = false OR n.i > 7""#;
    let (_server, mut redis) = defined(&service, rule);
    redis.query(
        "kb",
        "UNWIND range(1, 10) AS i CREATE (:Doc {i: i, text: toString(i), draft: i % 2 = 0})",
    );
    redis.run("kb");
    assert_eq!(redis.number("kb", FILLED), 7);
    redis.query("kb", "MATCH (n) SET n.draft = false");
    redis.run("kb");
    assert_eq!(redis.number("kb", FILLED), 10);
}

#[test]
fn a_node_with_two_labels_is_filled_once_and_found_once() {
    let service = Service::start(4);
    let (_server, mut redis) = defined(&service, PEOPLE);
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Person:Company {name: toString(i)})");
    redis.query("kb", "UNWIND range(21, 40) AS i CREATE (:Company {name: toString(i)})");
    redis.run("kb");
    assert_eq!(redis.number("kb", FILLED), 40);
    let found: Vec<Vec<Value>> = redis.call(&["VECTORFILL.SEARCH", "kb", "people", "40", "7: "]);
    let mut ids: Vec<i64> =
        found.iter().map(|row| redis::from_redis_value(row[0].clone()).unwrap()).collect();
    let text: String = redis::from_redis_value(found[0][2].clone()).unwrap();
    assert_eq!(text, "7: ");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}
