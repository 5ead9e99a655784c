//! Real client libraries: graphiti, GraphRAG-SDK and LangChain write without vectors, and their own
//! searches find what the module has filled. The programs are in tests/clients/.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::harness::{Setup, path};
use testkit::service::{Answer, Service, good};

/// What the model of the service gives when no dimensions are asked for.
const DIMENSIONS: u64 = 384;

/// The README's definitions for a library, which it names in a comment.
fn recipe(library: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(&format!("```\n# {library}\n")).expect("a recipe");
    rest.split("```").next().unwrap().to_owned()
}

#[test]
fn graphiti_finds_what_it_saved_without_an_embedder() {
    run("graphiti_groups.py", "graphiti");
}

#[test]
fn graphrag_sdk_finds_nothing_left_to_embed() {
    let facts = run("graphrag_backfills.py", "GraphRAG-SDK");
    assert_eq!(facts["backfilled"], 0, "{facts}");
}

#[test]
fn langchain_finds_nothing_left_to_embed_on_an_existing_graph() {
    let facts = run("langchain_existing.py", "LangChain");
    assert_eq!(facts["backfilled"], 0, "{facts}");
}

/// The facts that a program prints, once the service has been asked for its texts and no others. The
/// rules are those of the README.
fn run(program: &str, library: &str) -> Value {
    let service = Service::scripted(0, |request| {
        let dimensions = request.body["dimensions"].as_u64().unwrap_or(DIMENSIONS);
        Answer::Body(good(request, usize::try_from(dimensions).unwrap()))
    });
    let server = Setup::with(&service)
        .set("graphs", "nothing-of-the-settings")
        .set("wake-on-write", "yes")
        .env("VECTORFILL_DEFINITIONS", &recipe(library))
        .start();

    let program = format!("{}/tests/clients/{program}", env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(path("VECTORFILL_CLIENTS"));
    // It has a deadline of its own.
    let output = python
        .args(["-B", &program, "--port", &server.port.to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);

    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wanted = facts["texts"].as_array().unwrap();
    let wanted: BTreeSet<_> = wanted.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    // One word shows how long the vectors of the model are.
    let mut sent: BTreeSet<_> = service.texts().into_iter().collect();
    sent.remove("ok");
    assert!(wanted == sent, "missing: {:?}, sent: {:?}", &wanted - &sent, &sent - &wanted);
    facts
}
