//! Cohere, version 2 of its API: `texts`, a mandatory `input_type`, and truncation turned off.
//!
//! Unlike OpenAI, it has `texts` for `input`, the path `/embed`, `output_dimension` for
//! `dimensions`, and vectors as numbers. They come without an index, and tokens are what is billed:
//! `{"embeddings":{"float":[[0.5,-2]]},"meta":{"billed_units":{"input_tokens":4}}}`.

use serde_json::{Value, json};

use super::{Ask, InputTypeField, Preset, Protocol, Wire, extra};

/// The limits of texts and tokens are those that the documents of Bedrock and of Oracle's cloud
/// give for the model.
pub(super) static PRESET: Preset = Preset {
    name: "cohere",
    base_url: "https://api.cohere.com/v2",
    model: "embed-v4.0",
    key_env: "COHERE_API_KEY",
    max_texts: 96,
    max_tokens: 128_000,
    protocol: || Protocol {
        wire: Wire::Cohere,
        path: "/embed".into(),
        dimensions_field: Some("output_dimension".into()),
        input_type: Some(InputTypeField::new("input_type", "search_document", "search_query")),
        extra: extra(&[("truncate", json!("NONE"))]),
        base64: false,
        ..Protocol::default()
    },
};

/// `model`, `texts`, and vectors as numbers.
/// The type of the texts and the number of dimensions are added as for any other service.
pub(super) fn body(ask: Ask<'_>) -> Value {
    json!({ "model": ask.model, "texts": ask.texts, "embedding_types": ["float"] })
}
