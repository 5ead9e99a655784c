//! `VECTORFILL.RELOAD`
//!
//! All or nothing: if one definition is wrong, the reply says which, and the old ones stay in
//! force. That differs from a load, which takes whatever is right. It reads a file on the main
//! thread, at most 1 MB.
//!
//! ```text
//! > VECTORFILL.RELOAD
//! OK
//! ```

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::server::commands::{answered, error};
use crate::server::config;

#[command({
    name: "vectorfill.reload",
    flags: [Admin, DenyScript],
    summary: "Reads the definitions of embedders and rules again.",
    complexity: "O(N) with N the size of the definitions",
    since: "0.1.0",
    arity: 1,
    key_spec: [],
    acl_categories: [Single("vectorfill"), Single("admin"), Single("dangerous")],
})]
fn reload(_: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| match args.as_slice() {
        [_] => config::reload().map_or_else(|wrong| error("ERR", wrong), |()| OK),
        _ => Err(RedisError::WrongArity),
    })
}

const OK: RedisResult = Ok(RedisValue::SimpleStringStatic("OK"));
