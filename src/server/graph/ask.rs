//! A query that a client waits for, on the engine's own threads.

use redis_module::{CallOptionResp, CallOptionsBuilder, CallResult, RedisError, RedisResult};

use super::{CONTEXT, query_on_pool};
use crate::fill::node::GraphName;
use crate::server::client::Client;
use crate::server::guarded;

/// What makes a reply of the engine's.
pub(in crate::server) type Reading = Box<dyn FnOnce(CallResult<'static>) -> RedisResult + Send>;

/// A read-only query.
pub(in crate::server) struct Query {
    pub(in crate::server) graph: GraphName,
    /// The query's text.
    pub(in crate::server) cypher: Vec<u8>,
    /// Whether the reply is to be made for a client library.
    pub(in crate::server) compact: bool,
    /// Whether the reply is passed on as it is, and so has to be in the client's own protocol.
    pub(in crate::server) passed_on: bool,
}

/// Runs a query and answers the client with what `read` makes of the reply. Does not wait for it.
#[expect(clippy::disallowed_methods, reason = "beside server/graph.rs the one place")]
pub(in crate::server) fn ask(client: Client, query: &Query, read: Reading) {
    let left = client.time_left().map(|left| left.as_millis());
    if left == Some(0) {
        return client.reply(Err(RedisError::Str("TIMEOUT the embedding took all of the time")));
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
    let resp = if resp3 { CallOptionResp::Resp3 } else { CallOptionResp::Resp2 };
    let options = CallOptionsBuilder::new().errors_as_replies().resp(resp).build_blocking();
    let Some(context) = CONTEXT.load_full() else { return };
    let gil = context.lock();
    let answer = move |result: CallResult<'static>| {
        let failed = Err(RedisError::Str("ERR vectorfill failed unexpectedly"));
        client.reply(guarded(failed, || read(result)));
    };
    query_on_pool(&gil, &options, &args, answer);
}
