//! The model in the process, on the real server.

use testkit::harness::{Setup, path, wait_for};

fn setup() -> Setup {
    Setup::default()
        .set("provider", "local")
        .set("model", &path("VECTORFILL_MODEL_DIR").to_string_lossy())
        .set("interval", "0")
        .set("wake-on-write", "no")
}

#[test]
fn a_graph_is_filled_without_a_key_and_answers_by_meaning() {
    let server = setup().start();
    let mut redis = server.connect();
    for text in [
        "A cat sleeps on the warm sofa",
        "Stock markets fell sharply today",
        "Bake the bread at 220 degrees",
    ] {
        redis.query("kb", &format!("CREATE (:Doc {{text: '{text}'}})"));
    }
    redis.query("kb", "CREATE (:Question {text: 'the kitten naps on the couch'})");
    assert_eq!(redis.run("kb").counts(), [4, 4, 0, 0, 0]);
    assert_eq!(redis.status().get("embedder").number("dimensions"), 384);
    let nearest = "MATCH (q:Question) CALL db.idx.vector.queryNodes('Doc', 'embedding', 1, q.embedding) \
                   YIELD node WHERE node.text CONTAINS 'cat' RETURN count(node)";
    assert_eq!(redis.number("kb", nearest), 1);
    redis.call::<String>(&["MODULE", "UNLOAD", "vectorfill"]);
    redis.query("kb", "RETURN 1");
}

#[test]
fn a_directory_that_is_no_model_is_told_and_nothing_is_blamed() {
    let setup = setup().set("model", "/no/such/model");
    let server = setup.arg("--enable-protected-configs", "yes").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    assert_eq!(redis.run("kb").counts(), [1, 0, 0, 0, 1]);
    let embedder = redis.status().get("embedder");
    assert_eq!(embedder.text("state"), "rejected");
    assert!(embedder.text("reason").contains("/no/such/model"), "{}", embedder.text("reason"));
    let model = path("VECTORFILL_MODEL_DIR");
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.model", &model.to_string_lossy()]);
    let filled = "MATCH (n) RETURN count(n.embedding)";
    wait_for("the vector", || (redis.number("kb", filled) == 1).then_some(()));
}
