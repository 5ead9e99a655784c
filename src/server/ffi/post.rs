//! The way to the main thread.
//!
//! `RedisModule_EventLoopAddOneShot` is the one function that any thread may call to run something
//! there. Its callback creates a timer with no delay, and the timer's callback does the work.
//! One-shots also run in the nested event loop of a busy script, of loading or of a command that
//! yields; timers do not. And what the engine replicates is sent at the end of a timer's execution
//! unit. Never create a timer from another thread, not even with the GIL.

use std::os::raw::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use redis_module::{Context, ContextFlags, raw};

use crate::server::handle::guarded;

/// The context of the currently loaded module, bound to no client and no thread. With any other,
/// `RedisModule_Call` would check `maxmemory` against the memory in use before the last command.
static CONTEXT: AtomicPtr<raw::RedisModuleCtx> = AtomicPtr::new(ptr::null_mut());

/// Why a job is called although it cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Refusal {
    /// The data set is being loaded.
    Loading,
}

/// Work for the main thread: called there once, or dropped.
pub(in crate::server) type Job = Box<dyn FnOnce(Result<&Context, Refusal>) + Send>;

/// Creates the context, once per load. The context of an unloaded module points to freed memory, so
/// it is replaced and never freed.
pub(in crate::server) fn bind(ctx: &Context) {
    // SAFETY: called while the module is loaded, on the main thread.
    let made = unsafe { raw::RedisModule_GetDetachedThreadSafeContext.map(|make| make(ctx.ctx)) };
    CONTEXT.store(made.unwrap_or(ptr::null_mut()), Ordering::SeqCst);
}

/// The context made by [`bind`]; use it for calls on the main thread only.
fn context() -> Context {
    Context::new(CONTEXT.load(Ordering::SeqCst))
}

/// Queues a job for the main thread, from any thread. The job is dropped if the server does not
/// take it.
pub(in crate::server) fn post(job: Job) {
    let data = Box::into_raw(Box::new(job)).cast::<c_void>();
    // SAFETY: any thread may call it; Redis hands the pointer to `one_shot` once.
    let taken = unsafe { raw::RedisModule_EventLoopAddOneShot }
        .is_some_and(|add| unsafe { add(Some(one_shot), data) } == super::OK);
    if !taken {
        // SAFETY: Redis did not take the pointer, so nothing else has it.
        drop(unsafe { Box::from_raw(data.cast::<Job>()) });
    }
}

extern "C" fn one_shot(data: *mut c_void) {
    guarded((), || {
        let ctx = context();
        let loading = ContextFlags::LOADING | ContextFlags::ASYNC_LOADING;
        if ctx.get_flags().intersects(loading) {
            // There is no telling for how long timers will not run.
            // SAFETY: the pointer that `post` gave away; it is not passed on.
            return (unsafe { Box::from_raw(data.cast::<Job>()) })(Err(Refusal::Loading));
        }
        // SAFETY: on the main thread, with a context of the module; the pointer goes on to `timer`.
        unsafe {
            if let Some(create) = raw::RedisModule_CreateTimer {
                create(ctx.ctx, 0, Some(timer), data);
            }
        }
    });
}

extern "C" fn timer(_: *mut raw::RedisModuleCtx, data: *mut c_void) {
    guarded((), || {
        // SAFETY: the pointer that `post` gave away, given back once.
        let job = unsafe { Box::from_raw(data.cast::<Job>()) };
        job(Ok(&context()));
    });
}

/// Writes a line to the server's log, from any thread.
pub(in crate::server) fn log(level: &std::ffi::CStr, line: &str) {
    // A NUL would end the line early.
    let line = line.replace('\0', "?");
    let Ok(line) = std::ffi::CString::new(line) else { return };
    // SAFETY: Redis does its own locking. The line is an argument and never the format: it may hold
    // a `%`.
    unsafe {
        if let Some(log) = raw::RedisModule_Log {
            log(CONTEXT.load(Ordering::SeqCst), level.as_ptr(), c"%s".as_ptr(), line.as_ptr());
        }
    }
}
