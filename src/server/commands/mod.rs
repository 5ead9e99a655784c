//! The commands, one file each; here what they share.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "the signature of a command is given"
)]

mod help;
mod run;
mod status;

use redis_module::{AclPermissions, Context, RedisError, RedisResult, RedisString};

use super::guarded;
use crate::fill::node::GraphName;

/// Runs a command so that a panic becomes an error reply.
fn answered(work: impl FnOnce() -> RedisResult) -> RedisResult {
    guarded(Err(RedisError::Str("ERR vectorfill failed unexpectedly; the server goes on")), work)
}

/// An error reply: a code word and a sentence.
fn error<T>(code: &str, words: impl std::fmt::Display) -> Result<T, RedisError> {
    Err(RedisError::String(format!("{code} {words}")))
}

/// A graph argument. Redis has checked the key patterns of the user's ACL by the command's key
/// specification already.
fn graph_name(arg: &RedisString) -> Result<GraphName, RedisError> {
    match arg.try_as_str() {
        Ok(name) if !name.contains('\0') => Ok(GraphName::new(name)),
        Ok(_) | Err(_) => error("ERR", "the graph's name is not UTF-8, or holds a NUL byte"),
    }
}

/// Whether the user behind this command may read the key.
fn may_read(ctx: &Context, graph: &GraphName) -> bool {
    let user = ctx.get_current_user();
    let key = RedisString::create_from_slice(ctx.ctx, graph.as_str().as_bytes());
    ctx.acl_check_key_permission(&user, &key, &AclPermissions::ACCESS).is_ok()
}
