//! `VECTORFILL.RETRY graph [id …]`

use redis_module::{Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use crate::entity::NodeId;
use crate::fill::port::event::Wish;
use crate::server::commands::blocking::{may_wait, wait};
use crate::server::commands::{answered, error, existing_graph, number};
use crate::worker::port::Demand;

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
            name: "id", arg_type: Integer, flags: [Optional, Multiple],
            summary: "Only these nodes, by the ids VECTORFILL.FAILURES lists.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn retry(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let [_, graph, ids @ ..] = args.as_slice() else {
            return error("ERR", "syntax: VECTORFILL.RETRY graph [id ...]");
        };
        let ids = ids.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        let ids = (!ids.is_empty()).then_some(ids);
        let graph = existing_graph(ctx, graph)?;
        may_wait(ctx, "VECTORFILL.RETRY")?;
        wait(ctx, Demand::Errand(graph, Wish::Lift { ids }), None)
    })
}

fn id(arg: &RedisString) -> Result<NodeId, RedisError> {
    let most = usize::try_from(i64::MAX).unwrap_or(usize::MAX);
    number("id", arg, 0..=most).map(|id| NodeId(id as u64))
}
