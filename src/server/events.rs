//! Notifications from Redis: changes of the server's state, and every command before it runs.
//!
//! All of it runs on the thread that holds the server. Handlers do little: they set flags,
//! note names and wake the worker. What follows from an event is looked up later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis_module::Context;
use redis_module::server_events::{
    FlushSubevent, LoadingSubevent, ModuleChangeSubevent, ServerRole,
};
use redis_module_macros::{
    flush_event_handler, loading_event_handler, module_changed_event_handler,
    role_changed_event_handler,
};

use crate::entity::GraphName;
use crate::inject::{Point, reached};
use crate::server::handle::{guarded, with_worker};
use crate::server::own;

/// Commands from other clients since load. Only the thread that holds the server increments it, so
/// increments never race.
static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// Commands other clients have sent so far. From one hold of the server to the next it shows
/// whether anyone else was served in between.
pub(super) fn commands() -> u64 {
    COMMANDS.load(Ordering::Relaxed)
}

/// Called before every command of every client, so it does next to nothing.
pub(super) fn command<'a>(argument: impl Fn(i32) -> Option<&'a [u8]>) {
    reached(Point::Filter);
    // A load and a store cost a third of an atomic add, and no other thread writes it.
    COMMANDS.store(COMMANDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    let name = argument(0);
    if SETTLING_NOW.load(Ordering::Relaxed) {
        note_greeting(name, &argument);
    }
    if name.is_some_and(|name| takes_slot(name, &argument)) {
        with_worker(crate::worker::Worker::graphs_arrive);
    }
    if let Some(name) = name {
        note_copy(name, &argument);
    }
    let graph = name.and_then(written_graph).and_then(&argument);
    if let Some(graph) = graph.and_then(|key| std::str::from_utf8(key).ok()) {
        with_worker(|worker| worker.touched(GraphName::new(graph)));
    }
}

/// A graph's own rules are copied with it. The engine makes the copy later.
fn note_copy<'a>(name: &[u8], argument: impl Fn(i32) -> Option<&'a [u8]>) {
    let graph = |at| Some(GraphName::new(std::str::from_utf8(argument(at)?).ok()?));
    if name.eq_ignore_ascii_case(b"GRAPH.COPY")
        && let (Some(from), Some(to)) = (graph(1), graph(2))
    {
        own::copying(from, to);
    }
}

/// Whether a cluster slot changes owner: its graphs arrived earlier, when the slot was not ours
/// yet.
fn takes_slot<'a>(name: &[u8], argument: impl Fn(i32) -> Option<&'a [u8]>) -> bool {
    let is = |at, word: &[u8]| argument(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word));
    name.eq_ignore_ascii_case(b"CLUSTER") && is(1, b"SETSLOT") && is(3, b"NODE")
}

/// Which argument names the graph that may hold new texts after this command, if any.
fn written_graph(name: &[u8]) -> Option<i32> {
    const WRITERS: [(&[u8], i32); 7] = [
        (b"GRAPH.QUERY", 1),
        (b"GRAPH.PROFILE", 1),
        (b"GRAPH.BULK", 1),
        (b"GRAPH.COPY", 2),
        (b"RENAME", 2),
        (b"RESTORE", 1),
        (b"RESTORE-ASKING", 1),
    ];
    WRITERS.iter().find(|(writer, _)| name.eq_ignore_ascii_case(writer)).map(|(_, at)| *at)
}

/// Has the worker survey the server again. Which event it was does not matter.
fn server_changed() {
    guarded((), || {
        reached(Point::Event);
        with_worker(crate::worker::Worker::server_changed);
    });
}

#[role_changed_event_handler]
fn role_changed(_: &Context, _: ServerRole) {
    server_changed();
}

#[loading_event_handler]
fn loading(_: &Context, what: LoadingSubevent) {
    guarded((), || note_loading(what));
    if what == LoadingSubevent::Ended {
        guarded((), own::all_changed);
    }
    server_changed();
}

