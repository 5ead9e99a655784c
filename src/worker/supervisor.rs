//! Restarts the worker's body after a panic.
//!
//! The state of the body is lost, and with it the passes under way and the answers they would have
//! had. What is stored is not: nodes without a vector are found again by the next survey. Users who
//! were waiting are answered with an error, since their envelopes are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::worker::body::Body;
use crate::worker::port::{Level, Store};
use crate::worker::{Inbox, Published};

/// Pause before a panicked worker restarts; doubles up to the maximum.
const RESTART: Duration = Duration::from_secs(1);
/// Also how long a body must have run for the next pause to be short again.
const MAX_RESTART: Duration = Duration::from_mins(1);

/// Runs bodies until one ends on request. A panic costs the pass, never the server.
/// Runs on the worker's thread, and returns when the thread is to end. During a pause, wake-ups are
/// only looked at for a stop: what else was left is taken up by the next body. STATUS shows the
/// message of the last panic until that body publishes for the first time.
pub(super) fn supervise(inbox: &Inbox, store: &dyn Store) {
    let mut pause = RESTART;
    let mut restarts = 0;
    loop {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| Body::new(inbox, store, restarts).run()));
        let Err(panic) = outcome else { return };
        restarts += 1;
        let words = panic_words(&*panic);
        store.log(Level::Warning, &format!("worker panicked, restarting in {pause:?}: {words}"));
        let mut published = Published::clone(&inbox.shared.published.load());
        published.restarts = restarts;
        published.panic = Some(words);
        inbox.shared.published.store(Arc::new(published));
        if begun.elapsed() > MAX_RESTART {
            pause = RESTART;
        }
        if inbox.may_end() {
            // The wake-up for this may have gone to the worker that panicked.
            return;
        }
        let until = Instant::now() + pause;
        while inbox.woken.recv_deadline(until).is_ok() {
            if inbox.may_end() {
                return;
            }
        }
        pause = (pause * 2).min(MAX_RESTART);
    }
}

/// `panic!` holds a `&str` or a `String`. Anything else has no words, and gives an empty text.
fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
