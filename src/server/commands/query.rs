//! `VECTORFILL.QUERY graph cypher TEXT text [RULE rule | EMBEDDER name] [TIMEOUT ms] [--compact]`
//!
//! The text is embedded first, by the worker; then the query runs on the engine's own threads. The
//! user's limit covers both.
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.QUERY graph cypher TEXT text [RULE rule | EMBEDDER name] [TIMEOUT ms] [--compact]
//! ```
//!
//! `ms` is 1 to 86400000, a day; twice the request timeout without it. Of `RULE` and `EMBEDDER`,
//! the last one counts; without either, the rules of the graph must share one embedder.
//!
//! # Reply
//!
//! That of `GRAPH.RO_QUERY`, byte for byte, in the client's protocol version. Inside the query,
//! `$vector` is the vector of the text, as a list of numbers:
//!
//! ```text
//! > VECTORFILL.QUERY kb "MATCH (n:Doc) RETURN size($vector) LIMIT 1" TEXT "a boat"
//! ```
//!
//! # Errors
//!
//! `NOGRAPH`, `NORULE`, `NOKEY`, `NOENGINE`, `NOPERM` if the user may not run `GRAPH.RO_QUERY`
//! there, `EMBED`, `TIMEOUT`, and whatever the engine says of the query.

use std::slice;

use redis_module::{Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use crate::engine::query::search::with_vector;
use crate::engine::words::Asked;
use crate::server::commands::args::Args;
use crate::server::commands::blocking::Limit;
use crate::server::commands::text_query::TextQuery;
use crate::server::commands::{answered, choose, current, graph_name, text_query};
use crate::server::graph::client_query::{Query, ask};

#[command({
    name: "vectorfill.query",
    flags: [ReadOnly],
    summary: "Embeds a text and runs a read-only query with it as $vector.",
    complexity: "One request to the embedding service, and what GRAPH.RO_QUERY takes",
    since: "0.1.0",
    arity: -5,
    key_spec: [{
        notes: "The graph.",
        flags: [ReadOnly, Access],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        { name: "graph", arg_type: Key, key_spec_index: 0 },
        { name: "cypher", arg_type: String },
        { name: "text", arg_type: String, token: "TEXT" },
        {
            name: "rule", arg_type: String, token: "RULE", flags: [Optional],
            summary: "The rule whose embedder is asked.",
        },
        {
            name: "embedder", arg_type: String, token: "EMBEDDER", flags: [Optional],
            summary: "The embedder that is asked.",
        },
        { name: "ms", arg_type: Integer, token: "TIMEOUT", flags: [Optional] },
        { name: "compact", arg_type: PureToken, token: "--compact", flags: [Optional] },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn query(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let request = parse(&args)?;
        let current = current()?;
        let name = graph_name(request.graph)?;
        let embedder = match request.by {
            Some(By::Embedder(arg)) => choose::embedder_name(&current, arg)?,
            Some(By::Rule(arg)) => {
                choose::rule(&current, &name, &choose::rule_name(arg)?)?.embedder.clone()
            }
            None => choose::embedder(&current, &name)?,
        };
        let question = TextQuery::new(ctx, "VECTORFILL.QUERY", &current, embedder)?;
        let graph = text_query::graph(ctx, request.graph, "VECTORFILL.QUERY")?;
        let (text, model) = (slice::from_ref(request.text), question.model());
        let (cypher, compact) = (request.cypher.as_slice().to_vec(), request.compact);
        question.ask(ctx, text, request.limit, move |client, vectors| {
            let vector = vectors.first().map(AsRef::as_ref).unwrap_or_default();
            let cypher = with_vector(&cypher, vector);
            let (dimensions, index) = (vector.len(), String::new());
            let asked = Asked { graph: graph.to_string(), model, dimensions, index };
            let query = Query { graph, cypher, compact, passed_on: true };
            ask(client, query, move |client, reply| match reply.error() {
                None => client.pass_on(&reply),
                Some(words) => client
                    .reply(Err(RedisError::String(asked.error(&String::from_utf8_lossy(words))))),
            });
        })
    })
}

struct Request<'a> {
    graph: &'a RedisString,
    cypher: &'a RedisString,
    text: &'a RedisString,
    by: Option<By<'a>>,
    limit: Limit,
    compact: bool,
}

/// Whose embedder is asked.
enum By<'a> {
    Rule(&'a RedisString),
    Embedder(&'a RedisString),
}

const SYNTAX: &str =
    "VECTORFILL.QUERY graph cypher TEXT text [RULE rule | EMBEDDER name] [TIMEOUT ms] [--compact]";

fn parse(args: &[RedisString]) -> Result<Request<'_>, RedisError> {
    let mut args = Args::new(args, SYNTAX);
    let (graph, cypher) = (args.next()?, args.next()?);
    let Some(text) = args.option("TEXT")? else { return args.refuse() };
    let mut request = Request { graph, cypher, text, by: None, limit: None, compact: false };
    while args.len() > 0 {
        if args.flag("--compact") {
            request.compact = true;
        } else if let Some(ms) = args.option("TIMEOUT")? {
            request.limit = Some(text_query::limit(ms)?);
        } else if let Some(rule) = args.option("RULE")? {
            request.by = Some(By::Rule(rule));
        } else if let Some(embedder) = args.option("EMBEDDER")? {
            request.by = Some(By::Embedder(embedder));
        } else {
            return args.refuse();
        }
    }
    Ok(request)
}
