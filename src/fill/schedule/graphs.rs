//! All known graphs, with what is due and what is under way indexed separately: a server may hold
//! thousands of graphs of which only a handful need anything, and no event may iterate over all of
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::pass::Pass;
use crate::fill::schedule::graph::Graph;

/// The graphs, the passes under way, and two indexes.
#[derive(Debug, Default)]
pub(crate) struct Graphs {
    known: BTreeMap<GraphName, Graph>,
    /// Graphs whose pass has been requested and may begin.
    wanted: BTreeSet<GraphName>,
    /// Passes under way.
    passes: BTreeMap<GraphName, Pass>,
    /// When the next sweep after a write is due.
    due: BTreeSet<(Instant, GraphName)>,
    /// The graph that was served last.
    turn: Option<GraphName>,
}

impl Graphs {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn get(&self, name: &GraphName) -> Option<&Graph> {
        self.known.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GraphName, &Graph)> {
        self.known.iter()
    }

    /// Changes a graph's requests or wake-ups; an unknown graph is added.
    pub(crate) fn edit<T>(&mut self, name: &GraphName, change: impl FnOnce(&mut Graph) -> T) -> T {
        let graph = self.known.entry(name.clone()).or_default();
        let before = graph.dirty.next();
        let outcome = change(graph);
        let after = graph.dirty.next();
        let wanted = graph.wanted.is_some();
        self.move_due(name, before, after);
        self.index_wanted(name, wanted);
        outcome
    }

    fn index_wanted(&mut self, name: &GraphName, wanted: bool) {
        if !wanted || self.passes.contains_key(name) {
            self.wanted.remove(name);
        } else if !self.wanted.contains(name) {
            self.wanted.insert(name.clone());
        }
    }

    /// A pass begins. A graph has one at a time.
    pub(crate) fn begin(&mut self, name: &GraphName, pass: Pass) {
        self.passes.insert(name.clone(), pass);
        self.wanted.remove(name);
    }

    /// Takes out the pass of a graph, which has ended.
    pub(crate) fn end(&mut self, name: &GraphName) -> Option<Pass> {
        let pass = self.passes.remove(name);
        let wanted = self.known.get(name).is_some_and(|graph| graph.wanted.is_some());
        self.index_wanted(name, wanted);
        pass
    }

    pub(crate) fn pass(&self, name: &GraphName) -> Option<&Pass> {
        self.passes.get(name)
    }

    pub(crate) fn pass_mut(&mut self, name: &GraphName) -> Option<&mut Pass> {
        self.passes.get_mut(name)
    }

    /// A graph and its pass, for changes that affect no index.
    pub(crate) fn in_pass(&mut self, name: &GraphName) -> Option<(&mut Graph, &mut Pass)> {
        self.known.get_mut(name).zip(self.passes.get_mut(name))
    }

    fn move_due(&mut self, name: &GraphName, before: Option<Instant>, after: Option<Instant>) {
        if before == after {
            return;
        }
        if let Some(at) = before {
            self.due.remove(&(at, name.clone()));
        }
        if let Some(at) = after {
            self.due.insert((at, name.clone()));
        }
    }

    /// Changes all graphs, in ways that affect no index.
    pub(crate) fn for_each(&mut self, change: impl FnMut(&mut Graph)) {
        self.known.values_mut().for_each(change);
    }

    pub(crate) fn remove(&mut self, name: &GraphName) {
        if let Some(graph) = self.known.remove(name) {
            self.move_due(name, graph.dirty.next(), None);
            self.wanted.remove(name);
        }
    }

    /// Forgets graphs that are gone. One with an expected pass is forgotten when that pass finds
    /// nothing.
    pub(crate) fn keep(&mut self, there: &BTreeSet<&GraphName>) {
        let gone = |(name, graph): (&GraphName, &Graph)| {
            let kept =
                self.passes.contains_key(name) || graph.is_expected() || there.contains(name);
            (!kept).then(|| name.clone())
        };
        let gone: Vec<GraphName> = self.known.iter().filter_map(gone).collect();
        for name in &gone {
            self.remove(name);
        }
    }

