//! `VECTORFILL.STATUS [graph [RULE rule] | FULL]`
//!
//! Answers from the snapshot that the worker published last, so it never waits, and works while the
//! server loads and on replicas. The snapshot may lag behind the graphs.
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.STATUS [graph [RULE rule] | FULL]
//! ```
//!
//! # Reply
//!
//! A map whose fields are sorted by name. Without a graph: the server's state, its embedders, and
//! the graphs that are behind, the worst first, at most 20 of them; with `FULL`, all graphs. Only
//! graphs that the user may read are listed, but the sums count all.
//!
//! ```text
//! > VECTORFILL.STATUS kb
//! "blank" 0  "coverage" "1"  "eligible" 311  "embedded" 311  "eta_s" …  "pending" 0  …
//! ```
//!
//! # Errors
//!
//! `NOGRAPH` if the worker has not seen the graph, which may yet exist; `NORULE`; `ERR` if the
//! worker is not running.

use redis_module::{AclPermissions, Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::entity::GraphName;
use crate::fill::port::server::RunFault;
use crate::server::commands::blocking::fault;
use crate::server::commands::choose::rule_name;
use crate::server::commands::{answered, error, graph_name, may};
use crate::server::ffi::{KeyUse, key_at};
use crate::server::handle::with_worker;
use crate::server::status;
use crate::worker::Worker;

#[command({
    name: "vectorfill.status",
    flags: [ReadOnly, AllowLoading, AllowStale, Fast, GetkeysApi],
    summary: "Reports pending, written and failed nodes, for all graphs, for one, or for one of its rules.",
    complexity: "O(G) with G the number of graphs",
    since: "0.1.0",
    arity: -1,
    key_spec: [{
        notes: "The graph is optional; FULL is not a graph.",
        flags: [ReadOnly, Access, VariableFlags],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        {
            name: "graph", arg_type: Key, key_spec_index: 0, flags: [Optional],
            summary: "Only this graph.",
        },
        {
            name: "rule", arg_type: String, token: "RULE", flags: [Optional],
            summary: "Only what this rule fills.",
        },
        {
            name: "full", arg_type: PureToken, token: "FULL", flags: [Optional],
            summary: "All graphs, not only those that are behind.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn status_command(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    // Redis asks which arguments are keys; by the key specification alone, the word FULL would be
    // one.
    if ctx.is_keys_position_request() {
        if args.get(1).is_some_and(|word| args.len() > 2 || !is_full(word)) {
            key_at(ctx, 1, KeyUse::Read);
        }
        return Ok(RedisValue::NoReply);
    }
    answered(|| match args.as_slice() {
        [_] => all(ctx, false),
        [_, word] if is_full(word) => all(ctx, true),
        [_, graph] => one(graph),
        [_, graph, word, rule] if word.as_slice().eq_ignore_ascii_case(b"RULE") => {
            one_rule(graph, rule)
        }
        [_, _, _, ..] => error("ERR", "syntax: VECTORFILL.STATUS [graph [RULE rule] | FULL]"),
        _ => Err(RedisError::WrongArity),
    })
}

/// `FULL`, unless a graph has that name.
fn is_full(word: &RedisString) -> bool {
    let known = |name| known(&name).is_some();
    word.as_slice().eq_ignore_ascii_case(b"FULL") && !graph_name(word).is_ok_and(known)
}

fn known(name: &GraphName) -> Option<RedisValue> {
    let published = with_worker(Worker::published)?;
    published.snapshot.graphs.get(name).map(status::graph)
}

fn all(ctx: &Context, full: bool) -> RedisResult {
    match with_worker(Worker::published) {
        Some(published) => {
            Ok(status::status(&published, full, |graph| may(ctx, graph, &AclPermissions::ACCESS)))
        }
        None => error("ERR", "the worker is not running"),
    }
}

fn one(graph: &RedisString) -> RedisResult {
    let name = graph_name(graph)?;
    match known(&name) {
        Some(figures) => Ok(figures),
        None => error("NOGRAPH", format_args!("nothing is known of a graph '{name}'")),
    }
}

/// One rule of a graph.
fn one_rule(graph: &RedisString, rule: &RedisString) -> RedisResult {
    let (graph, rule) = (graph_name(graph)?, rule_name(rule)?);
    let Some(published) = with_worker(Worker::published) else {
        return error("ERR", "the worker is not running");
    };
    let Some(figures) = published.snapshot.graphs.get(&graph) else {
        return error("NOGRAPH", format_args!("nothing is known of a graph '{graph}'"));
    };
    match status::of_rule(figures, &rule) {
        Some(figures) => Ok(status::graph(figures)),
        None => fault(&RunFault::NoRule(graph, rule)),
    }
}
