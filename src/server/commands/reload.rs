//! `VECTORFILL.RELOAD`

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
