//! The commands, one file each, and what they share.
//!
//! Commands run on the main thread, and so must be short: what takes longer blocks its client and
//! goes to the worker or to the engine's threads. Their errors begin with a code word in capitals,
//! for clients; the text after it is for people.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "redis-module dictates the signature of a command"
)]

mod args;
mod blocking;
mod choose;
mod embed;
mod estimate;
mod failures;
mod help;
#[cfg(feature = "inject")]
mod inject;
mod preview;
mod query;
mod reload;
mod retry;
mod rule;
mod run;
mod search;
mod status;
mod text_query;

use std::sync::Arc;

use redis_module::{AclPermissions, Context, RedisError, RedisResult, RedisString};

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::fill::port::server::{RunFault, ServerState};
use crate::inject::{Point, reached};
use crate::server::blocked_client::latin1_escaped;
use crate::server::config;
use crate::server::ffi::call::user_may;
use crate::server::graph::hold::Hold;
use crate::server::handle::{guarded, with_worker};
use crate::worker::{Config, Worker};

/// Runs a command so that a panic becomes an error reply.
fn answered(work: impl FnOnce() -> RedisResult) -> RedisResult {
    let failed = Err(RedisError::Str("ERR vectorfill failed unexpectedly; the server goes on"));
    guarded(failed, || {
        reached(Point::Command);
        latin1_escaped(work())
    })
}

/// An error reply: a code word and a message.
fn error<T>(code: &str, words: impl std::fmt::Display) -> Result<T, RedisError> {
    Err(RedisError::String(format!("{code} {words}")))
}

/// The current settings.
fn current() -> Result<Arc<Config>, RedisError> {
    config::current().map_or_else(|| error("ERR", "the module is not loaded yet"), Ok)
}

/// A graph argument. Redis has already checked the user's ACL key patterns, using the command's key
/// specification.
fn graph_name(arg: &RedisString) -> Result<GraphName, RedisError> {
    match arg.try_as_str() {
        Ok(name) if !name.contains('\0') => Ok(GraphName::new(name)),
        Ok(_) | Err(_) => error("ERR", "the graph's name is not UTF-8, or holds a NUL byte"),
    }
}

/// A graph argument that must name an existing graph.
fn existing_graph(ctx: &Context, arg: &RedisString) -> Result<GraphName, RedisError> {
    let name = graph_name(arg)?;
    found(ctx, &name)?;
    Ok(name)
}

/// Rejects a graph that does not exist, or whose existence cannot be checked now.
fn found(ctx: &Context, name: &GraphName) -> Result<(), RedisError> {
    match Hold::of_command(ctx).find_graph(name) {
        Ok(()) => Ok(()),
        Err(StoreFault::NoGraph) => blocking::fault(&RunFault::NoGraph(name.clone())),
        Err(fault) => blocking::fault(&RunFault::Store(fault.to_string())),
    }
}

/// Rejects what needs the engine if the last survey did not find it.
fn needs_engine() -> Result<(), RedisError> {
    let published = with_worker(Worker::published);
    if published.is_some_and(|published| published.snapshot.server == ServerState::NoEngine) {
        return blocking::fault(&RunFault::NoEngine);
    }
    Ok(())
}

/// Whether the user running this command has `permission` on the graph's key.
fn may(ctx: &Context, graph: &GraphName, permission: &AclPermissions) -> bool {
    let user = ctx.get_current_user();
    let key = RedisString::create_from_slice(ctx.ctx, graph.as_str().as_bytes());
    ctx.acl_check_key_permission(&user, &key, permission).is_ok()
}

/// Rejects users who may not run `GRAPH.RO_QUERY` on the graph themselves: our commands grant
/// nothing beyond that. A query can run without end, or fetch a CSV from another host.
fn may_query(ctx: &Context, graph: &GraphName, what: &str) -> Result<(), RedisError> {
    if user_may(ctx, &[b"GRAPH.RO_QUERY", graph.as_str().as_bytes(), b"RETURN 1"]) {
        return Ok(());
    }
    error(
        "NOPERM",
        format_args!("{what} runs a GRAPH.RO_QUERY, which this user may not run on '{graph}'"),
    )
}
