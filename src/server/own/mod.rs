//! Rules that are kept beside a graph, in the hash `vectorfill:{graph}`: what we know of them, and
//! how we learn that they have changed.
//!
//! The hash is data like any other: Redis replicates it, saves it, and moves it with its slot. A
//! keyspace event says that one has changed; a posted job reads it then.

mod events;
mod find;
mod keep;
mod steps;

pub(super) use events::{copying, notified, removed};
pub(super) use find::find;
pub(super) use keep::{delete, read as read_kept, set};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::rule::Rule;
use crate::rule::definition::own;
use crate::server::config;
use crate::server::graph::hold::{Hold, post};
use crate::server::graph::survey::graphs;

/// The rules of all graphs that have some of their own. None in the list = none can be in force.
pub(super) type OwnRules = BTreeMap<GraphName, Vec<Arc<Rule>>>;

/// The most own rules that are read for one graph.
pub(super) const MAX_RULES: usize = 64;
/// Changed hashes that are remembered one by one; beyond that, those of all graphs are read again.
const MAX_CHANGED: usize = 65_536;

/// What was read last.
static KNOWN: ArcSwapOption<OwnRules> = ArcSwapOption::const_empty();

/// What has changed since.
static CHANGED: Mutex<Changed> = Mutex::new(Changed { all: false, graphs: BTreeSet::new() });

struct Changed {
    /// Whether those of all graphs may have changed.
    all: bool,
    /// These may have, even if there is no such graph yet.
    graphs: BTreeSet<GraphName>,
}

/// All own rules, as they were read last.
pub(super) fn known() -> Arc<OwnRules> {
    KNOWN.load_full().unwrap_or_default()
}

/// Whether no graph has rules of its own.
pub(super) fn are_none() -> bool {
    KNOWN.load().as_ref().is_none_or(|known| known.is_empty())
}

/// All own rules, with texts cut off after so many characters: a setting, and no part of a rule.
pub(super) fn cut_at(max_text_chars: usize) -> Arc<OwnRules> {
    let mut known = known();
    if known.values().flatten().any(|rule| rule.max_text_chars != max_text_chars) {
        let rules = Arc::make_mut(&mut known).values_mut().flatten();
        rules.for_each(|rule| Arc::make_mut(rule).max_text_chars = max_text_chars);
    }
    known
}

/// The hash of this graph has changed.
pub(super) fn changed(graph: GraphName) {
    let mut changed = lock();
    if changed.graphs.len() < MAX_CHANGED {
        changed.graphs.insert(graph);
    } else {
        changed.all = true;
    }
    drop(changed);
    read_soon();
}

/// Any hash may have changed: the data set is another one.
pub(super) fn all_changed() {
    lock().all = true;
    read_soon();
}

fn lock() -> MutexGuard<'static, Changed> {
    CHANGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what has changed, as soon as the server is free. While it loads, the end of loading will
/// ask again.
fn read_soon() {
    post(|held| match held {
        Ok(hold) => read(&hold),
        Err(StoreFault::Loading) => {}
        Err(_) => read_soon(),
    });
}

/// Reads what has changed, and puts it into force.
///
/// Reads only the hashes that changed, unless all may have. New settings go to the worker only if
/// some rule is different, so it may be called freely before a command looks at the rules.
pub(super) fn read(hold: &Hold<'_>) {
    let none = Changed { all: false, graphs: BTreeSet::new() };
    let mut changed = std::mem::replace(&mut *lock(), none);
    if !changed.all && changed.graphs.is_empty() {
        return;
    }
    let known = known();
    if changed.all {
        changed.graphs.extend(graphs(hold));
        changed.graphs.extend(known.keys().cloned());
    }
    let mut rules = OwnRules::clone(&known);
    for graph in changed.graphs {
        match keep::rules_of(hold, &graph) {
            Some(found) => rules.insert(graph, found),
            None => rules.remove(&graph),
        };
    }
    if rules != *known {
        KNOWN.store(Some(Arc::new(rules)));
        config::changed();
    }
}

/// What is kept of a graph's rules, as text: names and definitions.
pub(super) fn texts(hold: &Hold<'_>, graph: &GraphName) -> Vec<(String, String)> {
    let Ok(key) = own::key(graph) else { return Vec::new() };
    keep::texts(hold, &key)
}
