//! What must always hold in a simulated world, and once it is calm.

use crate::fill::pass::Pass;
use crate::fill::sim::*;
use crate::rule::Binding;

impl World {
    /// What must hold at every moment.
    pub(super) fn check(&self) {
        let seed = self.seed;
        for (name, graph) in &self.graphs {
            for (id, node) in graph {
                if let Some(vector) = &node.vector {
                    assert_eq!(*vector, vector_of(&node.text), "seed {seed}: {name} {id}");
                    assert!(!node.text.contains("poison"), "seed {seed}");
                }
                if node.is_quarantined() {
                    // A text that is never answered on its own is quarantined like a refused one.
                    let bad = node.text.contains("poison") || node.text.contains("stumble");
                    assert!(bad, "seed {seed}: {name} {id} {node:?}");
                }
            }
        }
        let schedule = &self.filler.schedule;
        // A pass may hold nodes of a graph that is gone.
        let graphs = self.graphs.len().max(schedule.passes().count()).max(1);
        let most = (CONCURRENCY * BATCH * 2 + BATCH) * graphs;
        for pass in schedule.passes().filter(|pass| pass.is_ending()) {
            // Nothing is waiting to be sent any more: the remaining nodes are on their way out.
            let leaving = pass.held() > 0 || pass.awaits_store();
            assert!(leaving && !pass.needs_embedder(), "seed {seed}: it cannot end: {pass:#?}");
        }
        let held: usize = schedule.passes().map(Pass::held).sum();
        assert!(held <= most, "seed {seed}: {held} nodes held");
    }

    /// Nothing is missing once everything is calm.
    pub(super) fn assert_complete(&self) {
        // A graph that cannot be written to does not starve others.
        for (name, graph) in
            self.graphs.iter().filter(|(name, _)| self.cursed.as_ref() != Some(name))
        {
            for (id, node) in graph.iter().filter(|(_, node)| !node.text.is_empty()) {
                let done = node.vector.is_some() || node.is_quarantined();
                let done = done || node.text.contains("stumble");
                let lane = self.filler.lanes.figures(self.now);
                let rule = settings(self.seed).rules.of(name).remove(0);
                let pass = self.filler.schedule.pass(&Binding::new(name, &rule.name));
                assert!(done, "seed {}: {name} {id} {node:?} {lane:?} {pass:#?}", self.seed);
            }
        }
        let open: Vec<_> = self.filler.schedule.passes().collect();
        assert!(
            !self.filler.is_busy(),
            "seed {}: never ends: {open:#?} {:?}",
            self.seed,
            self.filler.lanes
        );
        assert!(self.runs.is_empty(), "seed {}: runs without an answer", self.seed);
    }
}
