//! Users' requests for a pass, and which of them each finished pass fulfils.

use std::collections::BTreeMap;

use crate::fill::port::id::RunId;
use crate::fill::tally::Tally;
use crate::rule::Binding;

/// Runs that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    open: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    id: RunId,
    /// By binding, the number of the pass that fulfils the run; `None` = the graphs are not listed
    /// yet.
    waits_for: Option<BTreeMap<Binding, u64>>,
    tally: Tally,
}

impl Runs {
    /// A run over all graphs, which have yet to be listed.
    pub(crate) fn open_all(&mut self, id: RunId) {
        self.open.push(Run { id, waits_for: None, tally: Tally::default() });
    }

    /// A run that waits for these passes.
    pub(crate) fn open_some(&mut self, id: RunId, passes: BTreeMap<Binding, u64>) {
        self.open.push(Run { id, waits_for: Some(passes), tally: Tally::default() });
    }

    /// The graphs are listed: these passes are what the runs over all of them wait for.
    pub(crate) fn listed(&mut self, passes: &BTreeMap<Binding, u64>) {
        for run in &mut self.open {
            run.waits_for.get_or_insert_with(|| passes.clone());
        }
    }

    /// A pass has ended.
    pub(crate) fn ended(&mut self, binding: &Binding, pass: u64, tally: &Tally) {
        for run in &mut self.open {
            let Some(waits_for) = &mut run.waits_for else { continue };
            if waits_for.get(binding).is_some_and(|number| *number <= pass) {
                waits_for.remove(binding);
                // Passes over several graphs overlap: the run took as long as the longest one.
                let duration = run.tally.duration.max(tally.duration);
                run.tally.add(tally);
                run.tally.duration = duration;
            }
        }
    }

    /// Takes out the runs with nothing left to wait for.
    pub(crate) fn fulfilled(&mut self) -> Vec<(RunId, Tally)> {
        let done = |run: &mut Run| run.waits_for.as_ref().is_some_and(BTreeMap::is_empty);
        self.open.extract_if(.., done).map(|run| (run.id, run.tally)).collect()
    }

    /// A rule is no longer at work on a graph: no run waits for it.
    pub(crate) fn forget(&mut self, binding: &Binding) {
        for waits_for in self.open.iter_mut().filter_map(|run| run.waits_for.as_mut()) {
            waits_for.remove(binding);
        }
    }

    /// The user no longer waits for this run.
    pub(crate) fn close(&mut self, id: RunId) {
        self.open.retain(|run| run.id != id);
    }

    /// Takes out all runs: no pass can be made.
    pub(crate) fn drain(&mut self) -> Vec<RunId> {
        self.open.drain(..).map(|run| run.id).collect()
    }

    /// Whether a run waits for the graphs to be listed.
    pub(crate) fn need_listing(&self) -> bool {
        self.open.iter().any(|run| run.waits_for.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fixture::binding;

    #[test]
    fn a_run_is_fulfilled_by_a_pass_that_began_after_it() {
        let (mut runs, graph) = (Runs::default(), binding("g"));
        runs.open_some(RunId(1), BTreeMap::from([(graph.clone(), 2)]));
        runs.ended(&graph, 1, &Tally { written: 5, ..Tally::default() });
        assert!(runs.fulfilled().is_empty());
        runs.ended(&graph, 2, &Tally { written: 7, ..Tally::default() });
        let done = runs.fulfilled();
        assert_eq!(done.len(), 1);
        assert_eq!(done[0].1.written, 7);
    }

    #[test]
    fn a_run_over_no_graph_at_all_ends() {
        let mut runs = Runs::default();
        runs.open_all(RunId(1));
        assert!(runs.need_listing() && runs.fulfilled().is_empty());
        runs.listed(&BTreeMap::new());
        assert_eq!(runs.fulfilled().len(), 1);
    }
}
