//! The store of a simulated world: FalkorDB as it behaves, with its faults.

use std::sync::Arc;
use std::time::Duration;

use crate::entity::{EntityId, Text};
use crate::fill::port::event::Event;
use crate::fill::port::fault::StoreFault;
use crate::fill::port::server::ServerState;
use crate::fill::port::store::{
    Answer, Change, Count, Index, Job, Mark, Marked, Query, Read, Seen, Selected, Selection,
    Source, Window, Write, Written,
};
use crate::fill::sim::*;

impl World {
    pub(super) fn perform_read(&mut self, read: &Read) {
        let (fault, built) = (self.store_fault(), !self.unlucky());
        let outcome = match (fault, self.graphs.get(&read.graph)) {
            (Some(fault), _) => Err(fault),
            (None, None) => Err(StoreFault::NoGraph),
            (None, Some(graph)) => {
                let ready = self.indexed.contains(&read.graph).then_some(built);
                Ok(answer(graph, ready, &read.query))
            }
        };
        if !self.is_lost() {
            self.later(5, Event::Read { ticket: read.ticket, outcome });
        }
    }

    /// The store as FalkorDB behaves: every guard is checked against the graph as it is now.
    pub(super) fn perform_write(&mut self, write: Write) {
        self.writes += 1;
        assert_eq!(self.writes, 1, "seed {}: one write at a time", self.seed);
        let cursed = self.cursed.as_ref() == Some(&write.graph);
        let curse = cursed.then(|| StoreFault::Other("the engine refuses this graph".into()));
        let fault = self.store_fault().or(curse);
        let outcome = match (fault, self.graphs.get_mut(&write.graph)) {
            (Some(fault), _) => Err(fault),
            (None, None) => Err(StoreFault::NoGraph),
            (None, Some(graph)) => {
                if matches!(write.change, Change::Job(Job::CreateIndex(_))) {
                    self.indexed.insert(write.graph.clone());
                }
                let ids = apply(graph, &write.change);
                Ok(Written { ids, held: Duration::from_micros(300), contended: self.rng.bool() })
            }
        };
        if self.is_lost() {
            self.writes -= 1;
        } else {
            self.later(1, Event::Written { write, outcome });
        }
    }

    pub(super) fn store_fault(&mut self) -> Option<StoreFault> {
        if let Some(fault) = self.server_fault() {
            return Some(fault);
        }
        self.unlucky().then(|| match self.rng.u32(..8) {
            7 => StoreFault::Begun,
            6 => StoreFault::Denied("NOREPLICAS".into()),
            0 => StoreFault::Paused,
            1 => StoreFault::Readers,
            2 => StoreFault::OutOfMemory,
            3 => StoreFault::QueueFull,
            4 => StoreFault::Timeout,
            _ => StoreFault::Other("the engine stumbled".into()),
        })
    }

    pub(super) fn server_fault(&mut self) -> Option<StoreFault> {
        match self.server {
            ServerState::Ready => self.is_lost().then_some(StoreFault::NoReply),
            ServerState::Replica => Some(StoreFault::Replica),
            ServerState::Loading => Some(StoreFault::Loading),
            ServerState::NoEngine => Some(StoreFault::NoEngine),
            ServerState::Settling => Some(StoreFault::Settling),
            ServerState::Foreign => Some(StoreFault::Foreign),
        }
    }
}

