//! `VECTORFILL.SEARCH graph label k text`

use std::slice;

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::engine::query::search::{Found, Next, Search};
use crate::engine::value::Value;
use crate::engine::words::Asked;
use crate::entity::GraphName;
use crate::rule::Rule;
use crate::server::blocked_client::Client;
use crate::server::commands::args::{Args, number};
use crate::server::commands::text_query::TextQuery;
use crate::server::commands::{answered, choose, current, error, graph_name, text_query};
use crate::server::graph::client_query::{Query, ask};
use crate::server::graph::index_forgets;

/// Maximum number of results per search.
const MAX_K: usize = 10_000;

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
        let mut args = Args::new(&args, "VECTORFILL.SEARCH graph label k text");
        let [graph, label, k, text] = [args.next()?, args.next()?, args.next()?, args.next()?];
        args.end()?;
        let k = number("k", k, 1..=MAX_K)?;
        let current = current()?;
        let (rule, label) = choose::searched(&current, &graph_name(graph)?, label)?;
        let label = only_label(&rule, label)?;
        let embedder = rule.embedder.clone();
        let question = TextQuery::new(ctx, "VECTORFILL.SEARCH", &current, embedder)?;
        let graph = text_query::graph(ctx, graph, "VECTORFILL.SEARCH")?;
        let question = question.for_rule(&rule, &graph);
        let model = question.model();
        question.ask(ctx, slice::from_ref(text), None, move |client, vectors| {
            let vector = vectors.first().map(AsRef::as_ref).unwrap_or_default();
            let search = Search::new(&rule, label.as_bytes(), k, vector, index_forgets());
            let index = format!("(:{label}).{}", rule.target.as_str());
            let asked = Asked { graph: graph.to_string(), model, dimensions: vector.len(), index };
            go_on(client, graph, search, asked);
        })
    })
}

/// The label to search; a rule with several, or with none, does not say which.
fn only_label(rule: &Rule, label: Option<String>) -> Result<String, RedisError> {
    match (label, rule.pattern.names()) {
        (Some(label), _) => Ok(label),
        (None, [only]) => Ok(only.as_str().to_owned()),
        (None, _) => {
            let words = format!("the rule '{}' fills several labels: name one", rule.name);
            error("ERR", words)
        }
    }
}

/// Runs the search's queries one after the other until it has its result, and replies.
fn go_on(client: Client, graph: GraphName, search: Search, asked: Asked) {
    let cypher = search.text();
    let query = Query { graph: graph.clone(), cypher, compact: false, passed_on: false };
    ask(client, query, move |client, reply| {
        let next = match reply.error() {
            None => Value::parse(reply.proto()).map_or(Next::NoIndex, |reply| search.learn(&reply)),
            Some(words) => match search.fail(&asked, &String::from_utf8_lossy(words)) {
                Ok(search) => Next::Ask(search),
                Err(words) => return client.reply(Err(RedisError::String(words))),
            },
        };
        match next {
            Next::Found(found) => client.reply(Ok(listed(found))),
            Next::Ask(search) => go_on(client, graph, search, asked),
            Next::NoIndex => client.reply(error("ERR", asked.no_index())),
        }
    });
}

/// The reply: an array of `[id, score, text]`.
fn listed(found: Vec<Found>) -> RedisValue {
    let row = |Found { id, score, text }: Found| {
        let text = text.map_or(RedisValue::Null, RedisValue::StringBuffer);
        RedisValue::Array(vec![RedisValue::Integer(id), RedisValue::Float(score), text])
    };
    RedisValue::Array(found.into_iter().map(row).collect())
}
