//! Definitions of embedders and rules: from a file and from the environment.

use std::fs;

use redis::Value;

use testkit::harness::{Redis, Setup};
use testkit::service::Service;

/// Texts of two labels, which two embedders may fill.
const TEXTS: &str = "CREATE (:Doc {text: 'a'}), (:Note {title: 'b', body: 'c'})";

fn error(redis: &mut Redis) -> String {
    redis.status().text("definitions_error")
}

#[test]
fn two_embedders_and_a_rule_from_the_environment() {
    let (first, second) = (Service::start(8), Service::start(16));
    let lines = format!(
        "# Both speak OpenAI's protocol.\n\
         EMBEDDER default PROVIDER openai URL {} MODEL m-one KEY-ENV ''\n\
         EMBEDDER notes PROVIDER openai URL {} \\\n  MODEL m-two KEY-ENV NOTES_KEY\n\
         RULE notes NODE Note TEXT body INTO vec EMBEDDER notes INDEX euclidean\n",
        first.at("/v1"),
        second.at("/v1"),
    );
    let setup = Setup::default().set("interval", "0").set("wake-on-write", "no");
    let setup = setup.env("VECTORFILL_DEFINITIONS", &lines).env("NOTES_KEY", "sk-notes");
    let server = setup.set("label", "Doc").start();
    let mut redis = server.connect();
    assert_eq!(redis.status().get("embedders").keys(), ["default", "notes"]);
    redis.query("kb", TEXTS);
    redis.run("kb");
    assert_eq!((first.texts(), second.texts()), (vec!["a".into()], vec!["c".into()]));
    let model = |service: &Service| service.requests()[0].body["model"].clone();
    assert_eq!((model(&first), model(&second)), ("m-one".into(), "m-two".into()));
    let header = ("authorization".to_owned(), "Bearer sk-notes".to_owned());
    assert!(second.requests()[0].headers.contains(&header));
    assert!(first.requests()[0].headers.iter().all(|(name, _)| name != "authorization"));
    let docs = redis.vector("kb", "MATCH (n:Doc) RETURN n.embedding").unwrap();
    let notes = redis.vector("kb", "MATCH (n:Note) RETURN n.vec").unwrap();
    assert_eq!((docs.len(), notes.len()), (8, 16));
}

#[test]
fn an_error_at_load_names_line_and_word_and_leaves_the_other_lines() {
    let setup = Setup::default();
    let path = setup.folder().join("defs");
    let lines = "EMBEDDER good PROVIDER voyage KEY-ENV ''\n\
                 EMBEDDER bad PROVIDER voyage CONCURRENCY 65\n\
                 RULE r NODE A TEXT t INTO v EMBEDDER bad\n";
    fs::write(&path, lines).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let server = setup.env("VECTORFILL_DEFINITIONS_FILE", &path).start();
    let mut redis = server.connect();
    assert_eq!(redis.status().get("embedders").keys(), ["default", "good"]);
    let words = "line 2, column 42: '65' is not allowed: CONCURRENCY: a whole number from 1 to 64";
    let first = format!("{path}, {words}");
    assert_eq!(error(&mut redis), format!("{first} (and 1 more error)"));
    let log = server.log();
    assert!(log.contains(&first) && log.contains("'bad' is not allowed: EMBEDDER: one"), "{log}");
}

#[test]
fn a_missing_file_stops_nothing_and_is_named() {
    let server = Setup::default().set("definitions-file", "/no/such/file").start();
    let error = error(&mut server.connect());
    assert!(error.contains("/no/such/file: No such file"), "{error}");
    assert!(server.log().contains("/no/such/file"));
}

#[test]
fn reload_applies_a_good_file_and_refuses_a_bad_one_whole() {
    let service = Service::start(8);
    let setup = Setup::with(&service);
    let path = setup.folder().join("defs");
    fs::write(&path, "RULE oops\n").unwrap();
    let server = setup.set("definitions-file", path.to_str().unwrap()).set("label", "Doc").start();
    let mut redis = server.connect();
    assert!(error(&mut redis).contains("'oops'"));
    redis.query("kb", TEXTS);
    fs::write(&path, "RULE notes NODE Note TEXT title INTO vec INDEX no\n").unwrap();
    assert_eq!(redis.call::<String>(&["VECTORFILL.RELOAD"]), "OK");
    assert_eq!(error(&mut redis), "");
    redis.run("kb");
    assert_eq!(redis.number("kb", "MATCH (n:Note) RETURN count(n.vec)"), 1);
    let bad = "EMBEDDER new PROVIDER voyage\nRULE notes NODE Note TEXT body INTO other\nRULE x\n";
    fs::write(&path, bad).unwrap();
    let refusal = redis.error(&["VECTORFILL.RELOAD"]);
    assert!(refusal.starts_with("ERR ") && refusal.contains("line 3, column 6: 'x'"), "{refusal}");
    assert_eq!(redis.status().get("embedders").keys(), ["default"]);
    redis.query("kb", "CREATE (:Note {title: 'd', body: 'e'})");
    redis.run("kb");
    assert_eq!(redis.number("kb", "MATCH (n:Note) RETURN count(n.vec)"), 2);
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n.other)"), 0);
}