/// What the engine says of a graph; `indexed` = whether its index is built, if there is one.
pub(crate) fn answer(graph: &Graph, indexed: Option<bool>, query: &Query) -> Answer {
    let inside = |window: &Window| graph.range(window.from.id..window.hi);
    let beyond = |window: &Window| {
        let beyond = graph.range(window.hi..).next().filter(|_| !window.last);
        beyond.map(|(id, _)| *id)
    };
    let took = TOOK;
    let pending = |node: &Node| !node.text.is_empty() && node.vector.is_none();
    match query {
        Query::Indexes => {
            let index = |ready| Index { label: "Doc".into(), dimension: DIMENSIONS, ready };
            Answer::Indexes(indexed.map(index).into_iter().collect())
        }
        Query::Lists(_) => Answer::Lists(Vec::new()),
        Query::Sample(_) => Answer::Sample(Some(DIMENSIONS)),
        // Graphs above this size are counted in windows, others in one query.
        Query::CountAll { .. } if graph.len() > SMALL => Answer::CountAll(None),
        Query::CountAll { .. } => {
            let beyond = graph.keys().next_back().map(|last| last + 1);
            Answer::CountAll(Some(counted(graph.values(), beyond)))
        }
        Query::Count { window, .. } => {
            let nodes = inside(window).map(|(_, node)| node);
            Answer::Count(counted(nodes, beyond(window)))
        }
        Query::Marked { window, .. } => Answer::Marked(marked(graph, window, beyond(window))),
        Query::Select(window) => {
            let found = inside(window)
                .filter(|(_, node)| pending(node) && node.error.is_none())
                .take(window.rows);
            let longest = found.clone().map(|(_, node)| node.text.len()).max().unwrap_or(0);
            let rows: Vec<Selected> = found.map(|(id, node)| selected(*id, node)).collect();
            let last = rows.last().map(|row| row.id.0);
            let beyond = beyond(window);
            let seen = Seen { rows: rows.len(), last, longest, resume: None, beyond, took };
            Answer::Selection(Selection { rows, seen })
        }
    }
}

/// A node as the engine lists it.
pub(crate) fn selected(id: u64, node: &Node) -> Selected {
    Selected {
        id: EntityId(id),
        ends: None,
        label: Some("Doc".into()),
        source: Source::Text(node.text.clone().into()),
    }
}

fn counted<'a>(nodes: impl Iterator<Item = &'a Node> + Clone, beyond: Option<u64>) -> Count {
    let eligible = nodes.filter(|node| !node.text.is_empty());
    let unfilled = eligible.clone().filter(|node| node.vector.is_none());
    let quarantined = unfilled.clone().filter(|node| node.error.is_some());
    let [eligible, unfilled, quarantined] =
        [eligible.count(), unfilled.count(), quarantined.count()].map(|nodes| nodes as u64);
    let seen = Seen { rows: 0, last: None, longest: 0, resume: None, beyond, took: TOOK };
    Count { eligible, unfilled, quarantined, labels: vec![], owner: None, lists: false, seen }
}

fn marked(graph: &Graph, window: &Window, beyond: Option<u64>) -> Marked {
    let marks = graph.range(window.from.id..window.hi).filter(|(_, node)| node.vector.is_none());
    let rows: Vec<(Selected, String)> = marks
        .filter(|(_, node)| !node.text.is_empty())
        .filter_map(|(id, node)| Some((selected(*id, node), node.error.clone()?)))
        .take(window.rows)
        .collect();
    let last = rows.last().map(|(row, _)| row.id.0);
    let seen = Seen { rows: rows.len(), last, longest: 9, resume: None, beyond, took: TOOK };
    Marked { rows, seen }
}

/// Makes a change where its guards allow it, and returns the nodes that matched.
pub(crate) fn apply(graph: &mut Graph, change: &Change) -> Vec<EntityId> {
    match change {
        Change::Release(entities) => {
            let mut lift = |id: EntityId| graph.get_mut(&id.0)?.error.take().map(|_| id);
            entities.iter().filter_map(|entity| lift(entity.id)).collect()
        }
        Change::Job(Job::Vectors(rows)) => {
            let rows = rows.iter().map(|row| (row.entity.id, &row.text, &row.vector));
            let set = |(id, text, vector): (EntityId, &Text, &Arc<[f32]>)| {
                let node = matching(graph, id, text)?;
                (node.vector, node.error) = (Some(vector.to_vec()), None);
                Some(id)
            };
            rows.filter_map(set).collect()
        }
        Change::Job(Job::Quarantine(marks)) => {
            let set = |mark: &Mark| {
                let id = mark.entity.id;
                matching(graph, id, &mark.text)?.error = Some(mark.note.clone());
                Some(id)
            };
            marks.iter().filter_map(set).collect()
        }
        Change::Job(Job::CreateIndex(_) | Job::Convert(_)) => Vec::new(),
    }
}

/// The node, if it still holds the text and no vector.
fn matching<'a>(graph: &'a mut Graph, id: EntityId, text: &Text) -> Option<&'a mut Node> {
    let node = graph.get_mut(&id.0)?;
    (node.text.as_bytes() == text.bytes() && node.vector.is_none()).then_some(node)
}
