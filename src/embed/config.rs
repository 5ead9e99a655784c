//! The embedder's configuration: everything that decides which vectors come back.

use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::header::HeaderName;
use serde_json::{Map, Value};

use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::KeySource;
use crate::embed::provider::{PRESETS, Preset, Protocol};
use crate::error::Error;

/// Who computes the vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Provider {
    /// A service.
    Service(&'static Preset),
    /// A model in this process.
    Local,
}

impl Provider {
    /// Parses the setting's value.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        if value == "local" {
            let refused = || Error::setting(setting, value, "this build has no feature 'local'");
            return if cfg!(feature = "local") { Ok(Self::Local) } else { Err(refused()) };
        }
        let known = PRESETS.iter().find(|preset| preset.name == value);
        known.map(|preset| Self::Service(preset)).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            Error::setting(setting, value, format!("one of: {}, local", names.join(", ")))
        })
    }

    /// The setting's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Service(preset) => preset.name,
            Self::Local => "local",
        }
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// Everything that decides which vectors come back; any change creates a new embedder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbedderConfig {
    /// Who computes.
    pub provider: Provider,
    /// How to talk to the service.
    pub protocol: Protocol,
    /// Where the service is; `None` = not configured.
    pub endpoint: Option<Endpoint>,
    /// The model's name at the service, or the directory of a local one.
    pub model: String,
    /// The model for queries, of the same vector space; `None` = the same model.
    pub query_model: Option<String>,
    /// The length of vectors to ask for; `None` = the model's own.
    pub dimensions: Option<NonZeroUsize>,
    /// Where the API key is.
    pub key: KeySource,
    /// Prepended to a node's text.
    pub document_prefix: String,
    /// Prepended to a query.
    pub query_prefix: String,
    /// Longest wait for one HTTP answer, connecting included.
    pub timeout: Duration,
    /// Threads of a local model.
    pub threads: NonZeroUsize,
}

impl EmbedderConfig {
    /// The host of the service, for people; `None` for a local model.
    pub(crate) fn host(&self) -> Option<&str> {
        match self.provider {
            Provider::Service(_) => self.endpoint.as_ref().map(Endpoint::host),
            Provider::Local => None,
        }
    }

    /// Why no request could be sent, as far as the main thread can tell without waiting for the
    /// disk.
    pub(crate) fn missing_key(&self) -> Option<String> {
        match self.provider {
            Provider::Service(_) => self.key.missing(),
            Provider::Local => None,
        }
    }
}

/// Parses the name of the header for the key; `None` = `Authorization: Bearer …`.
pub(crate) fn auth_header(setting: &str, value: &str) -> Result<Option<HeaderName>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    let expected = "empty (Authorization: Bearer …), or the name of a header such as api-key";
    let name = HeaderName::from_bytes(value.as_bytes());
    name.map(Some).map_err(|_| Error::setting(setting, value, expected))
}

/// Parses the fields added to every request body.
pub(crate) fn extra_body(setting: &str, value: &str) -> Result<Map<String, Value>, Error> {
    if value.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(value).map_err(|e| {
        Error::setting(setting, value, format!("a JSON object such as {{\"user\": \"kb\"}} ({e})"))
    })
}
