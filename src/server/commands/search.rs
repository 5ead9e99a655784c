//! `VECTORFILL.SEARCH graph label k text`

use std::slice;

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use super::question::{self, Question};
use super::{answered, error, number};
use crate::engine;
use crate::engine::query::search::{self, with_vector};
use crate::engine::words::Asked;
use crate::server::graph::client_query::{Query, ask};

/// Most nodes of one search.
const MOST: usize = 10_000;

#[command({
    name: "vectorfill.search",
    flags: [ReadOnly],
    summary: "Finds the nodes of a label whose text is nearest to a text.",
    complexity: "One request to the embedding service, and O(log(N)) in the index",
    since: "0.1.0",
    arity: 5,
    key_spec: [{
        notes: "The graph.",
        flags: [ReadOnly, Access],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        { name: "graph", arg_type: Key, key_spec_index: 0 },
        { name: "label", arg_type: String },
        { name: "k", arg_type: Integer },
        { name: "text", arg_type: String },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn search(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let [_, graph, label, k, text] = args.as_slice() else {
            return error("ERR", "syntax: VECTORFILL.SEARCH graph label k text");
        };
        let k = number("k", k, 1..=MOST)?;
        let question = Question::new(ctx, "VECTORFILL.SEARCH")?;
        let graph = question::graph(ctx, graph, "VECTORFILL.SEARCH")?;
        let (rule, label) = (question.settings.rule.clone(), label.as_slice().to_vec());
        let model = question.embedder.model.clone();
        question.ask(ctx, slice::from_ref(text), None, move |client, vectors| {
            let vector = vectors.first().map(AsRef::as_ref).unwrap_or_default();
            let cypher = with_vector(&search::search(&rule, &label, k), vector);
            let asked = Asked { graph: graph.to_string(), model, dimensions: vector.len() };
            let index = format!("(:{}).{}", String::from_utf8_lossy(&label), rule.target.as_str());
            let query = Query { graph, cypher, compact: false, passed_on: false };
            ask(client, query, move |client, reply| match reply.error() {
                None => client.reply(Ok(found(reply.proto()))),
                Some(words) => client.reply(Err(RedisError::String(
                    asked.search_error(&index, &String::from_utf8_lossy(words)),
                ))),
            });
        })
    })
}

/// The reply: an array of `[id, score, text]`.
fn found(proto: &[u8]) -> RedisValue {
    let found = engine::reply(proto).map(|reply| search::found(&reply)).unwrap_or_default();
    let row = |(id, score, text): (i64, f64, Option<Vec<u8>>)| {
        let text = text.map_or(RedisValue::Null, RedisValue::StringBuffer);
        RedisValue::Array(vec![RedisValue::Integer(id), RedisValue::Float(score), text])
    };
    RedisValue::Array(found.into_iter().map(row).collect())
}
