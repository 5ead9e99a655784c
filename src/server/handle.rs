//! The worker's handle, and the fence for panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::worker::Worker;

/// The one static. `Option`, because statics survive UNLOAD and LOAD: the library stays mapped.
/// Only the main thread takes the lock, so nothing ever waits for it.
pub(crate) static WORKER: Mutex<Option<Worker>> = Mutex::new(None);

/// Runs `work` on the worker's handle, if there is a worker.
///
/// `None` before the module is loaded, after it is unloaded, and in a callback nested in another
/// one of ours. `work` must not wait: the server stands still meanwhile.
pub(crate) fn with_worker<T>(work: impl FnOnce(&Worker) -> T) -> Option<T> {
    // A Redis callback nested inside one of ours finds the lock taken, and must not wait.
    let worker = match WORKER.try_lock() {
        Ok(worker) => worker,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return None,
    };
    worker.as_ref().map(work)
}

/// Keeps panics from reaching the server: all our commands, events and callbacks run inside it, and
/// it returns `otherwise` after a panic. The standard library prints the panic on stderr.
pub(crate) fn guarded<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}
