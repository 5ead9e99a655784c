//! Which rule, and so which embedder, a command is about.
//!
//! The `Config` comes from the caller, so that a command can make all of its choices by the same
//! settings, even if they change while its client waits.

use std::fmt::Display;
use std::sync::Arc;

use redis_module::{RedisError, RedisString};

use crate::entity::GraphName;
use crate::fill::port::server::RunFault;
use crate::rule::Rule;
use crate::rule::name::{EmbedderName, RuleName};
use crate::server::commands::blocking::fault;
use crate::server::commands::error;
use crate::worker::Config;

/// The name of a rule, as an argument.
pub(super) fn rule_name(arg: &RedisString) -> Result<RuleName, RedisError> {
    match RuleName::parse("RULE", &arg.to_string_lossy()) {
        Ok(name) => Ok(name),
        Err(_) => error("ERR", format_args!("RULE '{arg}': the name of a rule")),
    }
}

/// The rule of this name that applies to a graph.
pub(super) fn rule(
    config: &Config,
    graph: &GraphName,
    name: &RuleName,
) -> Result<Arc<Rule>, RedisError> {
    let rule = config.settings.rules.get(graph, name);
    rule.map_or_else(|| fault(&RunFault::NoRule(graph.clone(), name.clone())), Ok)
}

/// What SEARCH's word means for a graph: the name of a rule, or else a label or a type that a rule
/// fills. A label that no rule fills is searched as the settings' rule would fill it.
pub(super) fn searched(
    config: &Config,
    graph: &GraphName,
    word: &RedisString,
) -> Result<(Arc<Rule>, Option<String>), RedisError> {
    let rules = config.settings.rules.of(graph);
    let word = word.to_string_lossy();
    if let Some(rule) = rules.iter().find(|rule| rule.name.as_str() == word) {
        return Ok((Arc::clone(rule), None));
    }
    let names = |rule: &&Arc<Rule>| rule.pattern.names().iter().any(|n| n.as_str() == word);
    let means = |rule: &&Arc<Rule>| rule.pattern.means(&word);
    let filled = rules.iter().find(names).or_else(|| rules.iter().find(means));
    match filled.or(config.settings.rules.default.as_ref()).or(rules.first()) {
        Some(rule) => Ok((Arc::clone(rule), Some(word))),
        None => fault(&RunFault::NoRules(graph.clone())),
    }
}

/// The embedder a query of a graph means: that of its rules, if they have one in common.
pub(super) fn embedder(config: &Config, graph: &GraphName) -> Result<EmbedderName, RedisError> {
    let rules = config.settings.rules.of(graph);
    let Some(first) = rules.first() else { return Ok(EmbedderName::default_embedder()) };
    if rules.iter().all(|rule| rule.embedder == first.embedder) {
        return Ok(first.embedder.clone());
    }
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    let words = format!("the rules of '{graph}' use several embedders: add RULE and one of ");
    error("ERR", format_args!("{words}{}", names.join(", ")))
}

/// An embedder that exists, as an argument.
pub(super) fn embedder_name(
    config: &Config,
    arg: &RedisString,
) -> Result<EmbedderName, RedisError> {
    let known = config.embedders.keys().find(|name| name.as_str().as_bytes() == arg.as_slice());
    known.map_or_else(|| no_embedder(config, arg), |name| Ok(name.clone()))
}

/// Refuses an embedder that does not exist.
pub(super) fn no_embedder<T>(config: &Config, name: &impl Display) -> Result<T, RedisError> {
    let names: Vec<&str> = config.embedders.keys().map(EmbedderName::as_str).collect();
    error("ERR", format_args!("EMBEDDER '{name}': one of {}", names.join(", ")))
}
