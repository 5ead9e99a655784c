//! Jina AI: the `task` field distinguishes documents from queries.

use serde_json::json;

use super::{InputTypeField, Preset, Protocol, extra};

pub(super) static PRESET: Preset = Preset {
    name: "jina",
    base_url: "https://api.jina.ai/v1",
    model: "jina-embeddings-v5-text-small",
    key_env: "JINA_API_KEY",
    max_texts: 512,
    max_tokens: 100_000,
    protocol: || Protocol {
        input_type: Some(InputTypeField::new("task", "retrieval.passage", "retrieval.query")),
        extra: extra(&[("truncate", json!(false))]),
        base64: false,
        ..Protocol::default()
    },
};
