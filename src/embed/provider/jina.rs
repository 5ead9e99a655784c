//! Jina AI: the `task` field distinguishes documents from queries.
//!
//! Otherwise as OpenAI, except that a text that is too long must be refused explicitly, and that
//! `encoding_format` has another name, so vectors are requested as numbers. An empty account is
//! answered with 403 and `AUTHZ_INSUFFICIENT_BALANCE`.

use serde_json::json;

use super::{InputTypeField, Preset, Protocol, extra};

/// If the service takes fewer texts than this, its refusal says how many, and later batches are
/// smaller. A free account has 500 requests and a million tokens per minute, and five requests at
/// once, according to the description of its API.
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
