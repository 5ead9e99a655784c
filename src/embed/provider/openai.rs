//! `OpenAI`, and every compatible service: vLLM, Together, LM Studio and many more.
//!
//! This is the norm that the other presets are measured by. A response is
//! `{"data":[{"index":0,"embedding":"AAAAPw=="}],"usage":{"total_tokens":5}}`, with the 32-bit
//! floats of a vector as base64. An empty account is a 429 like a rate limit, with the code
//! `insufficient_quota`.

use serde_json::{Value, json};

use super::{Ask, Preset, Protocol};

/// 2,048 texts and 300,000 tokens in all, as the client library async-openai repeats from OpenAI's
/// reference. A text has at most 8,192 tokens and must not be empty.
pub(super) static PRESET: Preset = Preset {
    name: "openai",
    base_url: "https://api.openai.com/v1",
    model: "text-embedding-3-small",
    key_env: "OPENAI_API_KEY",
    max_texts: 2_048,
    max_tokens: 300_000,
    protocol: Protocol::default,
};

/// `model`, `input`, and base64 where supported.
/// `base64` is the protocol's, and `ask` holds what the service has answered to it so far: both
/// must agree. A service that has once refused `encoding_format` is not sent the field again.
pub(super) fn body(ask: Ask<'_>, base64: bool) -> Value {
    if base64 && ask.base64 {
        json!({ "model": ask.model, "input": ask.texts, "encoding_format": "base64" })
    } else {
        json!({ "model": ask.model, "input": ask.texts })
    }
}
