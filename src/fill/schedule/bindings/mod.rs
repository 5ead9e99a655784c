//! All known bindings, with what is due and what is under way indexed separately: a server may hold
//! thousands of graphs of which only a handful need anything, and no event may iterate over all of
//! them.

mod turns;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::pass::Pass;
use crate::fill::schedule::bound::Bound;
use crate::rule::name::EmbedderName;
use crate::rule::set::RuleSet;
use crate::rule::{Binding, Rule};

/// The bindings, the passes under way, and two indexes.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    known: BTreeMap<Binding, Bound>,
    /// Bindings whose pass has been requested and may begin, by embedder, the urgent ones first.
    wanted: BTreeSet<(EmbedderName, Reverse<i32>, Binding)>,
    /// Passes under way.
    passes: BTreeMap<Binding, Pass>,
    /// When the next sweep after a write is due.
    due: BTreeSet<(Instant, Binding)>,
    /// The binding that was served last.
    turn: Option<Binding>,
    /// Counts the turns at an embedder.
    turns: u32,
}

impl Bindings {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Binding, &Bound)> {
        self.known.iter()
    }

    /// A rule applies to a graph. If it has changed, the graph is looked at anew. Returns whether it
    /// did not apply before.
    pub(crate) fn bind(&mut self, graph: &GraphName, rule: &Arc<Rule>) -> bool {
        let binding = Binding::new(graph, &rule.name);
        match self.known.get(&binding) {
            None => {
                self.known.insert(binding, Bound::new(Arc::clone(rule)));
                true
            }
            Some(known) if !known.follows(rule) => {
                self.edit(&binding, |bound| bound.follow(rule));
                false
            }
            Some(_) => false,
        }
    }

    /// Other rules are in force: what they no longer say is forgotten at once, except for passes
    /// under way, which end. Returns what was forgotten.
    pub(crate) fn retire(&mut self, rules: &RuleSet) -> Vec<Binding> {
        let (mut graph, mut in_force) = (None, Vec::new());
        let mut gone = Vec::new();
        for binding in self.known.keys() {
            if graph.replace(&binding.graph) != Some(&binding.graph) {
                in_force = rules.of(&binding.graph);
            }
            if in_force.iter().all(|rule| rule.name != binding.rule) {
                gone.push(binding.clone());
            }
        }
        for binding in &gone {
            if self.passes.contains_key(binding) {
                self.edit(binding, Bound::retire);
            } else {
                self.remove(binding);
            }
        }
        gone
    }

    /// The bindings of a graph.
    pub(crate) fn of_graph(&self, graph: &GraphName) -> Vec<Binding> {
        let first = Binding::first(graph);
        let here = self.known.range(first..).map(|(binding, _)| binding);
        here.take_while(|binding| binding.graph == *graph).cloned().collect()
    }

    /// Changes the requests or wake-ups of a binding; `None` = it is not known.
    pub(crate) fn edit<T>(
        &mut self,
        binding: &Binding,
        change: impl FnOnce(&mut Bound) -> T,
    ) -> Option<T> {
        let bound = self.known.get_mut(binding)?;
        let (before, place) = (bound.dirty.next(), place(binding, bound));
        let outcome = change(bound);
        let after = bound.dirty.next();
        self.move_due(binding, before, after);
        self.wanted.remove(&place);
        self.index_wanted(binding);
        Some(outcome)
    }

    fn index_wanted(&mut self, binding: &Binding) {
        let Some(bound) = self.known.get(binding) else { return };
        if bound.is_wanted() && !self.passes.contains_key(binding) {
            self.wanted.insert(place(binding, bound));
        }
    }

    /// A pass begins. A binding has one at a time.
    pub(crate) fn begin(&mut self, binding: &Binding, pass: Pass) {
        self.passes.insert(binding.clone(), pass);
        if let Some(bound) = self.known.get(binding) {
            self.wanted.remove(&place(binding, bound));
        }
    }

    /// Takes out the pass of a binding, which has ended.
    pub(crate) fn end(&mut self, binding: &Binding) -> Option<Pass> {
        let pass = self.passes.remove(binding);
        self.index_wanted(binding);
        pass
    }

    pub(crate) fn pass(&self, binding: &Binding) -> Option<&Pass> {
        self.passes.get(binding)
    }

    pub(crate) fn pass_mut(&mut self, binding: &Binding) -> Option<&mut Pass> {
        self.passes.get_mut(binding)
    }

    /// A binding and its pass, for changes that affect no index.
    pub(crate) fn in_pass(&mut self, binding: &Binding) -> Option<(&mut Bound, &mut Pass)> {
        self.known.get_mut(binding).zip(self.passes.get_mut(binding))
    }

    fn move_due(&mut self, binding: &Binding, before: Option<Instant>, after: Option<Instant>) {
        if before == after {
            return;
        }
        if let Some(at) = before {
            self.due.remove(&(at, binding.clone()));
        }
        if let Some(at) = after {
            self.due.insert((at, binding.clone()));
        }
    }

    pub(crate) fn remove(&mut self, binding: &Binding) {
        if let Some(graph) = self.known.remove(binding) {
            self.move_due(binding, graph.dirty.next(), None);
            self.wanted.remove(&place(binding, &graph));
        }
    }

    /// Forgets bindings that are gone, and returns them. One with an expected pass is forgotten when
    /// that pass finds nothing.
    pub(crate) fn keep(&mut self, there: &BTreeSet<Binding>) -> Vec<Binding> {
        let gone = |(binding, graph): (&Binding, &Bound)| {
            let kept =
                self.passes.contains_key(binding) || graph.is_expected() || there.contains(binding);
            (!kept).then(|| binding.clone())
        };
        let gone: Vec<Binding> = self.known.iter().filter_map(gone).collect();
        for binding in &gone {
            self.remove(binding);
        }
        gone
    }

    /// Turns wake-ups that are due into requests for a pass, where the embedder is worth it. Returns
    /// the embedders that passes are requested for.
    pub(crate) fn wake(
        &mut self,
        now: Instant,
        is_worth: impl Fn(&EmbedderName) -> bool,
    ) -> BTreeSet<EmbedderName> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<Binding> = due.map(|(_, binding)| binding.clone()).collect();
        let mut woken = BTreeSet::new();
        for binding in due {
            let embedder = self.known.get(&binding).map(|bound| bound.rule.embedder.clone());
            let Some(embedder) = embedder.filter(|embedder| is_worth(embedder)) else { continue };
            if self.edit(&binding, |bound| bound.wake(now)) == Some(true) {
                woken.insert(embedder);
            }
        }
        woken
    }

    /// When the next future wake-up is due.
    pub(crate) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let later = (now + Duration::from_nanos(1), Binding::first(&GraphName::new("")));
        self.due.range(later..).next().map(|(at, _)| *at)
    }

    /// Passes under way, for changes that affect no index.
    pub(crate) fn active_mut(&mut self) -> impl Iterator<Item = (&Binding, &mut Pass)> {
        self.passes.iter_mut()
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = (&Binding, &Pass)> {
        self.passes.iter()
    }

    /// Every pass, for changes that affect no index and do not depend on the order.
    pub(crate) fn passes_mut(&mut self) -> impl Iterator<Item = &mut Pass> {
        self.passes.values_mut()
    }

    /// Passes of bindings for which another pass is requested.
    pub(crate) fn passes_wanted_again(&mut self) -> impl Iterator<Item = &mut Pass> {
        let known = &self.known;
        let wanted = |binding: &Binding| known.get(binding).is_some_and(Bound::is_wanted);
        self.passes.iter_mut().filter(move |(binding, _)| wanted(binding)).map(|(_, pass)| pass)
    }

    pub(crate) fn is_active(&self) -> bool {
        !self.passes.is_empty()
    }
}

