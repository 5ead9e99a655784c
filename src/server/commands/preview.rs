//! Carries the queries of a preview to the engine, for a client that waits.
//!
//! A preview is a short dialogue: each reply decides the next query. Between two of them the server
//! is free, so the counts and the sample may stem from slightly different moments.

use std::sync::Arc;
use std::time::Duration;

use redis_module::RedisError;

use crate::engine::Text;
use crate::engine::query::preview::{Next, Preview, Seen};
use crate::engine::value::Value;
use crate::engine::words::Asked;
use crate::entity::GraphName;
use crate::rule::Rule;
use crate::server::blocked_client::Client;
use crate::server::commands::error;
use crate::server::graph::client_query::{Query, ask};

/// The longest a preview may take: it counts a whole graph on one of the engine's threads.
pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// Runs a preview's queries one after the other, then `then` on what was seen. What the engine
/// refuses is answered in its own words.
pub(super) fn look(
    client: Client,
    graph: GraphName,
    preview: Preview,
    then: impl FnOnce(Client, Seen) + Send + 'static,
) {
    if client.is_gone() {
        return;
    }
    let Text { cypher, compact } = preview.text();
    let query = Query { graph: graph.clone(), cypher, compact, passed_on: false };
    ask(client, query, move |client, reply| {
        if let Some(words) = reply.error() {
            let words = asked(&graph).error(&String::from_utf8_lossy(words));
            return client.reply(Err(RedisError::String(words)));
        }
        match Value::parse(reply.proto()).map(|reply| preview.learn(&reply)) {
            Some(Next::Ask(preview)) => look(client, graph, preview, then),
            Some(Next::Seen(seen)) => then(client, seen),
            None => client.reply(error("ERR", "the engine's reply is cut off")),
        }
    });
}

/// What is done with what was seen by each rule.
pub(super) type Then = Box<dyn FnOnce(Client, Vec<(Arc<Rule>, Seen)>) + Send>;

/// Runs the previews of several rules, and `then` on what was seen of each.
pub(super) fn look_at_each(
    client: Client,
    graph: GraphName,
    mut rules: Vec<Arc<Rule>>,
    mut done: Vec<(Arc<Rule>, Seen)>,
    then: Then,
) {
    let Some(rule) = rules.pop() else { return then(client, done) };
    let preview = Preview::new(&rule, false);
    look(client, graph.clone(), preview, move |client, seen| {
        done.push((rule, seen));
        look_at_each(client, graph, rules, done, then);
    });
}

fn asked(graph: &GraphName) -> Asked {
    let (model, index) = (String::new(), String::new());
    Asked { graph: graph.to_string(), model, dimensions: 0, index }
}
