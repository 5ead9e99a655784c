//! `OpenAI`, and every compatible service: vLLM, Together, LM Studio and many more.

use serde_json::{Value, json};

use super::{Ask, Preset, Protocol};

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
pub(super) fn body(ask: Ask<'_>, base64: bool) -> Value {
    if base64 && ask.base64 {
        json!({ "model": ask.model, "input": ask.texts, "encoding_format": "base64" })
    } else {
        json!({ "model": ask.model, "input": ask.texts })
    }
}
