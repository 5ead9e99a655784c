//! The user's settings, in the form the core needs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::rule::name::EmbedderName;
use crate::rule::set::RuleSet;

/// The settings that govern passes. Already parsed: no value here can be invalid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Whether anything new may start.
    pub enabled: bool,
    /// Time between scheduled passes; `None` = only on request.
    pub interval: Option<Duration>,
    /// Whether a write to a graph wakes the filler.
    pub wake_on_write: bool,
    /// What is filled.
    pub rules: RuleSet,
    /// How each embedder is used.
    pub lanes: BTreeMap<EmbedderName, LaneSettings>,
    /// Characters of a text that are embedded; the rest is cut off.
    pub max_text_chars: usize,
    /// Longest single hold of the server by a write.
    pub write_budget: Duration,
    /// How long a write waits for queries on its graph; `None` = forever.
    pub write_patience: Option<Duration>,
    /// Whether vectors may be written as the engine's effects.
    pub write_effects: bool,
}

/// How one embedder is used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LaneSettings {
    /// What one request may hold.
    pub batch: BatchLimits,
    /// How many requests there may be.
    pub limits: LaneLimits,
    /// Number of query embeddings that are cached.
    pub query_cache: usize,
    /// Attempts per batch in one pass.
    pub max_attempts: u32,
    /// What to do with a text that is too long for the service, in tokens.
    pub overlong: Overlong,
    /// Length every vector must have; `None` = whatever the model returns.
    pub dimensions: Option<usize>,
}

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    /// Maximum number of texts (`batch-size`).
    pub texts: usize,
    /// Maximum number of estimated tokens (`batch-tokens`).
    pub tokens: usize,
}

/// The user's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneLimits {
    /// Maximum requests in flight (`concurrency`).
    pub concurrency: usize,
    /// Queries that may be in flight in addition to these.
    pub extra: usize,
    /// `requests-per-minute`; 0 = unlimited.
    pub requests_per_minute: u32,
    /// `tokens-per-minute`; 0 = unlimited.
    pub tokens_per_minute: u32,
}

/// What to do with a text that is too long for the service, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlong {
    /// Shorten it until the service accepts it.
    Shorten,
    /// Refuse it, as the service does.
    Refuse,
}
