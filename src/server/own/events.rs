//! What Redis tells of keys: of the hashes, and of the graphs they belong to.

use std::sync::{Mutex, PoisonError};

use crate::entity::GraphName;
use crate::rule::definition::own;
use crate::server::graph::hold::post;
use crate::server::own::{changed, keep, known};

/// The name that a key is being renamed from: its event comes just before that of the new name.
static RENAMED: Mutex<Option<GraphName>> = Mutex::new(None);

/// A key has changed. Called for every change of a hash, for every deleted, renamed, copied, restored
/// or loaded key, so it does next to nothing for keys that are not ours.
pub(in crate::server) fn notified(event: &str, key: &[u8]) {
    if let Some(graph) = own::graph_of(key) {
        return changed(graph);
    }
    if !matches!(event, "del" | "rename_from" | "rename_to" | "copy_to" | "expired" | "evicted") {
        return;
    }
    let Ok(name) = std::str::from_utf8(key) else { return };
    let graph = GraphName::new(name);
    match event {
        "rename_from" => *renamed() = Some(graph).filter(|graph| has_rules(graph)),
        "rename_to" => {
            let from = renamed().take();
            if from.is_some() || has_rules(&graph) {
                let from = from.unwrap_or_else(|| GraphName::new(""));
                post(move |held| {
                    held.into_iter().for_each(|hold| keep::follow(&hold, &from, &graph, false));
                });
            }
        }
        "copy_to" => {}
        _ if has_rules(&graph) => deleted(graph),
        _ => {}
    }
}

/// A graph may have been deleted: the engine does it without an event.
pub(in crate::server) fn deleted(graph: GraphName) {
    if has_rules(&graph) {
        post(move |held| {
            held.into_iter().for_each(|hold| keep::follow_deletion(&hold, &graph));
        });
    }
}

/// A graph is about to be copied.
pub(in crate::server) fn copied(from: &GraphName, to: GraphName) {
    if has_rules(from) {
        let from = from.clone();
        post(move |held| held.into_iter().for_each(|hold| keep::follow(&hold, &from, &to, true)));
    }
}

fn has_rules(graph: &GraphName) -> bool {
    known().contains_key(graph)
}

fn renamed() -> std::sync::MutexGuard<'static, Option<GraphName>> {
    RENAMED.lock().unwrap_or_else(PoisonError::into_inner)
}
