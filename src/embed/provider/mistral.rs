//! Mistral: the field for the number of dimensions has another name, and base64 is not supported.
//!
//! `mistral-embed` always has 1,024 dimensions and refuses the field, so `dimensions` is only for
//! `codestral-embed`. Otherwise as OpenAI.

use super::{Preset, Protocol};

/// 256 texts are the limit that the client library rig keeps. The tokens are those of the whole
/// request, not of each text.
pub(super) static PRESET: Preset = Preset {
    name: "mistral",
    base_url: "https://api.mistral.ai/v1",
    model: "mistral-embed",
    key_env: "MISTRAL_API_KEY",
    max_texts: 256,
    max_tokens: 16_000,
    protocol: || Protocol {
        dimensions_field: Some("output_dimension".into()),
        base64: false,
        ..Protocol::default()
    },
};
