//! What Redis tells of keys: of the hashes, and of the graphs they belong to.
//!
//! What happened to graphs is noted step by step, and followed at the end of the command: a
//! transaction may rename a graph twice, or delete what it renamed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis_module::Context;

use crate::entity::GraphName;
use crate::rule::definition::own;
use crate::server::graph::hold::{at_end_of_command, post};
use crate::server::own::keep::follow_copy;
use crate::server::own::steps::{Steps, follow};
use crate::server::own::{are_none, changed, known};

/// What has happened in the command that is running.
static STEPS: Mutex<Steps> = Mutex::new(Steps::new());

/// Graphs that are being copied, by the name of the copy.
static COPIES: Mutex<BTreeMap<GraphName, GraphName>> = Mutex::new(BTreeMap::new());
/// There are some: cheap enough to be asked for every new key.
static COPYING: AtomicBool = AtomicBool::new(false);
/// Copies that are remembered: some are refused, and never made.
const MAX_COPIES: usize = 64;

/// A key has changed. Called for every change of a hash, for every deleted, renamed, copied,
/// restored or loaded key, so it does next to nothing for keys that are not ours.
pub(in crate::server) fn notified(ctx: &Context, event: &str, key: &[u8]) {
    if let Some(graph) = own::graph_of(key) {
        return changed(graph);
    }
    if event == "new" {
        return created(key);
    }
    if are_none() || !matches!(event, "rename_from" | "rename_to") {
        return;
    }
    let Ok(name) = std::str::from_utf8(key) else { return };
    note(ctx, |steps| match event {
        "rename_from" => steps.renamed_from(GraphName::new(name)),
        _ => steps.renamed_to(GraphName::new(name)),
    });
}

/// A key is being removed, or overwritten.
pub(in crate::server) fn removed(ctx: &Context, key: &[u8]) {
    let Ok(name) = std::str::from_utf8(key) else { return };
    let graph = GraphName::new(name);
    // Within a transaction, a graph that was renamed before is not known by its new name yet.
    if known().contains_key(&graph) || lock(&STEPS).are_some() {
        note(ctx, |steps| steps.removed(graph));
    }
}

/// Notes a step; the first one has all of them followed at the end of the command.
fn note(ctx: &Context, step: impl FnOnce(&mut Steps)) {
    let mut steps = lock(&STEPS);
    let first = !steps.are_some();
    step(&mut steps);
    drop(steps);
    if first && !at_end_of_command(ctx, |hold| follow(hold, take())) {
        take();
    }
}

fn take() -> Steps {
    std::mem::replace(&mut *lock(&STEPS), Steps::new())
}

/// A graph is about to be copied, or somebody would like that.
pub(in crate::server) fn copying(from: GraphName, to: GraphName) {
    if known().contains_key(&from) {
        let mut copies = lock(&COPIES);
        if copies.len() >= MAX_COPIES {
            copies.clear();
        }
        copies.insert(to, from);
        COPYING.store(true, Ordering::Relaxed);
    }
}

/// A key has been created, perhaps as a copy: the engine makes it later, and tells of it by nothing
/// else.
fn created(key: &[u8]) {
    if !COPYING.load(Ordering::Relaxed) {
        return;
    }
    let Ok(name) = std::str::from_utf8(key) else { return };
    let to = GraphName::new(name);
    let mut copies = lock(&COPIES);
    let from = copies.remove(&to);
    COPYING.store(!copies.is_empty(), Ordering::Relaxed);
    if let Some(from) = from {
        post(move |held| held.into_iter().for_each(|hold| follow_copy(&hold, &from, &to)));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
