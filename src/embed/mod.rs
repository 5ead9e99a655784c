//! The embedders: texts go in, vectors come back on a channel. Only here HTTP, and the local model.
//!
//! [`Embedder::submit`] returns at once. Every submitted request is answered by exactly one
//! [`Completion`], also when its task panics or its thread dies: the [`Promise`] it carries answers
//! when it is dropped.

use crate::embed::config::{Config, Provider};
use crate::embed::promise::Promise;
pub(crate) mod config;
pub(crate) mod http;
#[cfg(feature = "local")]
mod local;
mod promise;
mod provider;

use std::time::Duration;

use crossbeam_channel::Sender;

use crate::entity::Text;
use crate::fill::port::embedding::{Completion, RateLimits, Role};
use crate::fill::port::fault::ServiceFault;
use crate::fill::port::id::BatchId;

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
    Service(http::client::Service),
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
            Provider::OpenAi => http::client::Service::start(config).map(Kind::Service),
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
