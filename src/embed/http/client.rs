//! The HTTP client for all services: one client, one runtime, one POST per batch.
//!
//! The runtime has one thread, `vectorfill-http`, for all requests of an embedder. Up to two more
//! of that name resolve host names, which blocks; they end after a second without work. None of it
//! runs on the server's main thread or on the worker's.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::embed::config::EmbedderConfig;
use crate::embed::http::request::{Caller, Lengths};
use crate::embed::promise::Promise;
use crate::error::Error;
use crate::fill::port::embedding::{InputType, RateLimits};
use crate::inject::{Point, reached};

/// A service reached over HTTP.
#[derive(Debug)]
pub(crate) struct Service {
    /// Never entered from outside: requests are spawned on it.
    runtime: Runtime,
    /// For the texts of nodes and relationships.
    documents: Arc<Caller>,
    /// The same, unless queries have a model of their own.
    queries: Arc<Caller>,
}

impl Service {
    /// Starts the runtime; nothing is sent yet.
    /// Fails if the system refuses the runtime, if the provider has no address and none is set, or
    /// if the system's certificates cannot be used. The key is not needed yet: it is read by each
    /// request.
    pub(crate) fn start(config: &EmbedderConfig) -> Result<Self, Error> {
        let name = "vectorfill-http";
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_keep_alive(Duration::from_secs(1))
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|e| Error::Thread { name, reason: e.to_string() })?;
        let documents = Arc::new(Caller::new(config)?);
        let queries = match &config.query_model {
            Some(model) => {
                let config = EmbedderConfig { model: model.clone(), ..config.clone() };
                Arc::new(Caller::new(&config)?)
            }
            None => Arc::clone(&documents),
        };
        Ok(Self { runtime, documents, queries })
    }

    /// Posts one request, off the calling thread.
    /// Returns at once and has no queue: the lane bounds how many requests are in flight. A task
    /// that panics drops its `promise`, which answers that the request was cancelled. What the
    /// service reports about its limits is passed on with errors, too.
    pub(crate) fn submit(
        &self,
        texts: Vec<String>,
        input: InputType,
        lengths: Lengths,
        promise: Promise,
    ) {
        let caller = Arc::clone(match input {
            InputType::Document => &self.documents,
            InputType::Query => &self.queries,
        });
        self.runtime.spawn(async move {
            reached(Point::Http);
            let mut limits = RateLimits::default();
            let outcome = caller.embed(&texts, input, lengths, &mut limits).await;
            promise.keep(outcome, limits);
        });
    }

    /// Ends the runtime, waiting at most `limit`. Requests in flight are abandoned.
    /// They are answered as cancelled when their promises are dropped.
    pub(crate) fn stop(self, limit: Duration) {
        self.runtime.shutdown_timeout(limit);
    }
}
