//! Azure OpenAI: the deployment is in the base URL, as `…/openai/v1`, or as
//! `…/openai/deployments/{name}?api-version=…`; the key is sent in a header of its own.
//!
//! Otherwise as OpenAI. The header is `api-key: …` instead of `Authorization: Bearer …`. With
//! `…/openai/v1`, the model to be set is the name of the deployment. There is no address by
//! default, since each customer has one.

use reqwest::header::HeaderName;

use super::{Auth, Preset, Protocol};

/// With OpenAI's limits.
/// The reference of its REST API at Azure AI Foundry states the same.
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
