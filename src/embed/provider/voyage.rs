//! Voyage AI: documents and queries are told apart, and a text that is too long is cut silently unless
//! that is forbidden. All models of the fourth generation share one space of vectors.

use serde_json::json;

use super::{InputTypeField, Preset, Protocol, extra};

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
