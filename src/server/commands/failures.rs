//! `VECTORFILL.FAILURES graph [COUNT n]`

use redis_module::{Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use crate::fill::port::event::Wish;
use crate::server::commands::blocking::{may_wait, wait};
use crate::server::commands::{answered, error, existing_graph, number};
use crate::worker::port::Demand;

/// Nodes that are listed when nobody says how many.
const DEFAULT: usize = 100;
/// Most that one reply lists: a megabyte or so.
const MOST: usize = 10_000;

#[command({
    name: "vectorfill.failures",
    flags: [ReadOnly],
    summary: "Lists the quarantined nodes of a graph, each with the service's words.",
    complexity: "O(N) with N the number of node ids in the graph, on the engine's own threads",
    since: "0.1.0",
    arity: -2,
    key_spec: [{
        notes: "The graph.",
        flags: [ReadOnly, Access],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        { name: "graph", arg_type: Key, key_spec_index: 0 },
        {
            name: "n", arg_type: Integer, token: "COUNT", flags: [Optional],
            summary: "Most nodes to list, 1 to 10000; 100 without it.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn failures(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let (graph, most) = parse(&args)?;
        let graph = existing_graph(ctx, graph)?;
        may_wait(ctx, "VECTORFILL.FAILURES")?;
        wait(ctx, Demand::Errand(graph, Wish::List { most }), None)
    })
}

fn parse(args: &[RedisString]) -> Result<(&RedisString, usize), RedisError> {
    match args {
        [_, graph] => Ok((graph, DEFAULT)),
        [_, graph, word, count] if word.as_slice().eq_ignore_ascii_case(b"COUNT") => {
            Ok((graph, number("COUNT", count, 1..=MOST)?))
        }
        _ => error("ERR", "syntax: VECTORFILL.FAILURES graph [COUNT n]"),
    }
}
