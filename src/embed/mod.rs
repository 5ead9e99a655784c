//! The embedders: texts go in, vectors come back on a channel. Only here HTTP, and the local model.
//!
//! [`Embedder::submit`] returns at once. Every submitted request is answered by exactly one
//! [`Completion`], also when its task panics or its thread dies: the [`Promise`] it carries answers
//! when it is dropped.

mod endpoint;
mod headers;
mod key;
#[cfg(feature = "local")]
mod local;
mod openai;
mod wire;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

pub(crate) use endpoint::Endpoint;
pub(crate) use key::KeySource;

use crate::error::Error;
use crate::fill::fault::ServiceFault;
use crate::fill::node::{BatchId, Completion, RateLimits, Reply, Role, Text};

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
pub(crate) struct Config {
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

impl Config {
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

/// Turns texts into vectors, off the thread that asks.
#[derive(Debug)]
pub(crate) struct Embedder {
    kind: Kind,
    /// Of documents, and of questions.
    prefixes: (String, String),
    completions: Sender<Completion>,
}

#[derive(Debug)]
enum Kind {
    Service(openai::Service),
    #[cfg(feature = "local")]
    Local(local::Pool),
    /// It could not be made; each request is answered with the reason.
    Broken(String),
}

impl Embedder {
    /// Makes the embedder the settings ask for. What prevents it is told by each completion, so
    /// that it shows where users look: in STATUS.
    pub(crate) fn start(config: &Config, completions: Sender<Completion>) -> Self {
        let kind = match config.provider {
            Provider::OpenAi => openai::Service::start(config).map(Kind::Service),
            #[cfg(feature = "local")]
            Provider::Local => local::Pool::start(config).map(Kind::Local),
            #[cfg(not(feature = "local"))]
            Provider::Local => Ok(Kind::Broken("this build has no feature 'local'".into())),
        };
        let kind = kind.unwrap_or_else(|error| Kind::Broken(error.to_string()));
        let prefixes = (config.document_prefix.clone(), config.query_prefix.clone());
        Self { kind, prefixes, completions }
    }

    /// Asks for the vectors of `texts`; never waits.
    pub(crate) fn submit(&self, batch: BatchId, role: Role, texts: &[Text]) {
        let prefix = match role {
            Role::Document => &self.prefixes.0,
            Role::Question => &self.prefixes.1,
        };
        let texts = texts.iter().map(|text| format!("{prefix}{}", text.to_utf8())).collect();
        let promise = Promise::new(batch, self.completions.clone());
        match &self.kind {
            Kind::Service(service) => service.submit(texts, promise),
            #[cfg(feature = "local")]
            Kind::Local(pool) => pool.submit(role, texts, promise),
            Kind::Broken(reason) => {
                promise.keep(Err(ServiceFault::Unusable(reason.clone())), RateLimits::default());
            }
        }
    }

    /// Ends all threads, waiting at most `limit` for them. Requests in flight are given up.
    pub(crate) fn stop(self, limit: Duration) {
        match self.kind {
            Kind::Service(service) => service.stop(limit),
            #[cfg(feature = "local")]
            Kind::Local(pool) => pool.stop(limit),
            Kind::Broken(_) => {}
        }
    }
}

/// The duty to answer a request, once.
#[derive(Debug)]
struct Promise {
    batch: BatchId,
    sent: Instant,
    completions: Option<Sender<Completion>>,
}

impl Promise {
    fn new(batch: BatchId, completions: Sender<Completion>) -> Self {
        Self { batch, sent: Instant::now(), completions: Some(completions) }
    }

    fn keep(mut self, outcome: Result<Reply, ServiceFault>, limits: RateLimits) {
        self.answer(outcome, limits);
    }

    fn answer(&mut self, outcome: Result<Reply, ServiceFault>, limits: RateLimits) {
        let Some(completions) = self.completions.take() else { return };
        let (batch, took) = (self.batch, self.sent.elapsed());
        let completion = Completion { batch, outcome, limits, took };
        // The channel holds more than there can be in flight; when it is gone, nobody is waiting.
        completions.try_send(completion).ok();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let reason = "the request was given up".to_owned();
        let fault = ServiceFault::Connection { host: "the embedder".into(), reason };
        self.answer(Err(fault), RateLimits::default());
    }
}