/// How long a master that restarted with its data waits before it spends anything: by then the
/// other cluster nodes have told it if it was replaced.
const SETTLING: Duration = Duration::from_secs(5);
/// The same once a Sentinel has been seen: Sentinel takes eight seconds to demote a returning
/// master.
const SETTLING_WITH_SENTINEL: Duration = Duration::from_secs(12);

/// When the data set was loaded at startup; `None` = there was none, or it has settled.
static RETURNED: ArcSwapOption<Instant> = ArcSwapOption::const_empty();
/// [`RETURNED`] is set: cheap enough for the command filter to check on every command.
static SETTLING_NOW: AtomicBool = AtomicBool::new(false);
/// The event loop runs: data loaded from now on are not the startup data.
static STARTED: AtomicBool = AtomicBool::new(false);
/// A Sentinel watches this server.
static SENTINEL: AtomicBool = AtomicBool::new(false);
/// An AOF has been loaded since [`take_aof_loaded`] was last called.
static AOF_LOADED: AtomicBool = AtomicBool::new(false);

fn note_loading(what: LoadingSubevent) {
    match what {
        LoadingSubevent::AofStarted => AOF_LOADED.store(true, Ordering::Relaxed),
        LoadingSubevent::Ended if !STARTED.load(Ordering::Relaxed) => {
            RETURNED.store(Some(Arc::new(Instant::now())));
            SETTLING_NOW.store(true, Ordering::Relaxed);
        }
        LoadingSubevent::RdbStarted
        | LoadingSubevent::ReplStarted
        | LoadingSubevent::Ended
        | LoadingSubevent::Failed => {}
    }
}

/// Called when a job of ours runs: the server has started.
pub(super) fn started() {
    STARTED.store(true, Ordering::Relaxed);
}

/// Whether this server restarted so recently that it may not know yet whether it was replaced.
///
/// The first call after the time is up clears the flags, so that the command filter no longer
/// looks for Sentinels.
pub(super) fn is_settling() -> bool {
    let returned = RETURNED.load();
    let Some(returned) = returned.as_ref() else { return false };
    let sentinel = SENTINEL.load(Ordering::Relaxed);
    let limit = if sentinel { SETTLING_WITH_SENTINEL } else { SETTLING };
    let settling = returned.elapsed() < limit;
    if !settling {
        RETURNED.store(None);
        SETTLING_NOW.store(false, Ordering::Relaxed);
    }
    settling
}

/// Whether an AOF has been loaded since the last call.
///
/// Reset by the call: the one caller must remember it. What an AOF held before decides how vectors
/// may be written.
pub(super) fn take_aof_loaded() -> bool {
    AOF_LOADED.swap(false, Ordering::Relaxed)
}

/// Sentinels greet each other through the servers they watch.
fn note_greeting<'a>(name: Option<&[u8]>, argument: impl Fn(i32) -> Option<&'a [u8]>) {
    let publishes = name.is_some_and(|name| name.eq_ignore_ascii_case(b"PUBLISH"));
    if publishes && argument(1) == Some(b"__sentinel__:hello") {
        SENTINEL.store(true, Ordering::Relaxed);
    }
}

#[module_changed_event_handler]
fn modules_changed(_: &Context, _: ModuleChangeSubevent) {
    server_changed();
}

#[flush_event_handler]
fn flushed(_: &Context, _: FlushSubevent) {
    guarded((), own::all_changed);
    server_changed();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writers_of_graphs_are_looked_at() {
        assert_eq!(written_graph(b"graph.query"), Some(1));
        assert_eq!(written_graph(b"GRAPH.COPY"), Some(2));
        assert_eq!(written_graph(b"restore-asking"), Some(1));
        let set = |words: &'static [&'static [u8]]| {
            takes_slot(words[0], |at| words.get(usize::try_from(at).unwrap()).copied())
        };
        assert!(set(&[b"cluster", b"setslot", b"7", b"node", b"id"]));
        assert!(!set(&[b"cluster", b"setslot", b"7", b"stable"]));
        for other in [&b"GRAPH.RO_QUERY"[..], b"GET", b""] {
            assert_eq!(written_graph(other), None);
        }
    }
}
