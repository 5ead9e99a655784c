//! A service without a preset: the settings define how to talk to it.

use super::{Preset, Protocol};

pub(super) static PRESET: Preset = Preset {
    name: "custom",
    base_url: "",
    model: "",
    key_env: "OPENAI_API_KEY",
    max_texts: 2_048,
    max_tokens: 300_000,
    protocol: Protocol::default,
};
