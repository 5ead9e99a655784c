//! Commands that wait for the worker, keeping their client blocked.
//!
//! The main thread never waits. A command leaves its request in the worker's queue and returns; the
//! answer comes later, from the worker's thread. If the queue is full, the request is dropped and
//! its client gets an error at once, so no client can hang on a request that nobody has.

use std::time::Duration;

use redis_module::{Context, ContextFlags, RedisError, RedisResult, RedisValue};

use crate::fill::port::server::RunFault;
use crate::server::blocked_client::Client;
use crate::server::commands::error;
use crate::server::handle::with_worker;
use crate::worker::port::{Envelope, Request, Responder, WaitFault};

/// How long a user waits; `None` = without a limit.
pub(super) type Limit = Option<Duration>;

/// Blocks the client until the worker has served the request, then runs `then` on the answer.
pub(super) fn wait<T>(
    ctx: &Context,
    limit: Limit,
    request: impl FnOnce(Envelope<T>) -> Request,
    then: impl FnOnce(Client, T) + Send + 'static,
) -> RedisResult {
    let responder = Box::new(Then { client: Client::block(ctx, limit), then });
    // If the worker does not accept it, the client is dropped, which answers it with an error.
    hand_over(request(Envelope { responder, limit })).ok();
    Ok(RedisValue::NoReply)
}

/// Refuses where a client cannot be blocked; the error names `what`.
pub(super) fn may_wait(ctx: &Context, what: &str) -> Result<(), RedisError> {
    let cannot_block = ContextFlags::MULTI | ContextFlags::LUA | ContextFlags::DENY_BLOCKING;
    if ctx.get_flags().intersects(cannot_block) {
        return error("ERR", format_args!("{what} is not possible inside MULTI or a script"));
    }
    Ok(())
}

/// Leaves a request for the worker.
pub(super) fn hand_over(request: Request) -> Result<(), RedisError> {
    match with_worker(|worker| worker.request(request)) {
        Some(Ok(())) => Ok(()),
        Some(Err(e)) => error("ERR", e),
        None => error("ERR", "the worker is not running"),
    }
}

struct Then<F> {
    client: Client,
    then: F,
}

impl<T, F: FnOnce(Client, T) + Send> Responder<T> for Then<F> {
    fn is_gone(&self) -> bool {
        self.client.is_gone()
    }

    fn respond(self: Box<Self>, outcome: Result<T, WaitFault>) {
        let Self { client, then } = *self;
        match outcome {
            Ok(answer) => then(client, answer),
            Err(WaitFault::Run(run)) => client.reply(fault(&run)),
            Err(WaitFault::Timeout) => {
                client.reply(error("TIMEOUT", "the work continues: see VECTORFILL.STATUS"));
            }
        }
    }
}

/// A fault as an error reply, with its code word.
pub(super) fn fault<T>(fault: &RunFault) -> Result<T, RedisError> {
    let code = match fault {
        RunFault::Disabled => "DISABLED",
        RunFault::Replica => "READONLY",
        RunFault::Loading | RunFault::Settling => "LOADING",
        RunFault::NoEngine | RunFault::Foreign => "NOENGINE",
        RunFault::NoGraph(_) => "NOGRAPH",
        RunFault::NoRule(..) | RunFault::NoRules(_) => "NORULE",
        RunFault::Late { .. } => "TIMEOUT",
        RunFault::Embed(_) => "EMBED",
        RunFault::Busy | RunFault::Store(_) | RunFault::NoEmbedder(_) => "ERR",
    };
    error(code, fault)
}
