//! A blocked client: it alone waits, and it is answered exactly once, whatever happens to its
//! request.

use std::time::{Duration, Instant};

use redis_module::{Context, ContextFlags, RedisError, RedisResult};

use crate::server::ffi::call::Reply;
use crate::server::ffi::client::{Blocked, Gone};

/// The client of one command.
///
/// Answered from any thread. Dropped unanswered, it sends an error, so no path can leave a user
/// hanging.
pub(super) struct Client {
    /// `None` = the server could not block it, and has already replied with an error.
    blocked: Option<Blocked>,
    gone: Gone,
    answered: bool,
    speaks_resp3: bool,
    until: Option<Instant>,
}

impl Client {
    /// Blocks the client of the command that runs now; `limit` is the longest the user is willing
    /// to wait.
    pub(super) fn block(ctx: &Context, limit: Option<Duration>) -> Self {
        let blocked = Blocked::new(ctx);
        Self {
            gone: blocked.as_ref().map(Blocked::gone).unwrap_or_default(),
            blocked,
            answered: false,
            speaks_resp3: ctx.get_flags().contains(ContextFlags::FLAGS_RESP3),
            until: limit.map(|limit| Instant::now() + limit),
        }
    }

    /// Whether the client has disconnected.
    ///
    /// Worth asking before each step that costs something. It may become true right after.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_gone()
    }

    /// Replies and unblocks the client.
    pub(super) fn reply(mut self, result: RedisResult) {
        self.answered = true;
        if let Some(blocked) = &self.blocked {
            blocked.reply(latin1_escaped(result));
        }
    }

    /// Forwards a reply of the server unchanged.
    ///
    /// If the reply's protocol version is not the client's, it cannot be forwarded: the client gets
    /// an error instead, on drop.
    pub(super) fn pass_on(mut self, reply: &Reply) {
        self.answered = self.blocked.as_ref().is_some_and(|blocked| blocked.pass_on(reply));
    }

    /// Whether the client reads RESP3.
    pub(super) fn speaks_resp3(&self) -> bool {
        self.speaks_resp3
    }

    /// What is left of the user's limit; `None` = no limit.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

/// redis-module truncates each char of an error to its lowest byte, and aborts if that is zero
/// (U+4E00). Re-encode the UTF-8 bytes as Latin-1, one char per byte, so that they arrive
/// unchanged.
pub(super) fn latin1_escaped(result: RedisResult) -> RedisResult {
    let bytes = |words: String| words.bytes().map(char::from).collect();
    result.map_err(|error| match error {
        RedisError::String(words) => RedisError::String(bytes(words)),
        RedisError::Str(_) | RedisError::WrongArity | RedisError::WrongType => error,
    })
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.answered {
            let words = "ERR the worker did not take it up: see VECTORFILL.STATUS";
            if let Some(blocked) = &self.blocked {
                blocked.reply(Err(RedisError::Str(words)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_goes_byte_by_byte() {
        let sent =
            latin1_escaped(Err(RedisError::String("no graph '\u{4e00}\u{100}\u{e9}'".into())));
        let Err(RedisError::String(words)) = sent else { panic!("{sent:?}") };
        let bytes: Vec<u8> = words.chars().map(|c| u8::try_from(c).unwrap()).collect();
        assert_eq!(bytes, "no graph '\u{4e00}\u{100}\u{e9}'".as_bytes());
    }
}
