//! A blocked client: redis-module's own cannot forward a raw reply.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis_module::{Context, RedisResult, raw};

use crate::server::ffi::call::Reply;
use crate::server::handle::{guarded, with_worker};
use crate::worker::Worker;

/// Tells whether a blocked client has disconnected; outlives the client.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Gone(Arc<AtomicBool>);

impl Gone {
    /// Whether the client has disconnected.
    pub(in crate::server) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Blocked clients by their handle. Locked for a lookup only. Needed because a handle may be freed
/// while Redis still calls us about it.
static WAITING: Mutex<BTreeMap<usize, Gone>> = Mutex::new(BTreeMap::new());

fn waiting() -> MutexGuard<'static, BTreeMap<usize, Gone>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called by Redis on the main thread when a blocked client disconnects.
extern "C" fn disconnected(
    _: *mut raw::RedisModuleCtx,
    client: *mut raw::RedisModuleBlockedClient,
) {
    guarded((), || {
        if let Some(gone) = waiting().get(&client.addr()) {
            gone.0.store(true, Ordering::Relaxed);
        }
        with_worker(Worker::client_gone);
    });
}

/// A blocked client, and the context to answer it from any thread. Unblocked on drop.
pub(in crate::server) struct Blocked {
    client: *mut raw::RedisModuleBlockedClient,
    ctx: *mut raw::RedisModuleCtx,
}

// SAFETY: the API allows answering a blocked client from any thread, one at a time; the value has
// one owner.
unsafe impl Send for Blocked {}

impl Blocked {
    /// Blocks the client of the current command, without a Redis timeout. `None` = the server
    /// cannot.
    ///
    /// The client is answered once the value is dropped, so whoever holds it decides how long it
    /// waits.
    pub(in crate::server) fn new(ctx: &Context) -> Option<Self> {
        // SAFETY: called within a command; the pointers are freed once, in `drop`.
        unsafe {
            let client = raw::RedisModule_BlockClient?(ctx.ctx, None, None, None, 0);
            let ctx = raw::RedisModule_GetThreadSafeContext?(client);
            waiting().insert(client.addr(), Gone::default());
            if let Some(set) = raw::RedisModule_SetDisconnectCallback {
                set(client, Some(disconnected));
            }
            Some(Self { client, ctx })
        }
    }

    /// A flag for whether the client has gone; it outlives this value.
    pub(in crate::server) fn gone(&self) -> Gone {
        waiting().get(&self.client.addr()).cloned().unwrap_or_default()
    }

    /// Sends the reply; the client stays blocked until this value is dropped.
    pub(in crate::server) fn reply(&self, result: RedisResult) {
        Context::new(self.ctx).reply(result);
    }

    /// Forwards a reply unchanged; false = the client uses another protocol version.
    pub(in crate::server) fn pass_on(&self, reply: &Reply) -> bool {
        reply.pass_on(self.ctx)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        waiting().remove(&self.client.addr());
        // SAFETY: made in `new`; the context is freed first, as it refers to the client.
        unsafe {
            if let Some(free) = raw::RedisModule_FreeThreadSafeContext {
                free(self.ctx);
            }
            if let Some(unblock) = raw::RedisModule_UnblockClient {
                unblock(self.client, std::ptr::null_mut());
            }
        }
    }
}
