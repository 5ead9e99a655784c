//! The HTTP client for all services: one client, one runtime, one POST per batch.

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
    runtime: Runtime,
    documents: Arc<Caller>,
    /// The same, unless queries have a model of their own.
    queries: Arc<Caller>,
}

impl Service {
    /// Starts the runtime; nothing is sent yet.
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
    pub(crate) fn stop(self, limit: Duration) {
        self.runtime.shutdown_timeout(limit);
    }
}
