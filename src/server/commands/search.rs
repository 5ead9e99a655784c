//! `VECTORFILL.SEARCH graph label k text`

use std::slice;

use redis_module::{CallResult, Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use super::query::Asked;
use super::question::{self, Question};
use super::{answered, error, number};
use crate::fill::cypher;
use crate::server::graph::ask::{Query, ask};
use crate::server::reply;

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
        let graph = question::graph(ctx, graph)?;
        let (rule, label) = (question.settings.rule.clone(), label.as_slice().to_vec());
        let model = question.embedder.model.clone();
        question.ask(ctx, slice::from_ref(text), None, move |client, vectors| {
            let vector = vectors.first().map(AsRef::as_ref).unwrap_or_default();
            let cypher = cypher::with_vector(&cypher::search(&rule, &label, k), vector);
            let asked = Asked { graph: graph.to_string(), model, dimensions: vector.len() };
            let index = format!("(:{}).{}", String::from_utf8_lossy(&label), rule.target.as_str());
            let query = Query { graph, cypher, compact: false, passed_on: false };
            let read = Box::new(move |result: CallResult<'static>| match result {
                Ok(reply) => Ok(reply::found(&reply::Node::from(Ok(reply)))),
                Err(e) => Err(explain(&asked, &index, &String::from_utf8_lossy(e.as_bytes()))),
            });
            ask(client, &query, read);
        })
    })
}

/// The engine says of a missing index only that an argument is invalid.
fn explain(asked: &Asked, index: &str, words: &str) -> RedisError {
    if words.contains("Invalid arguments for procedure") {
        let hint = "is the label right, and has a pass ended? see VECTORFILL.STATUS";
        return RedisError::String(format!("ERR there is no vector index on {index}: {hint}"));
    }
    asked.error(words)
}
