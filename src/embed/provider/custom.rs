//! A service nobody has a row for: the settings say how it is spoken to.

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
