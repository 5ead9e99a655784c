//! `VECTORFILL.QUERY graph cypher TEXT text [TIMEOUT ms] [--compact]`

use std::slice;

use redis_module::{Context, RedisError, RedisResult, RedisString};
use redis_module_macros::command;

use crate::engine::query::search::with_vector;
use crate::engine::words::Asked;
use crate::server::commands::blocking::Limit;
use crate::server::commands::question::Question;
use crate::server::commands::{answered, error, question};
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
        { name: "ms", arg_type: Integer, token: "TIMEOUT", flags: [Optional] },
        { name: "compact", arg_type: PureToken, token: "--compact", flags: [Optional] },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn query(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let request = parse(&args)?;
        let question = Question::new(ctx, "VECTORFILL.QUERY")?;
        let graph = question::graph(ctx, request.graph, "VECTORFILL.QUERY")?;
        let (text, model) =
            (slice::from_ref(request.text), question.current.embedder.model.clone());
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
    limit: Limit,
    compact: bool,
}

fn parse(args: &[RedisString]) -> Result<Request<'_>, RedisError> {
    let is = |arg: &RedisString, word: &[u8]| arg.as_slice().eq_ignore_ascii_case(word);
    let [_, graph, cypher, word, text, options @ ..] = args else { return syntax() };
    if !is(word, b"TEXT") {
        return syntax();
    }
    let mut request = Request { graph, cypher, text, limit: None, compact: false };
    let mut rest = options;
    while let [word, behind @ ..] = rest {
        rest = behind;
        if is(word, b"--compact") {
            request.compact = true;
        } else if let ([ms, behind @ ..], true) = (behind, is(word, b"TIMEOUT")) {
            request.limit = Some(question::limit(ms)?);
            rest = behind;
        } else {
            return syntax();
        }
    }
    Ok(request)
}

fn syntax<T>() -> Result<T, RedisError> {
    error("ERR", "syntax: VECTORFILL.QUERY graph cypher TEXT text [TIMEOUT ms] [--compact]")
}
