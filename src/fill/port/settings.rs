//! What the user decides, as the core needs it.

use std::sync::Arc;
use std::time::Duration;

use crate::rule::{Rule, Similarity};

/// The settings that decide about passes. Parsed: no value here can be wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Whether anything new may start.
    pub enabled: bool,
    /// Time between scheduled passes; `None` = only on request.
    pub interval: Option<Duration>,
    /// Whether a write to a graph wakes the filler.
    pub wake_on_write: bool,
    /// Which nodes, which text, which property. The one default rule.
    pub rule: Arc<Rule>,
    /// What one request may hold.
    pub batch: BatchLimits,
    /// How many requests there may be.
    pub lane: LaneLimits,
    /// Answers to questions that are kept.
    pub query_cache: usize,
    /// Tries of one batch in one pass.
    pub max_attempts: u32,
    /// What is done with a text that is too long for the service, in tokens.
    pub overlong: Overlong,
    /// Length every vector must have; `None` = what the model gives.
    pub dimensions: Option<usize>,
    /// Longest single hold of the server by a write.
    pub write_budget: Duration,
    /// How long a write waits for queries on its graph; `None` = for ever.
    pub write_patience: Option<Duration>,
    /// Whether vectors may be written as the engine's effects.
    pub write_effects: bool,
    /// The index to create where one is missing; `None` = none.
    pub auto_index: Option<Similarity>,
}

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    /// Most texts (`batch-size`).
    pub texts: usize,
    /// Most estimated tokens (`batch-tokens`).
    pub tokens: usize,
}

/// Ceilings the user sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneLimits {
    /// Most requests in flight (`concurrency`).
    pub concurrency: usize,
    /// Questions that may be in flight beside these.
    pub extra: usize,
    /// `requests-per-minute`; 0 = none.
    pub requests_per_minute: u32,
    /// `tokens-per-minute`; 0 = none.
    pub tokens_per_minute: u32,
}

/// What is done with a text that is too long for the service, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlong {
    /// It is shortened until it is taken.
    Shorten,
    /// It is refused, as the service does.
    Refuse,
}
