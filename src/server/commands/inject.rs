//! `VECTORFILL.INJECT point`: in test builds only.
//!
//! ```text
//! > VECTORFILL.INJECT filter
//! OK
//! ```
//!
//! The fences in `handle.rs` must keep the server alive then; the integration tests check that they
//! do. `ERR` if no point has the name.

use redis_module::{Context, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::inject::{Point, arm};
use crate::server::commands::error;

#[command({
    name: "vectorfill.inject",
    flags: [ReadOnly],
    summary: "Makes a point of the module panic the next time it is reached.",
    complexity: "O(1)",
    since: "0.1.0",
    arity: 2,
    key_spec: [],
    acl_categories: [Single("vectorfill")],
})]
fn inject(_: &Context, args: Vec<RedisString>) -> RedisResult {
    match args.get(1).and_then(|name| Point::parse(&name.to_string_lossy())) {
        Some(point) => {
            arm(point);
            Ok(RedisValue::SimpleStringStatic("OK"))
        }
        None => error("ERR", "there is no such point"),
    }
}
