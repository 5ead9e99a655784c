//! A blocked client: what the library offers cannot pass a reply on as it is.

use redis_module::{Context, RedisResult, raw};

use crate::server::ffi::call::Reply;

/// A client that waits, and the context to answer it from any thread.
pub(in crate::server) struct Blocked {
    client: *mut raw::RedisModuleBlockedClient,
    ctx: *mut raw::RedisModuleCtx,
}

// SAFETY: the API allows answers to a blocked client from any thread, one at a time; the value has one
// owner.
unsafe impl Send for Blocked {}

impl Blocked {
    /// Blocks the client of the command that runs now, without a limit of Redis' own. `None` = the
    /// server cannot.
    pub(in crate::server) fn new(ctx: &Context) -> Option<Self> {
        // SAFETY: called within a command; the pointers are freed once, in `drop`.
        unsafe {
            let client = raw::RedisModule_BlockClient?(ctx.ctx, None, None, None, 0);
            let ctx = raw::RedisModule_GetThreadSafeContext?(client);
            Some(Self { client, ctx })
        }
    }

    /// Answers.
    pub(in crate::server) fn reply(&self, result: RedisResult) {
        Context::new(self.ctx).reply(result);
    }

    /// Answers with a reply as it is; false = the client speaks another protocol.
    pub(in crate::server) fn pass_on(&self, reply: &Reply) -> bool {
        reply.pass_on(self.ctx)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: made in `new`; the context goes first, as it speaks of the client.
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
