//! Commands that wait for the worker, with their client blocked meanwhile.

use std::time::Duration;

use redis_module::{Context, ContextFlags, RedisError, RedisResult, RedisValue};

use crate::fill::port::event::{Failure, Outcome, RunFault};
use crate::server::blocked_client::Client;
use crate::server::commands::error;
use crate::server::handle::with_worker;
use crate::server::status;
use crate::worker::port::{Demand, Request, WaitFault, Waiter};

/// How long a user waits; `None` = as long as it takes.
pub(super) type Limit = Option<Duration>;

/// Leaves a request that nobody waits for.
pub(super) fn leave(demand: Demand) -> Result<(), RedisError> {
    hand_over(Request { demand, waiter: None })
}

/// Blocks the client until the worker has done what is demanded.
pub(super) fn wait(ctx: &Context, demand: Demand, limit: Limit) -> RedisResult {
    wait_then(ctx, demand, limit, |client, outcome| client.reply(Ok(value(outcome))))
}

/// Blocks the client, and does `then` with it when the worker is done.
pub(super) fn wait_then(
    ctx: &Context,
    demand: Demand,
    limit: Limit,
    then: impl FnOnce(Client, Outcome) + Send + 'static,
) -> RedisResult {
    let waiter = Then { client: Client::block(ctx, limit), then };
    // Not taken, the client is dropped and answered by that.
    hand_over(Request { demand, waiter: Some((Box::new(waiter), limit)) }).ok();
    Ok(RedisValue::NoReply)
}

/// Refuses where a client cannot be blocked; `what` is to be named.
pub(super) fn may_wait(ctx: &Context, what: &str) -> Result<(), RedisError> {
    let cannot_block = ContextFlags::MULTI | ContextFlags::LUA | ContextFlags::DENY_BLOCKING;
    if ctx.get_flags().intersects(cannot_block) {
        return error("ERR", format_args!("{what} is not possible inside MULTI or a script"));
    }
    Ok(())
}

fn hand_over(request: Request) -> Result<(), RedisError> {
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

impl<F: FnOnce(Client, Outcome) + Send> Waiter for Then<F> {
    fn answer(self: Box<Self>, outcome: Result<Outcome, WaitFault>) {
        let Self { client, then } = *self;
        match outcome {
            Ok(outcome) => then(client, outcome),
            Err(WaitFault::Run(run)) => client.reply(fault(&run)),
            Err(WaitFault::Timeout) => {
                client.reply(error("TIMEOUT", "it goes on: see VECTORFILL.STATUS"));
            }
        }
    }
}

fn value(outcome: Outcome) -> RedisValue {
    match outcome {
        Outcome::Pass(tally) => status::tally(&tally),
        Outcome::Lifted(nodes) => status::integer(nodes),
        Outcome::Failures(failures) => {
            RedisValue::Array(failures.into_iter().map(failure).collect())
        }
        // Who asks for vectors makes the reply of them.
        Outcome::Vectors(_) => RedisValue::Null,
    }
}

fn failure(failure: Failure) -> RedisValue {
    let words = RedisValue::BulkString(failure.words);
    RedisValue::Array(vec![status::integer(failure.id.0), words])
}

/// Why nothing can be, as an error reply.
pub(super) fn fault<T>(fault: &RunFault) -> Result<T, RedisError> {
    let code = match fault {
        RunFault::Disabled => "DISABLED",
        RunFault::Replica => "READONLY",
        RunFault::Loading | RunFault::Settling => "LOADING",
        RunFault::NoEngine | RunFault::Foreign => "NOENGINE",
        RunFault::NoGraph(_) => "NOGRAPH",
        RunFault::Late { .. } => "TIMEOUT",
        RunFault::Embed(_) => "EMBED",
        RunFault::Busy | RunFault::Store(_) => "ERR",
    };
    error(code, fault)
}
