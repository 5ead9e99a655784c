//! Reads and writes the hash of a graph's own rules.

use std::sync::Arc;

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::rule::Rule;
use crate::rule::definition::{Body, own};
use crate::rule::name::RuleName;
use crate::server::config;
use crate::server::ffi::call::Mode;
use crate::server::graph::hold::Hold;
use crate::server::graph::state::takes_writes_beside;
use crate::server::own::MAX_RULES;

/// Fields of a hash that are looked at: others may be kept there, too.
const MAX_FIELDS: usize = 1_000;

/// The own rules of a graph that can be in force, if it has any that are kept. One that cannot be
/// read, or whose embedder is not defined, is left out: `VECTORFILL.RULE LIST` tells why.
pub(super) fn rules_of(hold: &Hold<'_>, graph: &GraphName) -> Option<Vec<Arc<Rule>>> {
    let key = own::key(graph).ok()?;
    let texts = texts(hold, &key);
    if texts.is_empty() {
        return None;
    }
    let texts = texts.into_iter().take(MAX_RULES);
    Some(texts.filter_map(|(name, body)| read(&name, &body).ok()).collect())
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
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let pair = |(field, body)| {
        let name = own::rule_of(&text(field)?)?.to_owned();
        Some((name, text(body)?))
    };
    let mut texts: Vec<_> = hold.hash(key, MAX_FIELDS).into_iter().filter_map(pair).collect();
    texts.sort();
    texts
}

/// Keeps a rule beside its graph, in the AOF and on replicas as well.
///
/// Call it after the checks: it replaces a rule of that name. Fails if the graph's name cannot be
/// part of a key, or with what Redis says. The change is in force once it has been read again.
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

/// The graph is gone, unless a later step of the same command has made it anew: its rules go, too.
///
/// Errors are dropped: the client's own command has succeeded, and cannot be answered otherwise.
pub(super) fn follow_removal(hold: &Hold<'_>, graph: &GraphName) {
    let Ok(key) = own::key(graph) else { return };
    if hold.find_graph(graph) == Err(StoreFault::NoGraph)
        && may_follow(hold, graph)
        && exists(hold, &key)
    {
        hold.call(Mode::Write, c"UNLINK", &[key.as_bytes()]).ok();
    }
}

/// A graph has a new name: its rules go along, in place of those that the name had. No rules are
/// rules, too.
pub(super) fn follow_rename(hold: &Hold<'_>, from: &GraphName, to: &GraphName) {
    let (Ok(source), Ok(target)) = (own::key(from), own::key(to)) else { return };
    if !may_follow(hold, to) {
        return;
    }
    let (source_key, target_key) = (source.as_bytes(), target.as_bytes());
    if exists(hold, &source) {
        hold.call(Mode::Write, c"RENAME", &[source_key, target_key]).ok();
    } else if exists(hold, &target) {
        hold.call(Mode::Write, c"UNLINK", &[target_key]).ok();
    }
}

/// A graph was copied: its rules are, too.
pub(super) fn follow_copy(hold: &Hold<'_>, from: &GraphName, to: &GraphName) {
    let (Ok(source), Ok(target)) = (own::key(from), own::key(to)) else { return };
    if hold.find_graph(to).is_ok() && may_follow(hold, to) && exists(hold, &source) {
        let args = [source.as_bytes(), target.as_bytes(), b"REPLACE"];
        hold.call(Mode::Write, c"COPY", &args).ok();
    }
}

/// Whether we may write beside a graph that a client has just changed. Deleting and renaming are
/// allowed without memory; a slot that is being migrated takes its hashes along by itself.
fn may_follow(hold: &Hold<'_>, graph: &GraphName) -> bool {
    matches!(takes_writes_beside(hold, graph), Ok(()) | Err(StoreFault::OutOfMemory))
}

/// Asked first, as a call that fails would show in the statistics.
fn exists(hold: &Hold<'_>, key: &str) -> bool {
    let reply = hold.call(Mode::Inline, c"EXISTS", &[key.as_bytes()]);
    reply.is_ok_and(|reply| reply.proto() == b":1\r\n")
}
