//! `VECTORFILL.STATUS [graph]`

use redis_module::{AclPermissions, Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use super::{answered, error, graph_name, may};
use crate::server::{status, with_worker};
use crate::worker::Worker;

#[command({
    name: "vectorfill.status",
    flags: [ReadOnly, AllowLoading, AllowStale, Fast],
    summary: "Tells what is pending, written and wrong, of all graphs or of one.",
    complexity: "O(G) with G the number of graphs",
    since: "0.1.0",
    arity: -1,
    key_spec: [{
        notes: "The graph is optional.",
        flags: [ReadOnly, Access],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [{
        name: "graph", arg_type: Key, key_spec_index: 0, flags: [Optional],
        summary: "Only this graph.",
    }],
    acl_categories: [Single("vectorfill")],
})]
fn status_command(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| match args.as_slice() {
        [_] => all(ctx),
        [_, graph] => one(graph),
        _ => Err(RedisError::WrongArity),
    })
}

fn all(ctx: &Context) -> RedisResult {
    match with_worker(Worker::published) {
        Some(published) => {
            Ok(status::status(&published, |graph| may(ctx, graph, &AclPermissions::ACCESS)))
        }
        None => error("ERR", "the worker is not running"),
    }
}

fn one(graph: &RedisString) -> RedisResult {
    let name = graph_name(graph)?;
    let published = with_worker(Worker::published);
    match published.as_ref().and_then(|published| published.snapshot.graphs.get(&name)) {
        Some(figures) => Ok(status::graph(figures)),
        None => error("NOGRAPH", format_args!("nothing is known of a graph '{name}'")),
    }
}
