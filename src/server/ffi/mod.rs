//! The one folder with unsafe: the parts of the Redis module API that the `redis-module` crate does
//! not wrap. Each function states why it is sound.
#![expect(unsafe_code, reason = "C functions without a safe wrapper; fenced into this folder")]

pub(super) mod call;
pub(super) mod client;
pub(super) mod hash;
pub(super) mod post;
pub(super) mod removed;

use std::os::raw::c_int;
use std::slice;

use redis_module::{Context, raw};

use crate::engine::value::Value;
use call::Mode;

/// The API's success code.
const OK: c_int = 0;

/// Applies the values of redis.conf and of MODULE LOADEX to the settings registered before.
pub(super) fn load_configs(ctx: &Context) -> bool {
    // SAFETY: a function of the API that takes the context we were called with.
    unsafe { raw::RedisModule_LoadConfigs }.is_some_and(|load| unsafe { load(ctx.ctx) } == OK)
}

/// Whether an ACL category exists. Redis keeps those of an unloaded module, and refuses to add one
/// twice. Called while the module is being loaded, before any other context exists.
pub(super) fn category_exists(name: &str) -> bool {
    // SAFETY: called on the main thread, which holds the GIL, as `RM_Call` requires; a null blocked
    // client is allowed; the context is freed once, after its last use.
    unsafe {
        let (Some(make), Some(free)) =
            (raw::RedisModule_GetThreadSafeContext, raw::RedisModule_FreeThreadSafeContext)
        else {
            return false;
        };
        let ctx = make(std::ptr::null_mut());
        // Lists all: `ACL CAT name` with an unknown name would count as a failed call in the
        // statistics.
        let list = call::call(&Context::new(ctx), Mode::Inline, c"ACL", &[b"CAT"]);
        let named = |item: &Value<'_>| item.bytes() == Some(name.as_bytes());
        let known = list.as_ref().and_then(|list| Value::parse(list.proto()));
        let known = known.is_some_and(|known| known.items().iter().any(named));
        free(ctx);
        known
    }
}

/// Registers [`super::events::command`] to see every client command before it runs, but not our own
/// calls. Redis removes the filter when the module is unloaded.
pub(super) fn watch_commands(ctx: &Context) -> bool {
    const NOSELF: c_int = raw::REDISMODULE_CMDFILTER_NOSELF.cast_signed();
    // SAFETY: the callback is a function of this library, which lives as long as the filter.
    unsafe { raw::RedisModule_RegisterCommandFilter }
        .is_some_and(|register| !unsafe { register(ctx.ctx, Some(filter), NOSELF) }.is_null())
}

extern "C" fn filter(command: *mut raw::RedisModuleCommandFilterCtx) {
    super::handle::guarded((), || super::events::command(|at| argument(command, at)));
}

/// An argument of the filtered command; the bytes live as long as the callback runs.
fn argument<'a>(command: *mut raw::RedisModuleCommandFilterCtx, at: c_int) -> Option<&'a [u8]> {
    // SAFETY: called only from within the filter callback, with the context it was given. The API
    // returns null for a missing argument, and the string it returns is not changed while the
    // callback runs: it is the client's own argument vector, on the thread that owns it.
    unsafe {
        let string = raw::RedisModule_CommandFilterArgGet?(command, at);
        if string.is_null() {
            return None;
        }
        let mut length = 0;
        let bytes = raw::RedisModule_StringPtrLen?(string, &raw mut length);
        (!bytes.is_null()).then(|| slice::from_raw_parts(bytes.cast::<u8>(), length))
    }
}

/// The server's version as Redis reports it to modules: `0x00MMmmpp`.
pub(super) fn server_version() -> Option<c_int> {
    // SAFETY: takes nothing.
    unsafe { raw::RedisModule_GetServerVersion.map(|version| version()) }
}

/// An API function that this server lacks although we, or redis-module, call it unconditionally.
pub(super) fn missing_function() -> Option<&'static str> {
    // SAFETY: copies pointers that were set when the module was loaded.
    let needed = unsafe {
        let unblock = raw::RedisModule_CallReplyPromiseSetUnblockHandler;
        let (post, category) =
            (raw::RedisModule_EventLoopAddOneShot, raw::RedisModule_AddACLCategory);
        let (setting, load) = (raw::RedisModule_RegisterStringConfig, raw::RedisModule_LoadConfigs);
        [
            ("CallReplyPromiseSetUnblockHandler", unblock.is_some()),
            ("EventLoopAddOneShot", post.is_some()),
            ("AddACLCategory", category.is_some()),
            ("RegisterStringConfig", setting.is_some()),
            ("LoadConfigs", load.is_some()),
        ]
    };
    needed.into_iter().find(|(_, there)| !there).map(|(name, _)| name)
}

/// The number of the database that the current command works in.
pub(super) fn selected_db(ctx: &Context) -> c_int {
    // SAFETY: called within a command, with its context.
    unsafe { raw::RedisModule_GetSelectedDb.map_or(0, |selected| selected(ctx.ctx)) }
}

/// What a command does with one of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Reads it.
    Read,
    /// Reads and changes it.
    Update,
}

/// Reports to Redis, when it asks for a command's keys, that this argument is one.
pub(super) fn key_at(ctx: &Context, position: c_int, what: KeyUse) {
    let flags = match what {
        KeyUse::Read => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
        KeyUse::Update => raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_UPDATE,
    };
    // SAFETY: called within a command that Redis runs to get its keys, with a valid position.
    unsafe {
        if let (Some(key), Ok(flags)) = (raw::RedisModule_KeyAtPosWithFlags, c_int::try_from(flags))
        {
            key(ctx.ctx, position, flags);
        }
    }
}
