//! The fixtures of tests/golden: what sentence-transformers and transformers computed.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) struct Case {
    pub(super) text: String,
    pub(super) tokens: usize,
    pub(super) vector: Vec<f32>,
}

pub(in super::super) fn read(name: &str) -> Value {
    let file = folder().join(name);
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_slice(&bytes).unwrap()
}

pub(super) fn cases(name: &str) -> Vec<Case> {
    read(name)["cases"].as_array().unwrap().iter().map(case).collect()
}

pub(in super::super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub(super) fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub(super) fn single(value: &Value) -> f32 {
    serde_json::from_value(value.clone()).unwrap()
}

fn case(case: &Value) -> Case {
    let vector = case["vector"].as_array().unwrap().iter().map(single).collect();
    Case { text: text(&case["text"]), tokens: size(&case["tokens"]), vector }
}

fn text(text: &Value) -> String {
    match text.as_str() {
        Some(text) => text.to_owned(),
        None => text["repeat"].as_str().unwrap().repeat(size(&text["times"])),
    }
}
