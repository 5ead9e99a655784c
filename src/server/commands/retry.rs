//! `VECTORFILL.RETRY graph [RULE rule] [id …]`
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.RETRY graph [RULE rule] [id …]
//! ```
//!
//! Ids are those that `VECTORFILL.FAILURES` lists; without any, all that is quarantined is
//! released.
//!
//! # Reply
//!
//! How many were released. The client is blocked until then, but not until they are tried again.
//!
//! ```text
//! > VECTORFILL.RETRY kb 17
//! (integer) 1
//! ```
//!
//! # Errors
//!
//! `NOGRAPH`, `NORULE`, `READONLY`, `ERR` for an id that is no whole number, and inside MULTI or a
//! script.

use redis_module::{Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use crate::entity::EntityId;
use crate::server::commands::args::{Args, number};
use crate::server::commands::blocking::{may_wait, wait};
use crate::server::commands::choose::rule_name;
use crate::server::commands::{answered, existing_graph};
use crate::server::status;
use crate::worker::port::Request;

#[command({
    name: "vectorfill.retry",
    flags: [Write, DenyOOM],
    summary: "Lifts the quarantine of these nodes, or of all; they are tried again at once.",
    complexity: "O(N) with N the number of ids given, or of node ids in the graph",
    since: "0.1.0",
    arity: -2,
    key_spec: [{
        notes: "The graph.",
        flags: [ReadWrite, Update],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        { name: "graph", arg_type: Key, key_spec_index: 0 },
        {
            name: "rule", arg_type: String, token: "RULE", flags: [Optional],
            summary: "Only what this rule fills.",
        },
        {
            name: "id", arg_type: Integer, flags: [Optional, Multiple],
            summary: "Only these, by the ids VECTORFILL.FAILURES lists.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn retry(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let mut args = Args::new(&args, "VECTORFILL.RETRY graph [RULE rule] [id ...]");
        let graph = args.next()?;
        let rule = args.option("RULE")?.map(rule_name).transpose()?;
        let ids = args.rest().iter().map(id).collect::<Result<Vec<_>, _>>()?;
        let ids = (!ids.is_empty()).then_some(ids);
        let graph = existing_graph(ctx, graph)?;
        may_wait(ctx, "VECTORFILL.RETRY")?;
        wait(
            ctx,
            None,
            |user| Request::Release(graph, rule, ids, user),
            |client, nodes| {
                client.reply(Ok(status::integer(nodes)));
            },
        )
    })
}

fn id(arg: &RedisString) -> Result<EntityId, RedisError> {
    let most = usize::try_from(i64::MAX).unwrap_or(usize::MAX);
    number("id", arg, 0..=most).map(|id| EntityId(id as u64))
}
