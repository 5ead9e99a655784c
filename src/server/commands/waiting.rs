//! A client that waits for the worker: blocked alone, and answered once.

use std::time::Duration;

use redis_module::{
    BlockedClient, Context, ContextFlags, RedisError, RedisResult, RedisValue, ThreadSafeContext,
};

use super::error;
use crate::fill::event::{Failure, Outcome, RunFault};
use crate::server::{status, with_worker};
use crate::worker::{Demand, Request, WaitFault, Waiter};

/// How long a user waits; `None` = as long as it takes.
pub(super) type Limit = Option<Duration>;

/// Leaves a request that nobody waits for.
pub(super) fn leave(demand: Demand) -> Result<(), RedisError> {
    hand_over(Request { demand, waiter: None })
}

/// Blocks the client until the worker has done what is demanded.
pub(super) fn wait(ctx: &Context, demand: Demand, limit: Limit) -> RedisResult {
    let client = ThreadSafeContext::with_blocked_client(ctx.block_client());
    let waiter = Client { client, answered: false };
    // Not taken, the waiter is dropped and answers by itself.
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

/// A blocked client. Whatever happens to it, it is answered once.
struct Client {
    client: ThreadSafeContext<BlockedClient>,
    answered: bool,
}

impl Client {
    fn reply(&mut self, result: RedisResult) {
        self.answered = true;
        self.client.reply(result);
    }
}

impl Waiter for Client {
    fn answer(mut self: Box<Self>, outcome: Result<Outcome, WaitFault>) {
        self.reply(match outcome {
            Ok(outcome) => Ok(value(outcome)),
            Err(WaitFault::Run(run)) => fault(&run),
            Err(WaitFault::Timeout) => error("TIMEOUT", "the pass goes on: see VECTORFILL.STATUS"),
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.answered {
            self.reply(error("ERR", "the worker did not take it up: see VECTORFILL.STATUS"));
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
        RunFault::Loading => "LOADING",
        RunFault::NoEngine => "NOENGINE",
        RunFault::NoGraph(_) => "NOGRAPH",
        RunFault::Late { .. } => "TIMEOUT",
        RunFault::Busy | RunFault::Store(_) => "ERR",
    };
    error(code, fault)
}
