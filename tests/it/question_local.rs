//! Questions to the model in the process: SEARCH finds what its own vector, sent by hand, finds.

use redis::{FromRedisValue, Value};

use testkit::harness::{Redis, Setup, Tally, path};

const WHO: [&str; 10] = [
    "The baker",
    "A retired captain",
    "My neighbour",
    "The night nurse",
    "An old violinist",
    "The mayor",
    "A shy student",
    "The beekeeper",
    "Our plumber",
    "The goalkeeper",
];
const DOES: [&str; 6] =
    ["repairs", "paints", "sells", "is looking for", "writes a letter about", "has lost"];
const WHAT: [&str; 5] =
    ["a wooden boat", "the broken heating", "three red apples", "a map of Norway", "the choir"];
const ASKS: [&str; 4] = ["Who {} {}?", "somebody {} {}", "Tell me who {} {}", "no longer {} {}"];
/// Nodes of one answer.
const NEAREST: usize = 10;

/// Three hundred texts, all different.
fn texts() -> impl Iterator<Item = String> {
    let objects =
        WHAT.iter().flat_map(|what| DOES.iter().map(move |does| format!("{does} {what}")));
    objects.flat_map(|object| WHO.iter().map(move |who| format!("{who} {object}")))
}

/// Forty questions: words of the texts, put another way.
fn questions() -> impl Iterator<Item = String> {
    (0..40).map(|at: usize| {
        let (ask, does, what) = (ASKS[at % 4], DOES[at % 6], WHAT[at / 4 % 5]);
        ask.replacen("{}", does, 1).replacen("{}", what, 1)
    })
}

/// What a comparison with every node gives for a vector that is sent by hand. The index may give less:
/// it looks at some of the neighbours only.
fn by_hand(redis: &mut Redis, question: &str) -> Vec<(i64, f64, String)> {
    let vector: Vec<Vec<f64>> = redis.call(&["VECTORFILL.EMBED", question]);
    let query = format!(
        "CYPHER vector={:?} MATCH (n:Doc) WITH n, \
         vec.cosineDistance(n.embedding, vecf32($vector)) AS score ORDER BY score LIMIT {NEAREST} \
         RETURN ID(n), score, n.text",
        vector[0]
    );
    let reply: Vec<Value> = redis.call(&["GRAPH.RO_QUERY", "kb", &query]);
    Vec::from_redis_value(reply[1].clone()).unwrap()
}

#[test]
fn search_finds_what_comparing_every_node_by_hand_finds() {
    let server = Setup::default()
        .set("provider", "local")
        .set("model", &path("VECTORFILL_MODEL_DIR").to_string_lossy())
        .set("interval", "0")
        .set("wake-on-write", "no")
        // Each question is embedded twice: once for EMBED, once for SEARCH.
        .set("query-cache", "0")
        .start();
    let mut redis = server.connect();
    let list: Vec<String> = texts().map(|text| format!("'{text}'")).collect();
    assert_eq!(list.len(), 300);
    redis.query("kb", &format!("UNWIND [{}] AS t CREATE (:Doc {{text: t}})", list.join(",")));
    // The model gives way to all else on the machine: a minute may not do beside a compiler.
    let tally = Tally(redis.call(&["VECTORFILL.RUN", "kb", "WAIT", "0"]));
    assert_eq!(tally.counts(), [300, 300, 0, 0, 0]);
    for question in questions() {
        let k = NEAREST.to_string();
        let words = ["VECTORFILL.SEARCH", "kb", "Doc", &k, &question];
        let found: Vec<(i64, f64, String)> = redis.call(&words);
        let wanted = by_hand(&mut redis, &question);
        assert_eq!(found.len(), NEAREST, "{question}");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!((found.0, &found.2), (wanted.0, &wanted.2), "{question}");
            assert!((found.1 - wanted.1).abs() < 1e-5, "{question}: {found:?} and {wanted:?}");
        }
        assert_eq!(wanted.len(), NEAREST, "{question}");
        assert!(found.is_sorted_by(|a, b| a.1 <= b.1), "{question}: {found:?}");
    }
}
