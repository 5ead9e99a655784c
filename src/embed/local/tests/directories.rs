//! A bad directory is refused with an error naming the file, the value and what is supported;
//! nothing panics.

use serde_json::{Value, json};

use crate::embed::local::Model;
use crate::embed::local::tests::tiny;
use crate::embed::local::tests::tiny::Tiny;

/// Checks that the error contains each of `parts`.
fn refused(tiny: &Tiny, parts: &[&str]) {
    let error = Model::open(tiny.path()).expect_err("must be refused").to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}\nlacks one of {parts:?}");
}

fn refused_with(file: &str, key: &str, value: Value, parts: &[&str]) {
    let tiny = Tiny::new();
    tiny.set(file, key, value);
    refused(&tiny, &[&[file, key], parts].concat());
}

#[test]
fn a_missing_file_is_named() {
    for name in ["modules.json", "config.json", "tokenizer.json", "model.safetensors"] {
        let tiny = Tiny::new();
        tiny.remove(name);
        refused(&tiny, &[name, "No such file"]);
    }
}

#[test]
fn an_unknown_architecture_is_refused_by_name() {
    refused_with("config.json", "model_type", json!("roberta"), &["roberta", "bert, mpnet"]);
}

#[test]
fn an_unsupported_activation_is_refused_by_name() {
    refused_with("config.json", "hidden_act", json!("gelu_new"), &["gelu_new", "supported: gelu"]);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    refused_with("config.json", "hidden_size", json!(0), &["is 0", "at least 1"]);
    refused_with("config.json", "hidden_size", json!("wide"), &["\"wide\""]);
    refused_with("config.json", "intermediate_size", json!(u64::MAX), &["at least 1"]);
    refused_with("config.json", "num_attention_heads", json!(5), &["is 5", "divisor"]);
    refused_with("config.json", "max_position_embeddings", json!(2), &["is 2"]);
    refused_with("config.json", "layer_norm_eps", json!(-1), &["is -1"]);
    refused_with("config.json", "relative_attention_num_buckets", json!(64), &["is 64", "32"]);
    refused_with("sentence_bert_config.json", "max_seq_length", json!(2), &["is 2", "at least 3"]);
}

#[test]
fn a_dense_module_is_refused() {
    let tiny = Tiny::new();
    let kinds = ["models.Transformer", "models.Pooling", "models.Dense"];
    let modules: Vec<_> = kinds.iter().map(|kind| json!({"type": kind, "path": ""})).collect();
    tiny.write("modules.json", Value::from(modules).to_string().as_bytes());
    refused(&tiny, &["modules.json", "Dense", "[Transformer, Pooling]"]);
}

#[test]
fn a_pooling_we_do_not_know_is_refused_in_both_spellings() {
    refused_with("1_Pooling/config.json", "pooling_mode", json!("lasttoken"), &["mean, cls, max"]);
    let tiny = Tiny::new();
    tiny.set("1_Pooling/config.json", "pooling_mode_cls_token", json!(true));
    refused(&tiny, &["1_Pooling/config.json", "cls_token, mean_tokens"]);
}

#[test]
fn a_default_prompt_is_refused() {
    let tiny = Tiny::new();
    tiny.write("config_sentence_transformers.json", br#"{"default_prompt_name": "query"}"#);
    refused(&tiny, &["default_prompt_name", "query"]);
}

#[test]
fn the_limit_may_stand_in_the_tokenizers_config_instead() {
    let tiny = Tiny::new();
    tiny.set("sentence_bert_config.json", "max_seq_length", Value::Null);
    let text = "a ".repeat(500);
    for (limit, tokens) in [(json!(20), 20), (json!(1e30), 160), (Value::Null, 160)] {
        tiny.write(
            "tokenizer_config.json",
            json!({"model_max_length": limit}).to_string().as_bytes(),
        );
        let model = Model::open(tiny.path()).unwrap();
        assert_eq!(model.embed(&[&text], &false.into()).unwrap().1, tokens);
    }
}

#[test]
fn a_truncated_safetensors_is_refused() {
    let tiny = Tiny::new();
    let whole = tiny.read("model.safetensors");
    tiny.write("model.safetensors", &whole[..whole.len() - 4]);
    refused(&tiny, &["model.safetensors", "truncated"]);
}

#[test]
fn a_tensor_of_the_wrong_shape_is_refused_by_name_and_shape() {
    let tiny = Tiny::new();
    tiny.set("config.json", "intermediate_size", json!(65));
    let name = "encoder.layer.0.intermediate.dense.weight";
    refused(&tiny, &["model.safetensors", name, "[64, 32]", "[65, 32]"]);
}

#[test]
fn a_missing_tensor_is_refused_by_name() {
    let tiny = Tiny::new();
    tiny.set("config.json", "num_hidden_layers", json!(3));
    refused(&tiny, &["model.safetensors", "encoder.layer.2.attention.attn.q.weight", "missing"]);
}

#[test]
fn integers_as_weights_are_refused_by_type() {
    let tiny = Tiny::new();
    let words = json!({"dtype": "I8", "shape": [117, 32], "data_offsets": [0, 3744]});
    let header = json!({"embeddings.word_embeddings.weight": words});
    tiny.write("model.safetensors", &tiny::file(&header, &[0; 3744]));
    refused(&tiny, &["embeddings.word_embeddings.weight", "I8", "F32, F16, BF16"]);
}

#[test]
fn damaged_weights_give_no_vector() {
    let tiny = Tiny::new();
    let mut whole = tiny.read("model.safetensors");
    let end = whole.len();
    whole[end - 50_000..].fill(0xff);
    tiny.write("model.safetensors", &whole);
    let error = Model::open(tiny.path()).unwrap().embed(&["the graph"], &false.into()).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn no_damage_to_a_file_panics() {
    let files = ["config.json", "modules.json", "tokenizer.json", "1_Pooling/config.json"];
    for name in files.into_iter().chain(["sentence_bert_config.json", "model.safetensors"]) {
        let tiny = Tiny::new();
        let whole = tiny.read(name);
        let header = whole.trim_ascii_end().len().min(4000);
        for step in 0..150 {
            let at = step * header / 150;
            tiny.write(name, &whole[..at]);
            assert!(Model::open(tiny.path()).is_err(), "{name} cut at {at}");
            tiny.write(name, &garbled(&whole, at, step));
            // opening may even succeed: what counts is that both return
            if let Ok(model) = Model::open(tiny.path()) {
                model.embed(&["the graph holds"], &false.into()).ok();
            }
        }
    }
}

/// Replaces some bytes from `at` on, mostly with digits, which keep JSON valid more often.
fn garbled(whole: &[u8], at: usize, step: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let noise = b"0123456789-.eE\"{}[],:\xff\x00";
    for (offset, byte) in bytes.iter_mut().skip(at).take(1 + step % 3).enumerate() {
        *byte = noise[(step * 7 + offset * 5) % noise.len()];
    }
    bytes
}
