//! `VECTORFILL.FAILURES graph [COUNT n]`

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::fill::port::event::Failure;
use crate::server::commands::args::{Args, number};
use crate::server::commands::blocking::{may_wait, wait};
use crate::server::commands::{answered, existing_graph};
use crate::server::status;
use crate::worker::port::Request;

/// Maximum number of nodes listed without COUNT.
const DEFAULT: usize = 100;
/// Upper bound of COUNT: about a megabyte of reply.
const MAX: usize = 10_000;

#[command({
    name: "vectorfill.failures",
    flags: [ReadOnly],
    summary: "Lists the quarantined nodes of a graph, each with the reason.",
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
            summary: "Maximum number of nodes to list, 1 to 10000; the default is 100.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn failures(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let (graph, most) = parse(&args)?;
        let graph = existing_graph(ctx, graph)?;
        may_wait(ctx, "VECTORFILL.FAILURES")?;
        wait(
            ctx,
            None,
            |user| Request::List(graph, most, user),
            |client, failures| {
                client.reply(Ok(RedisValue::Array(failures.into_iter().map(listed).collect())));
            },
        )
    })
}

fn listed(failure: Failure) -> RedisValue {
    let words = RedisValue::BulkString(failure.words);
    RedisValue::Array(vec![status::integer(failure.id.0), words])
}

fn parse(args: &[RedisString]) -> Result<(&RedisString, usize), RedisError> {
    let mut args = Args::new(args, "VECTORFILL.FAILURES graph [COUNT n]");
    let graph = args.next()?;
    let count = args.option("COUNT")?.map(|count| number("COUNT", count, 1..=MAX)).transpose()?;
    args.end()?;
    Ok((graph, count.unwrap_or(DEFAULT)))
}
