//! Hugging Face's text-embeddings-inference: 32 texts per request unless it was started with
//! another limit.
//!
//! It follows OpenAI's protocol below `/v1`, without a key. Too many texts are a 422 that names the
//! limit: `maximum allowed batch size 32`. If its backend has failed, it answers 424, and 429 when
//! it is overloaded.

use super::{Preset, Protocol};

/// It serves the one model it was started with. The limits are the defaults of its options
/// `--max-client-batch-size` and `--max-batch-tokens`.
pub(super) static PRESET: Preset = Preset {
    name: "tei",
    base_url: "http://localhost:8080/v1",
    model: "text-embeddings-inference",
    key_env: "",
    max_texts: 32,
    max_tokens: 16_384,
    protocol: Protocol::default,
};
