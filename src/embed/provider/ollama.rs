//! Ollama's own API: its OpenAI-compatible path silently cuts a text that is too long, this one
//! refuses it.

use serde_json::json;

use super::{Preset, Protocol, extra};

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