/// Where a binding stands among those that are wanted.
fn place(binding: &Binding, bound: &Bound) -> (EmbedderName, Reverse<i32>, Binding) {
    (bound.rule.embedder.clone(), Reverse(bound.rule.priority), binding.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fixture::{binding, rule};
    use crate::fill::pass::Plan;
    use crate::fill::sweep::Scope;
    use crate::rule::name::RuleName;

    /// The settings' rule at work on these graphs.
    fn bound(graphs: &[&str]) -> Bindings {
        let mut bindings = Bindings::default();
        let rule = Arc::new(rule());
        for graph in graphs {
            assert!(bindings.bind(&GraphName::new(graph), &rule));
        }
        bindings
    }

    fn next(bindings: &Bindings) -> Option<Binding> {
        bindings.next_wanted(&rule().embedder).map(|(_, binding)| binding)
    }

    fn wake(bindings: &mut Bindings, now: Instant) -> bool {
        !bindings.wake(now, |_| true).is_empty()
    }

    #[test]
    fn a_touched_graph_is_woken_when_it_is_due_and_not_before() {
        let (mut bindings, now, g) = (bound(&["g"]), Instant::now(), binding("g"));
        bindings.edit(&g, |bound| bound.dirty.mark(now));
        let due = bindings.next_wake(now).unwrap();
        assert!(!wake(&mut bindings, now) && next(&bindings).is_none());
        assert!(bindings.wake(due, |_| false).is_empty(), "its embedder is down");
        assert!(wake(&mut bindings, due));
        assert_eq!(next(&bindings), Some(g.clone()));
        assert!(bindings.next_wake(due) > Some(due), "a write is looked for more than once");
        bindings.remove(&g);
        assert_eq!((next(&bindings), bindings.next_wake(now)), (None, None));
    }

    #[test]
    fn graphs_begin_in_turn() {
        let mut bindings = bound(&["a", "b", "c"]);
        for graph in ["a", "b", "c"] {
            bindings.edit(&binding(graph), Bound::want);
        }
        let mut begun = Vec::new();
        for _ in 0..4 {
            let next = next(&bindings).unwrap();
            bindings.serve(&next);
            begun.push(next);
        }
        assert_eq!(begun, ["a", "b", "c", "a"].map(binding));
    }

    #[test]
    fn only_graphs_that_are_there_or_expected_are_kept() {
        let (mut bindings, now) = (bound(&["a", "b", "c"]), Instant::now());
        let [a, b, c] = ["a", "b", "c"].map(binding);
        bindings.edit(&c, |bound| bound.dirty.mark(now));
        assert_eq!(bindings.keep(&BTreeSet::from([a.clone()])), [b]);
        let left: Vec<&Binding> = bindings.iter().map(|(binding, _)| binding).collect();
        assert_eq!(left, [&a, &c]);
        wake(&mut bindings, now + Duration::from_secs(9));
        assert!(next(&bindings).is_some());
    }

    #[test]
    fn a_rule_that_changes_is_followed_anew_and_one_that_stays_is_not() {
        let (mut bindings, graph) = (bound(&["g"]), GraphName::new("g"));
        assert!(!bindings.bind(&graph, &Arc::new(rule())));
        assert!(next(&bindings).is_none());
        let changed = Arc::new(Rule { priority: 1, ..rule() });
        bindings.bind(&graph, &changed);
        assert_eq!(next(&bindings), Some(binding("g")));
    }

    #[test]
    fn a_rule_that_is_deleted_begins_no_pass_even_before_the_server_is_looked_at() {
        let (mut bindings, now, g) = (bound(&["g"]), Instant::now(), binding("g"));
        assert_eq!(bindings.retire(&RuleSet::of_default(rule())), []);
        assert_eq!(bindings.retire(&RuleSet::default()), std::slice::from_ref(&g));
        assert_eq!(bindings.edit(&g, |bound| bound.touch(now, true)), None);
    }

    #[test]
    fn the_urgent_ones_of_an_embedder_begin_first() {
        let mut bindings = Bindings::default();
        let graph = GraphName::new("g");
        for (name, embedder, priority) in [("a", "x", 0), ("b", "x", 7), ("c", "y", -3)] {
            let name = RuleName::parse("RULE", name).unwrap();
            let embedder = EmbedderName::parse("EMBEDDER", embedder).unwrap();
            bindings.bind(&graph, &Arc::new(Rule { name, embedder, priority, ..rule() }));
        }
        for binding in bindings.of_graph(&graph) {
            bindings.edit(&binding, Bound::want);
        }
        let embedders = bindings.wanted_embedders();
        let first: Vec<_> = embedders.iter().map(|name| bindings.next_wanted(name)).collect();
        let names = first.iter().flatten().map(|(at, binding)| (*at, binding.rule.as_str()));
        assert_eq!(names.collect::<Vec<_>>(), [(7, "b"), (-3, "c")]);
    }

    #[test]
    fn a_low_rule_gets_one_turn_in_twenty() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let graph = GraphName::new("g");
        for (name, priority) in [("high", 5), ("low", -1)] {
            let name = RuleName::parse("RULE", name).unwrap();
            let rule = Arc::new(Rule { name, priority, ..rule() });
            bindings.bind(&graph, &rule);
            let plan = Plan { scope: Scope::Full, rule, max_rows: 9, check_indexes: false };
            let binding = Binding::new(&graph, &plan.rule.name);
            bindings.begin(&binding, Pass::new(plan, now));
        }
        let embedder = rule().embedder;
        let first = (0..40).map(|_| bindings.in_turn_for(&embedder)[0].rule.to_string());
        assert_eq!(first.filter(|name| name == "low").count(), 2);
    }
}
