//! The graphs in figures: each, the worst, and their sums.

use std::sync::Arc;

use crate::entity::GraphName;
use crate::fill::status::graph::{GraphFigures, GraphState, coverage};
use crate::rule::Binding;
use crate::rule::name::DEFAULT;

/// The graphs in figures. Their reader holds the server, so anything expensive is done when they
/// are built.
#[derive(Debug, Clone, Default)]
pub(crate) struct GraphsFigures {
    /// By name.
    all: Vec<(GraphName, Arc<GraphFigures>)>,
    /// Indexes of those worth a look, the worst first: at most [`MAX_RANKED`].
    ranked: Vec<usize>,
    /// Over all graphs.
    pub sums: Sums,
}

/// Figures summed over all graphs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// How many graphs there are.
    pub graphs: u64,
    /// Nodes with a text and no vector, not quarantined.
    pub pending: u64,
    /// Nodes selected and not settled.
    pub in_flight: u64,
    /// Nodes with a text.
    pub eligible: u64,
    /// Nodes with a text and a vector.
    pub embedded: u64,
    /// Nodes marked with an error.
    pub quarantined: u64,
    /// Graphs with a pass under way.
    pub busy: u64,
}

/// Maximum number of ranked graphs: as many as INFO lists.
pub(crate) const MAX_RANKED: usize = 100;

impl GraphsFigures {
    /// Sums and ranks the graphs. The bindings must be sorted.
    pub(crate) fn new<'a>(
        bindings: impl Iterator<Item = (&'a Binding, Arc<GraphFigures>)>,
    ) -> Self {
        let all = by_graph(bindings);
        let mut sums = Sums { graphs: all.len() as u64, ..Sums::default() };
        let mut behind = Vec::new();
        for (place, (_, graph)) in all.iter().enumerate() {
            sums.add(graph);
            if !graph.is_finished() {
                behind.push((place, graph.last_error.is_some(), graph.pending));
            }
        }
        behind
            .sort_unstable_by_key(|(place, failed, pending)| (!failed, u64::MAX - pending, *place));
        let mut ranked: Vec<usize> = behind.iter().map(|(place, ..)| *place).collect();
        ranked.truncate(MAX_RANKED);
        Self { all, ranked, sums }
    }

    /// One graph.
    pub(crate) fn get(&self, name: &GraphName) -> Option<&GraphFigures> {
        let place = self.all.binary_search_by(|(known, _)| known.cmp(name)).ok()?;
        self.all.get(place).map(|(_, graph)| &**graph)
    }

    /// All graphs, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GraphName, &GraphFigures)> {
        self.all.iter().map(|(name, graph)| (name, &**graph))
    }

    /// Graphs that are not finished, the worst first.
    pub(crate) fn behind(&self) -> impl Iterator<Item = (&GraphName, &GraphFigures)> {
        let graphs = self.ranked.iter().filter_map(|place| self.all.get(*place));
        graphs.map(|(name, graph)| (name, &**graph))
    }
}

/// The figures of each graph: those of its rules, added up if there are several.
fn by_graph<'a>(
    bindings: impl Iterator<Item = (&'a Binding, Arc<GraphFigures>)>,
) -> Vec<(GraphName, Arc<GraphFigures>)> {
    let mut all: Vec<(GraphName, Arc<GraphFigures>)> = Vec::new();
    for (binding, figures) in bindings {
        match all.last_mut().filter(|(graph, _)| *graph == binding.graph) {
            Some((_, graph)) => Arc::make_mut(graph).add(&binding.rule, figures),
            None if binding.rule.as_str() == DEFAULT => all.push((binding.graph.clone(), figures)),
            None => {
                let mut graph = GraphFigures::default();
                graph.add(&binding.rule, figures);
                all.push((binding.graph.clone(), graph.into()));
            }
        }
    }
    all
}

impl Sums {
    fn add(&mut self, graph: &GraphFigures) {
        self.pending += graph.pending;
        self.in_flight += graph.in_flight;
        self.eligible += graph.eligible;
        self.embedded += graph.embedded;
        self.quarantined += graph.quarantined;
        self.busy += u64::from(graph.state != GraphState::Idle);
    }

    /// The figures under their public names, except `coverage`.
    pub(crate) fn figures(&self) -> [(&'static str, u64); 6] {
        [
            ("graphs", self.graphs),
            ("pending", self.pending),
            ("in_flight", self.in_flight),
            ("eligible", self.eligible),
            ("embedded", self.embedded),
            ("quarantined", self.quarantined),
        ]
    }

    /// Share of the nodes with a text that have a vector; 1 when there are none.
    pub(crate) fn coverage(&self) -> f64 {
        coverage(self.embedded, self.eligible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fixture::binding;

    #[test]
    fn the_worst_come_first_and_finished_ones_not_at_all() {
        let graph = |name: &str, pending, error: Option<&str>| {
            let last_error = error.map(str::to_owned);
            let figures = GraphFigures { pending, eligible: 9, last_error, ..Default::default() };
            (binding(name), Arc::new(figures))
        };
        let all = [
            graph("a", 0, None),
            graph("b", 2, None),
            graph("c", 0, Some("no")),
            graph("d", 7, None),
        ];
        let graphs = GraphsFigures::new(all.iter().map(|(binding, f)| (binding, Arc::clone(f))));
        let names: Vec<&str> = graphs.behind().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["c", "d", "b"]);
        assert_eq!((graphs.sums.graphs, graphs.sums.pending, graphs.sums.eligible), (4, 9, 36));
        assert_eq!(graphs.get(&GraphName::new("d")).map(|g| g.pending), Some(7));
        assert_eq!(graphs.get(&GraphName::new("e")), None);
    }
}