#[test]
fn what_is_not_a_text_file_is_refused() {
    let setup = Setup::default();
    let path = setup.folder().join("defs");
    let server = setup.set("definitions-file", path.to_str().unwrap()).start();
    let mut redis = server.connect();
    for (bytes, expected) in [
        (vec![b'x'; 1_000_001], "larger than 1 MB"),
        (b"RULE r NODE \xff TEXT t INTO v".to_vec(), "line 1, column 13"),
        (b"RULE r NODE \0 TEXT t INTO v".to_vec(), "line 1, column 13"),
    ] {
        fs::write(&path, bytes).unwrap();
        let refusal = redis.error(&["VECTORFILL.RELOAD"]);
        assert!(refusal.contains(expected), "{refusal}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(redis.error(&["VECTORFILL.RELOAD"]).contains("not a regular file"));
}

#[test]
fn no_command_sets_a_file_or_an_address() {
    let setup = Setup::default();
    let path = setup.folder().join("defs");
    fs::write(&path, "EMBEDDER evil PROVIDER openai URL http://evil.example\n").unwrap();
    let path = path.to_str().unwrap().to_owned();
    let server = setup.start();
    let mut redis = server.connect();
    let set = ["CONFIG", "SET", "vectorfill.definitions-file", &path];
    assert!(redis.error(&set).contains("protected"));
    assert!(redis.try_call::<Value>(&["VECTORFILL.RELOAD", &path]).is_err());
    redis.call::<Value>(&["VECTORFILL.RELOAD"]);
    assert_eq!(redis.status().get("embedders").keys(), ["default"]);
    redis.call::<Value>(&["ACL", "SETUSER", "bob", "on", "nopass", "~*", "+@all", "-@admin"]);
    let mut bob = server.connect();
    bob.call::<String>(&["AUTH", "bob", "x"]);
    assert!(bob.error(&["VECTORFILL.RELOAD"]).starts_with("NOPERM "));
}

/// The first service holds every request; more graphs wait for it than may have a pass at once.
#[test]
fn an_embedder_that_never_answers_delays_only_its_own_rules() {
    let (slow, fast) = (Service::start(4), Service::start(4));
    let server = Setup::with(&slow)
        .set("graphs", "slow-*")
        .env("FAST_KEY", "sk-test-key-5678")
        .env(
            "VECTORFILL_DEFINITIONS",
            &format!(
                "EMBEDDER fast PROVIDER openai MODEL m URL {} KEY-ENV FAST_KEY\n\
                 RULE fast GRAPHS fast NODE Doc TEXT text INTO embedding EMBEDDER fast",
                fast.at("/v1")
            ),
        )
        .start();
    let mut redis = server.connect();
    slow.hold();
    for graph in 0..80 {
        let create = "UNWIND range(1, 200) AS i CREATE (:Doc {text: 'text ' + i})";
        redis.query(&format!("slow-{graph:02}"), create);
    }
    redis.call::<String>(&["VECTORFILL.RUN"]);
    slow.wait_for_requests(1);
    redis.query("fast", "UNWIND range(1, 100) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("fast");
    assert_eq!(redis.number("fast", "MATCH (n) RETURN count(n.embedding)"), 100);
    slow.release();
}

/// GraphRAG-SDK embeds later, with a model and an index of its own.
#[test]
fn the_settings_rule_leaves_a_graph_alone_whose_owner_says_so() {
    let service = Service::start(4);
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("library", "CREATE (:Chunk {text: 'a'}), (:__GraphRAGConfig__ {dimension: 256})");
    let large = "UNWIND range(1, 5000) AS i CREATE (:Chunk {text: toString(i)})";
    redis.query("large", large);
    redis.query("large", "CREATE (:__GraphRAGConfig__ {dimension: 256})");
    for graph in ["library", "large"] {
        redis.run(graph);
        assert_eq!(redis.number(graph, "MATCH (n) RETURN count(n.embedding)"), 0);
        let status = redis.graph_status(graph);
        assert_eq!(status.text("left_to"), "__GraphRAGConfig__");
        assert_eq!(status.number("pending"), 0);
    }
    assert!(service.requests().is_empty());
    let rule = ["NODE", "Chunk", "TEXT", "text", "INTO", "embedding"];
    let set = [&["VECTORFILL.RULE", "SET", "library", "chunks"][..], &rule].concat();
    redis.call::<String>(&set);
    redis.run("library");
    assert_eq!(redis.number("library", "MATCH (n) RETURN count(n.embedding)"), 1);
}
