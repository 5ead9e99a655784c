//! `VECTORFILL.FAILURES graph [RULE rule] [COUNT n]`
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.FAILURES graph [RULE rule] [COUNT n]
//! ```
//!
//! `n` is 1 to 10000, and 100 unless given. The reasons are read from the graph, so the client is
//! blocked until the engine has answered; there is no limit of time.
//!
//! # Reply
//!
//! ```text
//! > VECTORFILL.FAILURES kb COUNT 2
//! 1) 1) (integer) 17
//!    2) "…"
//! ```
//!
//! Each row has the rule as a third item if the rows belong to several rules.
//!
//! # Errors
//!
//! `NOGRAPH`, `NORULE`, `ERR` inside MULTI or a script, and what the server's state forbids.

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::fill::port::event::Failure;
use crate::rule::name::RuleName;
use crate::server::commands::args::{Args, number};
use crate::server::commands::blocking::{may_wait, wait};
use crate::server::commands::choose::rule_name;
use crate::server::commands::{answered, existing_graph};
use crate::server::status;
use crate::worker;

/// Maximum number of nodes listed without COUNT.
const DEFAULT: usize = 100;
/// Upper bound of COUNT: about a megabyte of reply.
const MAX: usize = 10_000;

#[command({
    name: "vectorfill.failures",
    flags: [ReadOnly],
    summary: "Lists the quarantined nodes and relationships of a graph, each with the reason.",
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
            name: "rule", arg_type: String, token: "RULE", flags: [Optional],
            summary: "Only what this rule fills.",
        },
        {
            name: "n", arg_type: Integer, token: "COUNT", flags: [Optional],
            summary: "Maximum number of nodes to list, 1 to 10000; the default is 100.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn failures(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let Request { graph, rule, most } = parse(&args)?;
        let graph = existing_graph(ctx, graph)?;
        may_wait(ctx, "VECTORFILL.FAILURES")?;
        wait(
            ctx,
            None,
            |user| worker::port::Request::List(graph, rule, most, user),
            |client, failures| client.reply(Ok(listed(failures))),
        )
    })
}

/// The reply: an array of `[id, reason]`, with the name of the rule where there are several.
fn listed(failures: Vec<Failure>) -> RedisValue {
    let first = failures.first().map(|failure| failure.rule.clone());
    let several = failures.iter().any(|failure| Some(&failure.rule) != first.as_ref());
    let row = |Failure { id, rule, words }: Failure| {
        let mut row = vec![status::integer(id.0), RedisValue::BulkString(words)];
        if several {
            row.push(RedisValue::BulkString(rule.to_string()));
        }
        RedisValue::Array(row)
    };
    RedisValue::Array(failures.into_iter().map(row).collect())
}

struct Request<'a> {
    graph: &'a RedisString,
    rule: Option<RuleName>,
    most: usize,
}

fn parse(args: &[RedisString]) -> Result<Request<'_>, RedisError> {
    let mut args = Args::new(args, "VECTORFILL.FAILURES graph [RULE rule] [COUNT n]");
    let graph = args.next()?;
    let rule = args.option("RULE")?.map(rule_name).transpose()?;
    let count = args.option("COUNT")?.map(|count| number("COUNT", count, 1..=MAX)).transpose()?;
    args.end()?;
    Ok(Request { graph, rule, most: count.unwrap_or(DEFAULT) })
}
