//! Everything that decides which vectors come back.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::KeySource;
use crate::error::Error;

/// Who computes the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// OpenAI, or a service that speaks its protocol.
    OpenAi,
    /// A model in this process.
    Local,
}

impl Provider {
    /// Reads the setting's value.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        match value {
            "openai" => Ok(Self::OpenAi),
            "local" if cfg!(feature = "local") => Ok(Self::Local),
            "local" => Err(Error::setting(setting, value, "this build has no feature 'local'")),
            _ => Err(Error::setting(setting, value, "one of: openai, local")),
        }
    }

    /// The setting's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Local => "local",
        }
    }
}

/// Everything that decides which vectors come back; a change of any of it makes a new embedder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbedderConfig {
    /// Who computes.
    pub provider: Provider,
    /// Where the service is.
    pub endpoint: Endpoint,
    /// The model's name at the service, or the directory of a local one.
    pub model: String,
    /// The length of vectors to ask for; `None` = the model's own.
    pub dimensions: Option<NonZeroUsize>,
    /// Where the API key is.
    pub key: KeySource,
    /// What is put in front of a node's text.
    pub document_prefix: String,
    /// What is put in front of a question.
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
            Provider::OpenAi => Some(self.endpoint.host()),
            Provider::Local => None,
        }
    }

    /// Why no request could be sent, as far as the main thread can tell without waiting for a disk.
    pub(crate) fn missing_key(&self) -> Option<String> {
        match self.provider {
            Provider::OpenAi => self.key.missing(),
            Provider::Local => None,
        }
    }
}
