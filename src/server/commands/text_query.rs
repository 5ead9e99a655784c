//! Shared by EMBED, QUERY and SEARCH: turns a text into a vector with the model that fills the
//! graphs.

use std::sync::Arc;
use std::time::Duration;

use redis_module::{Context, RedisError, RedisResult, RedisString};

use crate::entity::{GraphName, Text};
use crate::server::blocked_client::Client;
use crate::server::commands::args::number;
use crate::server::commands::blocking::{Limit, may_wait, wait};
use crate::server::commands::{current, error, existing_graph, may_query, needs_engine};
use crate::server::config::Current;
use crate::worker::port::Request;

/// A text query that passed the checks.
pub(super) struct TextQuery {
    /// The settings when the command started.
    pub(super) current: Arc<Current>,
}

impl TextQuery {
    /// Refuses what cannot work before it costs anything; `what` is the command's name, for errors.
    pub(super) fn new(ctx: &Context, what: &str) -> Result<Self, RedisError> {
        let current = current()?;
        may_wait(ctx, what)?;
        if let Some(reason) = current.embedder.missing_key() {
            return error("NOKEY", reason);
        }
        Ok(Self { current })
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
        let most = self.current.settings.rule.max_text_chars;
        let texts = texts.iter().map(|text| Text::new(text.as_slice(), most)).collect();
        let limit = limit.unwrap_or_else(|| self.current.embedder.timeout.saturating_mul(2));
        wait(ctx, Some(limit), |user| Request::Query(texts, user), then)
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