    /// Turns wake-ups that are due into requests for a pass. Returns whether there were any.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let mut woken = false;
        while let Some((_, name)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            // Each wake-up that is taken moves the next one later.
            if !self.edit(&name, |graph| graph.wake(now)) {
                break;
            }
            woken = true;
        }
        woken
    }

    /// When the next future wake-up is due.
    pub(crate) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let later = (now + Duration::from_nanos(1), GraphName::new(""));
        self.due.range(later..).next().map(|(at, _)| *at)
    }

    /// A graph whose pass may begin: the one after the graph that was served last.
    pub(crate) fn next_wanted(&self) -> Option<GraphName> {
        let after = self.turn.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.wanted.range((after, Bound::Unbounded)).next();
        next.or_else(|| self.wanted.first()).cloned()
    }

    /// The graph that is served now.
    pub(crate) fn serve(&mut self, name: &GraphName) {
        self.turn = Some(name.clone());
    }

    /// Graphs with a pass, beginning after the one that was served last.
    pub(crate) fn in_turn(&self) -> Vec<GraphName> {
        let mut names: Vec<GraphName> = self.passes.keys().cloned().collect();
        if let Some(turn) = &self.turn {
            let after = names.partition_point(|name| name <= turn);
            names.rotate_left(after);
        }
        names
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = (&GraphName, &Pass)> {
        self.passes.iter()
    }

    /// Every pass, for changes that affect no index and do not depend on the order.
    pub(crate) fn passes_mut(&mut self) -> impl Iterator<Item = &mut Pass> {
        self.passes.values_mut()
    }

    /// Passes over graphs for which another pass is requested.
    pub(crate) fn passes_wanted_again(&mut self) -> impl Iterator<Item = &mut Pass> {
        let known = &self.known;
        let wanted = |name: &GraphName| known.get(name).is_some_and(Graph::is_wanted);
        self.passes.iter_mut().filter(move |(name, _)| wanted(name)).map(|(_, pass)| pass)
    }

    pub(crate) fn is_active(&self) -> bool {
        !self.passes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(graphs: &[&str]) -> Vec<GraphName> {
        graphs.iter().map(|name| GraphName::new(name)).collect()
    }

    #[test]
    fn a_touched_graph_is_woken_when_it_is_due_and_not_before() {
        let (mut graphs, now) = (Graphs::default(), Instant::now());
        let name = GraphName::new("g");
        graphs.edit(&name, |graph| graph.dirty.mark(now));
        let due = graphs.next_wake(now).unwrap();
        assert!(!graphs.wake(now) && graphs.next_wanted().is_none());
        assert!(graphs.wake(due));
        assert_eq!(graphs.next_wanted(), Some(name.clone()));
        assert!(graphs.next_wake(due) > Some(due), "a write is looked for more than once");
        graphs.remove(&name);
        assert_eq!((graphs.next_wanted(), graphs.next_wake(now)), (None, None));
    }

    #[test]
    fn graphs_begin_in_turn() {
        let mut graphs = Graphs::default();
        for name in names(&["a", "b", "c"]) {
            graphs.edit(&name, Graph::want);
        }
        let mut begun = Vec::new();
        for _ in 0..4 {
            let name = graphs.next_wanted().unwrap();
            graphs.serve(&name);
            begun.push(name);
        }
        assert_eq!(begun, names(&["a", "b", "c", "a"]));
    }

    #[test]
    fn only_graphs_that_are_there_or_expected_are_kept() {
        let (mut graphs, now) = (Graphs::default(), Instant::now());
        let [a, b, c] = ["a", "b", "c"].map(GraphName::new);
        graphs.edit(&a, |_| ());
        graphs.edit(&b, |_| ());
        graphs.edit(&c, |graph| graph.dirty.mark(now));
        graphs.keep(&BTreeSet::from([&a]));
        let left: Vec<&GraphName> = graphs.iter().map(|(name, _)| name).collect();
        assert_eq!(left, [&a, &c]);
        graphs.wake(now + Duration::from_secs(9));
        assert!(graphs.next_wanted().is_some());
    }
}
