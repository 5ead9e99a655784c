//! Voyage AI: it distinguishes documents from queries, and silently cuts a text that is too long
//! unless told not to. All fourth-generation models share one vector space.
//!
//! So documents can be embedded by a large model and queries by a small one. Otherwise as OpenAI,
//! with `output_dimension` for `dimensions`.

use serde_json::json;

use super::{InputTypeField, Preset, Protocol, extra};

/// 1,000 texts, according to Voyage's documentation. It allows 120,000, 320,000 or 1,000,000 tokens
/// by model: this is the lowest of them.
pub(super) static PRESET: Preset = Preset {
    name: "voyage",
    base_url: "https://api.voyageai.com/v1",
    model: "voyage-4",
    key_env: "VOYAGE_API_KEY",
    max_texts: 1_000,
    max_tokens: 120_000,
    protocol: || Protocol {
        dimensions_field: Some("output_dimension".into()),
        input_type: Some(InputTypeField::new("input_type", "document", "query")),
        extra: extra(&[("truncation", json!(false))]),
        ..Protocol::default()
    },
};
