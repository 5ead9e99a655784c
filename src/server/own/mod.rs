//! Rules that are kept beside a graph, in the hash `vectorfill:{graph}`: what we know of them, and
//! how we learn that they have changed.
//!
//! The hash is data like any other: Redis replicates it, saves it, and moves it with its slot. A
//! keyspace event says that one has changed; a posted job reads it then.

mod events;
mod keep;

pub(super) use events::{copied, deleted, notified};
pub(super) use keep::{delete, read as read_kept, set};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::entity::GraphName;
use crate::rule::Rule;
use crate::rule::definition::own;
use crate::server::config;
use crate::server::graph::hold::{Hold, post};
use crate::server::graph::survey::graphs;

/// The rules of all graphs that have some of their own.
pub(super) type OwnRules = BTreeMap<GraphName, Vec<Arc<Rule>>>;

/// The most own rules that are read for one graph.
pub(super) const MAX_RULES: usize = 64;
/// Changed hashes that are remembered one by one; beyond that, all are read again.
const MAX_CHANGED: usize = 4_096;

/// What was read last.
static KNOWN: ArcSwapOption<OwnRules> = ArcSwapOption::const_empty();

/// What has changed since.
static CHANGED: Mutex<Changed> = Mutex::new(Changed::Some(BTreeSet::new()));

enum Changed {
    Some(BTreeSet<GraphName>),
    All,
}

/// All own rules, as they were read last.
pub(super) fn known() -> Arc<OwnRules> {
    KNOWN.load_full().unwrap_or_default()
}

/// The hash of this graph has changed.
pub(super) fn changed(graph: GraphName) {
    let mut changed = lock();
    if let Changed::Some(graphs) = &mut *changed {
        graphs.insert(graph);
        if graphs.len() > MAX_CHANGED {
            *changed = Changed::All;
        }
    }
    drop(changed);
    read_soon();
}

/// Any hash may have changed: the data set is another one.
pub(super) fn all_changed() {
    *lock() = Changed::All;
    read_soon();
}

fn lock() -> MutexGuard<'static, Changed> {
    CHANGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what has changed, as soon as the server is free. While it loads, the end of loading will
/// ask again.
fn read_soon() {
    post(|held| {
        if let Ok(hold) = held {
            read(&hold);
        }
    });
}

/// Reads what has changed, and puts it into force.
pub(super) fn read(hold: &Hold<'_>) {
    let changed = std::mem::replace(&mut *lock(), Changed::Some(BTreeSet::new()));
    let (mut rules, graphs) = match changed {
        Changed::Some(graphs) if graphs.is_empty() => return,
        Changed::Some(graphs) => (OwnRules::clone(&known()), graphs),
        Changed::All => {
            let all = graphs(hold).into_iter().collect();
            (OwnRules::new(), all)
        }
    };
    for graph in graphs {
        let found = keep::rules_of(hold, &graph);
        if found.is_empty() {
            rules.remove(&graph);
        } else {
            rules.insert(graph, found);
        }
    }
    if rules != *known() {
        KNOWN.store(Some(Arc::new(rules)));
        config::changed();
    }
}

/// What is kept of a graph's rules, as text: names and definitions.
pub(super) fn texts(hold: &Hold<'_>, graph: &GraphName) -> Vec<(String, String)> {
    let Ok(key) = own::key(graph) else { return Vec::new() };
    keep::texts(hold, &key)
}
