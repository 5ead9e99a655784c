//! Tells which keys are removed or overwritten, by whatever: no keyspace event tells of
//! `GRAPH.DELETE`.

use std::os::raw::c_void;
use std::slice;

use redis_module::{Context, raw};

use crate::server::handle::guarded;
use crate::server::own;

/// Subscribes to the removal of keys; Redis ends that when the module is unloaded.
///
/// False if the server refuses; the load is aborted then, since rules would outlive their graphs.
pub(in crate::server) fn watch(ctx: &Context) -> bool {
    let event = raw::RedisModuleEvent { id: raw::REDISMODULE_EVENT_KEY, dataver: 1 };
    // SAFETY: the callback is a function of this library, which lives as long as the subscription.
    unsafe { raw::RedisModule_SubscribeToServerEvent }
        .is_some_and(|subscribe| unsafe { subscribe(ctx.ctx, event, Some(removed)) } == super::OK)
}

/// Called before each removal, so it does next to nothing while no graph has rules of its own.
extern "C" fn removed(
    ctx: *mut raw::RedisModuleCtx,
    _: raw::RedisModuleEvent,
    _: u64,
    data: *mut c_void,
) {
    guarded((), || {
        if own::are_none() {
            return;
        }
        // SAFETY: Redis passes the key's info with this event; its name lives as long as the
        // callback runs.
        let name = unsafe { name(data.cast()) };
        if let Some(name) = name {
            own::removed(&Context::new(ctx), name);
        }
    });
}

unsafe fn name<'a>(info: *const raw::RedisModuleKeyInfo) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    unsafe {
        let string = raw::RedisModule_GetKeyNameFromModuleKey?(info.as_ref()?.key);
        if string.is_null() {
            return None;
        }
        let mut length = 0;
        let bytes = raw::RedisModule_StringPtrLen?(string, &raw mut length);
        (!bytes.is_null()).then(|| slice::from_raw_parts(bytes.cast::<u8>(), length))
    }
}
