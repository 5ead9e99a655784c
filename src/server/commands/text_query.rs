//! Shared by EMBED, QUERY and SEARCH: turns a text into a vector with the model that fills the
//! graphs.
//!
//! What cannot work is refused before a request is sent, since requests cost money: a place that
//! cannot block, a missing key, a missing graph, a missing permission. Queries go out before any
//! backfill, and their vectors are cached by the worker.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use redis_module::{Context, RedisError, RedisResult, RedisString};

use crate::embed::config::EmbedderConfig;
use crate::entity::{GraphName, Text};
use crate::fill::port::server::RunFault;
use crate::rule::Rule;
use crate::rule::name::EmbedderName;
use crate::server::blocked_client::Client;
use crate::server::commands::args::number;
use crate::server::commands::blocking::{Limit, fault, may_wait, wait};
use crate::server::commands::{error, existing_graph, may_query, needs_engine};
use crate::server::handle::with_worker;
use crate::worker::port::Request;
use crate::worker::{Config, Worker};

/// A text query that passed the checks.
pub(super) struct TextQuery {
    embedder: EmbedderName,
    /// The length of vectors to ask for.
    length: Option<usize>,
    config: EmbedderConfig,
    /// Characters of a text that are embedded.
    max_chars: usize,
}

impl TextQuery {
    /// Refuses what cannot work before it costs anything; `what` is the command's name, for errors.
    pub(super) fn new(
        ctx: &Context,
        what: &str,
        current: &Config,
        embedder: EmbedderName,
    ) -> Result<Self, RedisError> {
        may_wait(ctx, what)?;
        let Some(config) = current.embedders.get(&embedder).cloned() else {
            return fault(&RunFault::NoEmbedder(embedder));
        };
        if let Some(reason) = config.missing_key() {
            return error("NOKEY", reason);
        }
        let max_chars = current.settings.max_text_chars;
        Ok(Self { embedder, length: None, config, max_chars })
    }

    /// Asks for vectors of the length that a rule needs on this graph.
    pub(super) fn for_rule(self, rule: &Rule, graph: &GraphName) -> Self {
        let said = rule.dimensions.map(NonZeroUsize::get);
        let found = || {
            let published = with_worker(Worker::published)?;
            published.snapshot.graphs.get(graph)?.length_of(&rule.name)
        };
        Self { length: said.or_else(found), ..self }
    }

    /// The model that embeds the texts.
    pub(super) fn model(&self) -> String {
        self.config.model.clone()
    }

    /// Has the texts embedded, then runs `then` on the vectors. Without a limit from the user,
    /// twice the request timeout applies.
    pub(super) fn ask(
        &self,
        ctx: &Context,
        texts: &[RedisString],
        limit: Limit,
        then: impl FnOnce(Client, Vec<Arc<[f32]>>) + Send + 'static,
    ) -> RedisResult {
        let text = |text: &RedisString| Text::new(text.as_slice(), self.max_chars);
        let texts = texts.iter().map(text).collect();
        let limit = limit.unwrap_or_else(|| self.config.timeout.saturating_mul(2));
        let embedder = self.embedder.clone();
        wait(ctx, Some(limit), |user| Request::Query(embedder, self.length, texts, user), then)
    }
}

/// A graph that this user may query; `what` is the command's name, for errors.
pub(super) fn graph(ctx: &Context, arg: &RedisString, what: &str) -> Result<GraphName, RedisError> {
    needs_engine()?;
    let graph = existing_graph(ctx, arg)?;
    may_query(ctx, &graph, what)?;
    Ok(graph)
}

/// Parses the argument of TIMEOUT: milliseconds, at most a day.
pub(super) fn limit(arg: &RedisString) -> Result<Duration, RedisError> {
    number("TIMEOUT", arg, 1..=86_400_000).map(|ms| Duration::from_millis(ms as u64))
}
