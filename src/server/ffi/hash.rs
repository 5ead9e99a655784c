//! Reads a hash without a command: one that lies in a slot which is still on its way here, or on a
//! cluster's replica, can be read by no command of ours.

use std::os::raw::{c_int, c_void};
use std::slice;

use redis_module::{Context, raw};

use crate::server::handle::guarded;

/// A field and its value.
pub(in crate::server) type Pair = (Vec<u8>, Vec<u8>);

/// Reads the fields of a hash, and about `max` of them at most; none if the key holds no hash.
///
/// Redis hands out the fields in its own order, several at a time, hence *about*. A small hash
/// comes as a whole. It has no effect on the key: nothing is touched, counted or expired.
pub(in crate::server) fn read(ctx: &Context, key: &[u8], max: usize) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mode = raw::REDISMODULE_READ | raw::REDISMODULE_OPEN_KEY_NOEFFECTS;
    let Ok(mode) = c_int::try_from(mode) else { return pairs };
    // SAFETY: on the main thread, with a context of this module; name, key and cursor are freed once,
    // after their last use; `pairs` outlives the scan, and nothing else uses it meanwhile.
    unsafe {
        let (Some(string), Some(free), Some(open), Some(close), Some(kind), Some(scan)) = (
            raw::RedisModule_CreateString,
            raw::RedisModule_FreeString,
            raw::RedisModule_OpenKey,
            raw::RedisModule_CloseKey,
            raw::RedisModule_KeyType,
            raw::RedisModule_ScanKey,
        ) else {
            return pairs;
        };
        let (Some(start), Some(end)) =
            (raw::RedisModule_ScanCursorCreate, raw::RedisModule_ScanCursorDestroy)
        else {
            return pairs;
        };
        let name = string(ctx.ctx, key.as_ptr().cast(), key.len());
        let key = open(ctx.ctx, name, mode).cast::<raw::RedisModuleKey>();
        if !key.is_null() && isize::try_from(kind(key)) == Ok(raw::REDISMODULE_KEYTYPE_HASH) {
            let cursor = start();
            let data = (&raw mut pairs).cast::<c_void>();
            while scan(key, cursor, Some(found), data) != 0
                && (*data.cast::<Vec<Pair>>()).len() < max
            {}
            end(cursor);
        }
        close(key);
        free(ctx.ctx, name);
    }
    pairs
}

extern "C" fn found(
    _: *mut raw::RedisModuleKey,
    field: *mut raw::RedisModuleString,
    value: *mut raw::RedisModuleString,
    data: *mut c_void,
) {
    guarded((), || {
        // SAFETY: the strings live as long as the callback runs; the pointer is the one that `read`
        // gave, and nothing else uses the list meanwhile.
        unsafe {
            if let (Some(field), Some(value)) = (bytes(field), bytes(value)) {
                (*data.cast::<Vec<Pair>>()).push((field, value));
            }
        }
    });
}

unsafe fn bytes(string: *mut raw::RedisModuleString) -> Option<Vec<u8>> {
    if string.is_null() {
        return None;
    }
    let mut length = 0;
    // SAFETY: as the caller promises, the string is alive.
    unsafe {
        let bytes = raw::RedisModule_StringPtrLen?(string, &raw mut length);
        (!bytes.is_null()).then(|| slice::from_raw_parts(bytes.cast::<u8>(), length).to_vec())
    }
}
