//! How passes begin and end.

use std::time::Instant;

use crate::fill::pass::{Ending, Finished, Pass, Plan};
use crate::fill::schedule::bound::Bound;
use crate::fill::schedule::{MAX_OPEN, MAX_PASSES, Schedule};
use crate::rule::Binding;
use crate::rule::name::EmbedderName;
use crate::rule::set::RuleSet;

impl Schedule {
    /// **Where passes begin**, graph by graph in turn.
    pub(crate) fn begin_passes(&mut self, now: Instant) {
        if !self.may_begin() {
            return;
        }
        for embedder in self.bindings.wanted_embedders() {
            self.begin_passes_of(now, &embedder);
        }
    }

    /// An embedder that is slow keeps only its own passes open.
    fn begin_passes_of(&mut self, now: Instant, embedder: &EmbedderName) {
        while let Some((priority, binding)) = self.bindings.next_wanted(embedder) {
            let ours = || self.passes().filter(|pass| pass.rule().embedder == *embedder);
            // Those that are less urgent keep nobody waiting.
            let before = |pass: &&Pass| !pass.is_waiting() && pass.rule().priority >= priority;
            if ours().filter(before).count() >= MAX_OPEN || ours().count() >= MAX_PASSES {
                return;
            }
            self.bindings.serve(&binding);
            let begun = self.bindings.edit(&binding, Bound::begin).flatten();
            let Some((scope, check_indexes, rule)) = begun else {
                debug_assert!(false, "a pass begins that nobody wanted");
                return;
            };
            let plan = Plan {
                scope,
                check_indexes: check_indexes && rule.index.is_some(),
                rule,
                max_rows: self.max_rows(),
            };
            self.bindings.begin(&binding, Pass::new(plan, now));
        }
    }

    /// Lets a pass look for new nodes if another pass over its graph is requested before it can
    /// end.
    pub(crate) fn extend_passes(&mut self, now: Instant) {
        self.bindings.passes_wanted_again().for_each(|pass| pass.extend(now));
    }

    /// Takes out a pass that has ended.
    pub(crate) fn end_pass(&mut self, now: Instant, binding: &Binding) -> Option<Finished> {
        let finished = self.bindings.end(binding)?.finish(now);
        let ended =
            self.bindings.edit(binding, |bound| (bound.begun, bound.finish(now, &finished)));
        debug_assert!(ended.is_some(), "a pass of a binding that is not known");
        let (begun, forgotten) = ended.unwrap_or((u64::MAX, true));
        self.runs.ended(binding, begun, &finished.tally);
        if forgotten {
            self.bindings.remove(binding);
        }
        self.totals.add(&finished.tally);
        Some(finished)
    }

    /// Ends the passes of rules that have changed, or are no longer at work on their graph.
    pub(crate) fn end_changed(&mut self, rules: &RuleSet) {
        for (binding, pass) in self.bindings.active_mut() {
            let rule = rules.get(&binding.graph, &binding.rule);
            if rule.as_ref() != Some(pass.rule()) {
                pass.end(Ending::Stop, None);
            }
        }
    }
}
