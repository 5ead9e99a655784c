//! A service without a preset: the settings define how to talk to it.
//!
//! It begins as OpenAI's protocol, with OpenAI's limits; each difference is a setting.

use super::{Preset, Protocol};

/// Address and model have no default. The key is looked for in OpenAI's variable; for a service
/// without a key, set `api-key-env` to nothing.
pub(super) static PRESET: Preset = Preset {
    name: "custom",
    base_url: "",
    model: "",
    key_env: "OPENAI_API_KEY",
    max_texts: 2_048,
    max_tokens: 300_000,
    protocol: Protocol::default,
};
