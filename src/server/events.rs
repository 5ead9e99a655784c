//! What Redis tells us unasked: changes of the server, and every command before it runs.

use std::sync::atomic::{AtomicU64, Ordering};

use redis_module::Context;
use redis_module::server_events::{
    FlushSubevent, LoadingSubevent, ModuleChangeSubevent, ServerRole,
};
use redis_module_macros::{
    flush_event_handler, loading_event_handler, module_changed_event_handler,
    role_changed_event_handler,
};

use super::{guarded, with_worker};
use crate::fill::node::GraphName;
use crate::inject::{Point, reached};

/// Commands of other clients since load. Only who holds the server counts, so that no two count at once.
static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// Commands other clients have sent so far: whoever holds the server can tell by it whether
/// somebody was served meanwhile.
pub(super) fn commands() -> u64 {
    COMMANDS.load(Ordering::Relaxed)
}

/// A command is about to run. Called for every command of every client, so it does next to nothing.
pub(super) fn command<'a>(argument: impl Fn(i32) -> Option<&'a [u8]>) {
    reached(Point::Filter);
    // A load and a store cost a third of an addition that no other thread may come between.
    COMMANDS.store(COMMANDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    let graph = argument(0).and_then(written_graph).and_then(argument);
    if let Some(graph) = graph.and_then(|key| std::str::from_utf8(key).ok()) {
        with_worker(|worker| worker.touched(GraphName::new(graph)));
    }
}

/// Which argument names the graph that holds new texts after this command, if any does.
fn written_graph(name: &[u8]) -> Option<i32> {
    const WRITERS: [(&[u8], i32); 6] = [
        (b"GRAPH.QUERY", 1),
        (b"GRAPH.PROFILE", 1),
        (b"GRAPH.BULK", 1),
        (b"GRAPH.COPY", 2),
        (b"RENAME", 2),
        (b"RESTORE", 1),
    ];
    WRITERS.iter().find(|(writer, _)| name.eq_ignore_ascii_case(writer)).map(|(_, at)| *at)
}

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
fn loading(_: &Context, _: LoadingSubevent) {
    server_changed();
}

#[module_changed_event_handler]
fn modules_changed(_: &Context, _: ModuleChangeSubevent) {
    server_changed();
}

#[flush_event_handler]
fn flushed(_: &Context, _: FlushSubevent) {
    server_changed();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writers_of_graphs_are_looked_at() {
        assert_eq!(written_graph(b"graph.query"), Some(1));
        assert_eq!(written_graph(b"GRAPH.COPY"), Some(2));
        for other in [&b"GRAPH.RO_QUERY"[..], b"GET", b""] {
            assert_eq!(written_graph(other), None);
        }
    }
}
