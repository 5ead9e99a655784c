//! `VECTORFILL.SEARCH graph rule|label k text`
//!
//! The text is embedded by the worker; then one or more queries run on the engine's own threads.
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.SEARCH graph rule|label k text
//! ```
//!
//! `k` is 1 to 10000. A word that is the name of a rule means the rule, even if it is a label as
//! well.
//!
//! # Reply
//!
//! Rows `[id, score, text]`, the nearest first: the score is a distance, so smaller is nearer.
//! Relationships have `source` and `target` in addition.
//!
//! ```text
//! > VECTORFILL.SEARCH kb Doc 1 "When does the boat go?"
//! 1) 1) (integer) 42
//!    2) "0.2113"
//!    3) "The boat leaves at noon."
//! ```
//!
//! # Errors
//!
//! `NOGRAPH`, `NORULE` if no rule applies to the graph, `NOKEY`, `NOENGINE`, `NOPERM` if the user
//! may not run `GRAPH.RO_QUERY` there, `EMBED`, `TIMEOUT`, and `ERR` if there is no vector index to
//! search.

use std::slice;

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::engine::Text;
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
    summary: "Finds the nodes or relationships whose text is nearest to a text.",
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
        {
            name: "rule-or-label", arg_type: String,
            summary: "The name of a rule, or else a label or type.",
        },
        { name: "k", arg_type: Integer },
        { name: "text", arg_type: String },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn search(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let mut args = Args::new(&args, "VECTORFILL.SEARCH graph rule|label k text");
        let [graph, label, k, text] = [args.next()?, args.next()?, args.next()?, args.next()?];
        args.end()?;
        let k = number("k", k, 1..=MAX_K)?;
        let current = current()?;
        let (rule, label) = choose::searched(&current, &graph_name(graph)?, label)?;
        let labels = labels(&rule, label)?;
        let embedder = rule.embedder.clone();
        let question = TextQuery::new(ctx, "VECTORFILL.SEARCH", &current, embedder)?;
        let graph = text_query::graph(ctx, graph, "VECTORFILL.SEARCH")?;
        let question = question.for_rule(&rule, &graph);
        let model = question.model();
        question.ask(ctx, slice::from_ref(text), None, move |client, vectors| {
            let vector = vectors.first().map(AsRef::as_ref).unwrap_or_default();
            let index = index_name(&rule, &labels);
            let asked = Asked { graph: graph.to_string(), model, dimensions: vector.len(), index };
            match Search::new(&rule, labels, k, vector, index_forgets()) {
                Some(search) => go_on(client, graph, search, asked),
                None => client.reply(error("ERR", asked.no_index())),
            }
        })
    })
}

/// The labels or types to search; a rule that fills any does not say which.
fn labels(rule: &Rule, label: Option<String>) -> Result<Vec<String>, RedisError> {
    match (label, rule.pattern.names()) {
        (Some(label), _) => Ok(vec![label]),
        (None, []) => {
            let kind = if rule.pattern.is_relationships() { "type" } else { "label" };
            error("ERR", format_args!("the rule '{}' fills any {kind}: name one", rule.name))
        }
        (None, names) => Ok(names.iter().map(|name| name.as_str().to_owned()).collect()),
    }
}

/// What is searched, for error messages.
fn index_name(rule: &Rule, labels: &[String]) -> String {
    let (labels, target) = (labels.join("|"), rule.target.as_str());
    if rule.pattern.is_relationships() {
        return format!("()-[:{labels}]-().{target}");
    }
    format!("(:{labels}).{target}")
}

/// Runs the search's queries one after the other until it has its result, and replies.
fn go_on(client: Client, graph: GraphName, search: Search, asked: Asked) {
    let Text { cypher, compact } = search.text();
    let query = Query { graph: graph.clone(), cypher, compact, passed_on: false };
    ask(client, query, move |client, reply| {
        let next = match reply.error() {
            None => Value::parse(reply.proto()).map_or(Next::NoIndex, |reply| search.learn(&reply)),
            Some(words) => match search.fail(&asked, &String::from_utf8_lossy(words)) {
                Ok(next) => next,
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

/// The reply: an array of `[id, score, text]`; of relationships,
/// `[id, score, text, source, target]`.
fn listed(found: Vec<Found>) -> RedisValue {
    let number = |id: u64| RedisValue::Integer(i64::try_from(id).unwrap_or(i64::MAX));
    let row = |Found { id, score, text, ends }: Found| {
        let text = text.map_or(RedisValue::Null, RedisValue::StringBuffer);
        let mut row = vec![RedisValue::Integer(id), RedisValue::Float(score), text];
        row.extend(ends.into_iter().flat_map(|ends| [ends.source, ends.target]).map(number));
        RedisValue::Array(row)
    };
    RedisValue::Array(found.into_iter().map(row).collect())
}
