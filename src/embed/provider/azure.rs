//! Azure OpenAI: the deployment is in the base URL, as `…/openai/v1`, or as
//! `…/openai/deployments/{name}?api-version=…`; the key is sent in a header of its own.

use reqwest::header::HeaderName;

use super::{Auth, Preset, Protocol};

/// With OpenAI's limits.
pub(super) static PRESET: Preset = Preset {
    name: "azure",
    base_url: "",
    model: "text-embedding-3-small",
    key_env: "AZURE_OPENAI_API_KEY",
    max_texts: 2_048,
    max_tokens: 300_000,
    protocol: || Protocol {
        auth: Auth::Header(HeaderName::from_static("api-key")),
        ..Protocol::default()
    },
};
