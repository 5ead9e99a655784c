//! Reads and writes the hash of a graph's own rules.

use std::sync::Arc;

use crate::engine;
use crate::engine::value::Value;
use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::rule::Rule;
use crate::rule::definition::{Body, own};
use crate::rule::name::RuleName;
use crate::server::config;
use crate::server::ffi::call::Mode;
use crate::server::graph::hold::Hold;
use crate::server::graph::state::is_writable;
use crate::server::own::MAX_RULES;

/// The own rules of a graph that can be in force. One that cannot be read, or whose embedder is not
/// defined, is left out: `VECTORFILL.RULE LIST` tells why.
pub(super) fn rules_of(hold: &Hold<'_>, graph: &GraphName) -> Vec<Arc<Rule>> {
    let Ok(key) = own::key(graph) else { return Vec::new() };
    let texts = texts(hold, &key).into_iter().take(MAX_RULES);
    texts.filter_map(|(name, body)| read(&name, &body).ok()).collect()
}

/// Reads one rule as it is kept; fails with what is wrong with it.
pub(in crate::server) fn read(name: &str, body: &str) -> Result<Arc<Rule>, String> {
    let Some(current) = config::current() else { return Err("not loaded yet".into()) };
    let rule = own::kept(name, body, current.settings.max_text_chars).map_err(|e| e.to_string())?;
    if current.embedders.contains_key(&rule.embedder) {
        return Ok(rule);
    }
    Err(format!("there is no embedder '{}'", rule.embedder))
}

/// The rules in a hash: names and definitions, by name.
pub(super) fn texts(hold: &Hold<'_>, key: &str) -> Vec<(String, String)> {
    let Ok(reply) = hold.call(Mode::Inline, c"HGETALL", &[key.as_bytes()]) else {
        return Vec::new();
    };
    let Ok(value) = engine::reply(reply.proto()) else { return Vec::new() };
    let pair = |pair: &[Value<'_>]| {
        let [field, body] = pair else { return None };
        let name = own::rule_of(field.text()?)?;
        Some((name.to_owned(), body.text()?.to_owned()))
    };
    let mut texts: Vec<_> = value.items().chunks(2).filter_map(pair).collect();
    texts.sort();
    texts
}

/// Keeps a rule beside its graph, in the AOF and on replicas as well.
pub(in crate::server) fn set(
    hold: &Hold<'_>,
    graph: &GraphName,
    rule: &Rule,
) -> Result<(), String> {
    let key = own::key(graph).map_err(|e| e.to_string())?;
    let (field, body) = (own::field(&rule.name), Body(rule).to_string());
    let args = [key.as_bytes(), field.as_bytes(), body.as_bytes()];
    hold.call(Mode::Write, c"HSET", &args).map(drop).map_err(|fault| fault.to_string())
}

/// Deletes a rule; returns whether there was one.
pub(in crate::server) fn delete(
    hold: &Hold<'_>,
    graph: &GraphName,
    rule: &RuleName,
) -> Result<bool, String> {
    let key = own::key(graph).map_err(|e| e.to_string())?;
    let field = own::field(rule);
    let deleted = hold.call(Mode::Write, c"HDEL", &[key.as_bytes(), field.as_bytes()]);
    deleted.map(|reply| reply.proto() == b":1\r\n").map_err(|fault| fault.to_string())
}

/// The graph is gone: its rules go, too.
pub(super) fn follow_deletion(hold: &Hold<'_>, graph: &GraphName) {
    if hold.find_graph(graph) == Err(StoreFault::NoGraph)
        && is_writable(hold, graph)
        && let Ok(key) = own::key(graph)
    {
        hold.call(Mode::Write, c"UNLINK", &[key.as_bytes()]).ok();
    }
}

/// A graph has a new name, which takes its rules along; or it was copied.
pub(super) fn follow(hold: &Hold<'_>, from: &GraphName, to: &GraphName, copied: bool) {
    let (Ok(from), Ok(target)) = (own::key(from), own::key(to)) else { return };
    // A replica repeats what its master does.
    if hold.find_graph(to).is_err() || !is_writable(hold, to) {
        return;
    }
    let (from, target) = (from.as_bytes(), target.as_bytes());
    let followed = if copied {
        hold.call(Mode::Write, c"COPY", &[from, target, b"REPLACE"])
    } else {
        hold.call(Mode::Write, c"RENAME", &[from, target])
    };
    // The old graph had no rules: those of the graph that was replaced go.
    if followed.is_err() && !copied {
        hold.call(Mode::Write, c"UNLINK", &[target]).ok();
    }
}
