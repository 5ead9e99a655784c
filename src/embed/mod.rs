//! The embedders: texts go in, vectors come back on a channel. HTTP and the local model live here
//! only.
//!
//! [`Embedder::submit`] returns at once. Every submitted request is answered by exactly one
//! [`Completion`], even if its task panics or its thread dies: the [`Promise`] it carries answers
//! when dropped.

pub(crate) mod config;
pub(crate) mod http;
#[cfg(feature = "local")]
mod local;
mod promise;
pub(crate) mod provider;
pub(crate) mod wanted;

use std::time::Duration;

use crossbeam_channel::Sender;

use crate::embed::config::{EmbedderConfig, Provider};
use crate::embed::promise::Promise;
use crate::fill::port::embedding::{Completion, Embed, InputType, RateLimits};
use crate::fill::port::fault::ServiceFault;
use crate::rule::name::EmbedderName;

/// Turns texts into vectors, off the calling thread.
#[derive(Debug)]
pub(crate) struct Embedder {
    name: EmbedderName,
    backend: Backend,
    /// For documents and for queries.
    prefixes: (String, String),
    completions: Sender<Completion>,
}

#[derive(Debug)]
enum Backend {
    Service(http::client::Service),
    #[cfg(feature = "local")]
    Local(local::Pool),
    /// It could not be created; each request is answered with the reason.
    Broken(String),
}

impl Embedder {
    /// Creates the embedder that the settings ask for. If that fails, every completion carries the
    /// reason, so that it shows up where users look: in STATUS.
    pub(crate) fn start(
        name: EmbedderName,
        config: &EmbedderConfig,
        completions: Sender<Completion>,
    ) -> Self {
        let backend = match config.provider {
            Provider::Service(_) => http::client::Service::start(config).map(Backend::Service),
            #[cfg(feature = "local")]
            Provider::Local => local::Pool::start(config).map(Backend::Local),
            #[cfg(not(feature = "local"))]
            Provider::Local => Ok(Backend::Broken("this build has no feature 'local'".into())),
        };
        let backend = backend.unwrap_or_else(|error| Backend::Broken(error.to_string()));
        let prefixes = (config.document_prefix.clone(), config.query_prefix.clone());
        Self { name, backend, prefixes, completions }
    }

    /// Requests vectors; never waits.
    pub(crate) fn submit(&self, request: &Embed) {
        let Embed { embedder: _, id, input, texts, asked, dimensions } = request;
        let prefix = match input {
            InputType::Document => &self.prefixes.0,
            InputType::Query => &self.prefixes.1,
        };
        let texts = texts.iter().map(|text| format!("{prefix}{}", text.to_utf8())).collect();
        let promise = Promise::new(self.name.clone(), *id, self.completions.clone());
        match &self.backend {
            Backend::Service(service) => {
                let lengths = http::request::Lengths { asked: *asked, known: *dimensions };
                service.submit(texts, *input, lengths, promise);
            }
            #[cfg(feature = "local")]
            Backend::Local(pool) => pool.submit(*input, texts, promise),
            Backend::Broken(reason) => {
                let fault = ServiceFault::Misconfigured(reason.clone());
                promise.keep(Err(fault), RateLimits::default());
            }
        }
    }

    /// Ends all threads, waiting at most `limit` for them. Requests in flight are abandoned.
    pub(crate) fn stop(self, limit: Duration) {
        match self.backend {
            Backend::Service(service) => service.stop(limit),
            #[cfg(feature = "local")]
            Backend::Local(pool) => pool.stop(limit),
            Backend::Broken(_) => {}
        }
    }
}
