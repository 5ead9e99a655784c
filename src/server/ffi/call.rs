//! Calls to other commands, returning their replies as raw protocol bytes.
//!
//! redis-module's own wrapper asks every reply for its type, which makes Redis parse all of it on
//! the main thread. This module returns the bytes, to be parsed where they are needed.

use std::ffi::CStr;
use std::os::raw::{c_int, c_void};
use std::ptr::NonNull;
use std::slice;

use redis_module::{Context, raw};

use crate::server::handle::guarded;

/// How a command is called, as format letters of `RedisModule_Call`. All have `v` (the arguments
/// are a list) and `E` (errors come back as replies).
#[derive(Debug, Clone, Copy)]
pub(in crate::server) enum Mode {
    /// Inline.
    Inline,
    /// Inline; respects `maxmemory`, and what the command replicates reaches the AOF and replicas.
    Write,
    /// Checked like a script's write, but not executed.
    Checked,
    /// On the engine's own threads.
    Pool,
    /// The same, with a reply in RESP3.
    PoolResp3,
}

impl Mode {
    fn letters(self) -> &'static CStr {
        match self {
            Self::Inline => c"vE",
            // Without `!` Redis drops what the engine itself replicates inside the call: the
            // vectors would reach neither the AOF nor a replica.
            Self::Write => c"vEM!",
            Self::Checked => c"vEMSD",
            Self::Pool => c"vEK",
            Self::PoolResp3 => c"vE3K",
        }
    }
}

/// A reply of the server, freed on drop.
pub(in crate::server) struct Reply(NonNull<raw::RedisModuleCallReply>);

impl Reply {
    /// Its raw protocol bytes.
    pub(in crate::server) fn proto(&self) -> &[u8] {
        let mut length = 0;
        // SAFETY: the reply is alive and a root, so it owns the bytes.
        unsafe {
            let Some(proto) = raw::RedisModule_CallReplyProto else { return &[] };
            let bytes = proto(self.0.as_ptr(), &raw mut length);
            if bytes.is_null() { &[] } else { slice::from_raw_parts(bytes.cast::<u8>(), length) }
        }
    }

    /// The error message without the `-` and the line end, if it is an error.
    pub(in crate::server) fn error(&self) -> Option<&[u8]> {
        let line = self.proto().strip_prefix(b"-")?;
        Some(line.strip_suffix(b"\r\n").unwrap_or(line))
    }

    /// Forwards it unchanged to the client of `ctx`; false = the client uses another protocol
    /// version.
    pub(super) fn pass_on(&self, ctx: *mut raw::RedisModuleCtx) -> bool {
        // SAFETY: the reply is alive; Redis copies its bytes.
        unsafe { raw::RedisModule_ReplyWithCallReply }
            .is_some_and(|pass| unsafe { pass(ctx, self.0.as_ptr()) } == super::OK)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: made by a call of ours and freed once.
        unsafe {
            if let Some(free) = raw::RedisModule_FreeCallReply {
                free(self.0.as_ptr());
            }
        }
    }
}

/// Calls a command inline. `None` = a check passed, or the server gave no reply.
pub(in crate::server) fn call(
    ctx: &Context,
    mode: Mode,
    command: &CStr,
    args: &[&[u8]],
) -> Option<Reply> {
    let args = Arguments::new(args);
    // SAFETY: on the main thread, with a context of this module; the arguments outlive the call,
    // which keeps its own references; the letters are those of the variadic arguments that follow.
    let reply = unsafe {
        raw::RedisModule_Call?(
            ctx.ctx,
            command.as_ptr(),
            mode.letters().as_ptr(),
            args.0.as_ptr(),
            args.0.len(),
        )
    };
    NonNull::new(reply).map(Reply)
}

/// Receives the reply of a command that may run on another thread.
pub(in crate::server) type Receiver = Box<dyn FnOnce(Option<Reply>)>;

