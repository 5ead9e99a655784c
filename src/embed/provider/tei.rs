//! Hugging Face's text-embeddings-inference: 32 texts per request unless it was started with
//! another limit.

use super::{Preset, Protocol};

pub(super) static PRESET: Preset = Preset {
    name: "tei",
    base_url: "http://localhost:8080/v1",
    model: "text-embeddings-inference",
    key_env: "",
    max_texts: 32,
    max_tokens: 16_384,
    protocol: Protocol::default,
};
