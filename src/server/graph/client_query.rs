//! Runs a query that a client waits for, on the engine's own threads.

use redis_module::{RedisError, RedisResult};

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::server::blocked_client::Client;
use crate::server::ffi::call::{Mode, Reply};
use crate::server::graph::hold::post;
use crate::server::handle::guarded;

/// A read-only query.
pub(in crate::server) struct Query {
    /// The graph it runs on.
    pub(in crate::server) graph: GraphName,
    /// The query's text.
    pub(in crate::server) cypher: Vec<u8>,
    /// Whether to ask for the compact reply format that client libraries use.
    pub(in crate::server) compact: bool,
    /// Whether the reply is forwarded unchanged, and so must use the client's protocol version.
    pub(in crate::server) passed_on: bool,
}

/// Starts a query; `answer` will reply to the client with its result. Does not wait for it.
///
/// What is left of the client's limit, if it has one, goes along as the engine's own timeout, in
/// milliseconds, so that the engine ends the query itself. With nothing left, the reply is
/// `TIMEOUT` and no query is made. The client gets `LOADING` while the server loads, and an error
/// if the server takes no job. `answer` runs on the main thread.
pub(in crate::server) fn ask(
    client: Client,
    query: Query,
    answer: impl FnOnce(Client, Reply) + Send + 'static,
) {
    post(move |held| {
        let hold = match held {
            Ok(hold) => hold,
            Err(fault) => return client.reply(refusal(&fault)),
        };
        let left = client.time_left().map(|left| left.as_millis());
        if left == Some(0) {
            return client.reply(Err(RedisError::Str(
                "TIMEOUT what came before this query took all of the time",
            )));
        }
        let timeout = left.map(|ms| ms.to_string());
        let mut args: Vec<&[u8]> = vec![query.graph.as_str().as_bytes(), &query.cypher];
        if query.compact {
            args.push(b"--compact");
        }
        if let Some(timeout) = &timeout {
            args.extend([b"timeout", timeout.as_bytes()]);
        }
        let resp3 = query.passed_on && client.speaks_resp3();
        let mode = if resp3 { Mode::PoolResp3 } else { Mode::Pool };
        hold.query_on_pool(mode, &args, move |reply| {
            // Without a reply the client is dropped, which answers it with an error.
            guarded((), || {
                if let Some(reply) = reply {
                    answer(client, reply);
                }
            });
        });
    });
}

fn refusal(fault: &StoreFault) -> RedisResult {
    let code = if *fault == StoreFault::Loading { "LOADING" } else { "ERR" };
    Err(RedisError::String(format!("{code} {fault}")))
}
