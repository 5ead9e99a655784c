//! Ollama's own API: its OpenAI-compatible path silently cuts a text that is too long, this one
//! refuses it.
//!
//! Unlike OpenAI, it needs no key and has no base64. Vectors and tokens come back as
//! `{"embeddings":[[0.5,-2]],"prompt_eval_count":5}`. A model that is not pulled is a 404, a text
//! that is too long a 400.

use serde_json::json;

use super::{Preset, Protocol, extra};

/// The limits are OpenAI's. What slows down a model on one's own machine is its computing time,
/// which the lane notices by itself.
pub(super) static PRESET: Preset = Preset {
    name: "ollama",
    base_url: "http://localhost:11434",
    model: "nomic-embed-text",
    key_env: "",
    max_texts: 2_048,
    max_tokens: 300_000,
    protocol: || Protocol {
        path: "/api/embed".into(),
        extra: extra(&[("truncate", json!(false))]),
        base64: false,
        ..Protocol::default()
    },
};