/// Calls a command that may run on the engine's threads; `receive` gets the reply on the main
/// thread, possibly before this returns. Returns whether the reply is still pending.
pub(in crate::server) fn call_later(
    ctx: &Context,
    mode: Mode,
    command: &CStr,
    args: &[&[u8]],
    receive: Receiver,
) -> bool {
    let reply = call(ctx, mode, command, args);
    let pending = reply.as_ref().is_some_and(is_promise);
    let (Some(reply), true) = (&reply, pending) else {
        receive(reply);
        return false;
    };
    let data = Box::into_raw(Box::new(receive)).cast::<c_void>();
    // SAFETY: it is a promise; Redis calls the handler once, with the pointer given here, and
    // freeing the promise afterwards only gives up the right to abort the command.
    unsafe {
        if let Some(set) = raw::RedisModule_CallReplyPromiseSetUnblockHandler {
            set(reply.0.as_ptr(), Some(unblocked), data);
        }
    }
    true
}

fn is_promise(reply: &Reply) -> bool {
    // SAFETY: the reply is alive. A promise has no bytes; anything else is an early answer, short
    // enough to be parsed here.
    unsafe { raw::RedisModule_CallReplyType }
        .map(|kind| unsafe { kind(reply.0.as_ptr()) })
        .and_then(|kind| isize::try_from(kind).ok())
        == Some(raw::REDISMODULE_REPLY_PROMISE)
}

extern "C" fn unblocked(
    _: *mut raw::RedisModuleCtx,
    reply: *mut raw::RedisModuleCallReply,
    data: *mut c_void,
) {
    guarded((), || {
        // SAFETY: the pointer that `call_later` gave away, given back once.
        let receive = unsafe { Box::from_raw(data.cast::<Receiver>()) };
        receive(NonNull::new(reply).map(Reply));
    });
}

/// Arguments as Redis strings, freed on drop.
struct Arguments(Vec<*mut raw::RedisModuleString>);

impl Arguments {
    fn new(args: &[&[u8]]) -> Self {
        // SAFETY: copies the bytes; no context is needed for a string that we free ourselves.
        let string = |bytes: &&[u8]| unsafe {
            raw::RedisModule_CreateString
                .map(|make| make(std::ptr::null_mut(), bytes.as_ptr().cast(), bytes.len()))
        };
        Self(args.iter().filter_map(string).collect())
    }
}

impl Drop for Arguments {
    fn drop(&mut self) {
        // SAFETY: made in `new` and freed once; whatever still needs one holds its own reference.
        unsafe {
            let Some(free) = raw::RedisModule_FreeString else { return };
            for string in &self.0 {
                free(std::ptr::null_mut(), *string);
            }
        }
    }
}

/// Whether the user of the current command may run `command`, its keys included.
///
/// Nothing is executed. False if it cannot be found out: what is not known to be allowed is
/// refused.
pub(in crate::server) fn user_may(ctx: &Context, command: &[&[u8]]) -> bool {
    let mut args = Arguments::new(command);
    let Ok(count) = c_int::try_from(args.0.len()) else { return false };
    // SAFETY: called within a command, whose context has a user; name and user are freed once.
    unsafe {
        let (Some(name), Some(find), Some(check), Some(free), Some(free_name)) = (
            raw::RedisModule_GetCurrentUserName,
            raw::RedisModule_GetModuleUserFromUserName,
            raw::RedisModule_ACLCheckCommandPermissions,
            raw::RedisModule_FreeModuleUser,
            raw::RedisModule_FreeString,
        ) else {
            return false;
        };
        let name = name(ctx.ctx);
        if name.is_null() {
            return false;
        }
        let user = find(name);
        free_name(ctx.ctx, name);
        if user.is_null() {
            return false;
        }
        let allowed = check(user, args.0.as_mut_ptr(), count) == super::OK;
        free(user);
        allowed
    }
}
