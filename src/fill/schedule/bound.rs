//! What the core remembers about one rule at work on a graph, between passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fill::pass::{Finished, NoText, Pass, Progress};
use crate::fill::retry::doubled;
use crate::fill::schedule::dirty::DirtySchedule;
use crate::fill::status::{GraphFigures, GraphState};
use crate::fill::sweep::Scope;
use crate::rule::Rule;

/// How long wake-ups leave a graph alone after a pass that deferred nodes; doubled each time, so
/// that a text which the service never answers is not retried on every write.
const DEFERRED_REST: Duration = Duration::from_secs(5);
const MAX_DEFERRED_REST: Duration = Duration::from_secs(320);

/// A rule at work on a graph.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) rule: Arc<Rule>,
    /// The rule is no longer in force here; only the pass under way is still waited for.
    retired: bool,
    /// A pass has been requested and has not begun.
    pub(crate) wanted: Option<Scope>,
    /// Passes begun so far; identifies the pass a run waits for.
    pub(crate) begun: u64,
    /// Shared with the readers of the published snapshot.
    figures: Arc<GraphFigures>,
    /// A pass has checked the indexes, and no client has written to the graph since, so none can
    /// have been dropped.
    indexes_checked: bool,
    /// A client has written since the pass began.
    written: bool,
    /// Consecutive passes that deferred nodes.
    deferrals: u32,
    pub(crate) dirty: DirtySchedule,
}

impl Bound {
    /// Nothing is known of the graph yet.
    pub(crate) fn new(rule: Arc<Rule>) -> Self {
        Self {
            rule,
            retired: false,
            wanted: None,
            begun: 0,
            figures: Arc::default(),
            indexes_checked: false,
            written: false,
            deferrals: 0,
            dirty: DirtySchedule::default(),
        }
    }

    /// The rule has changed: the graph is looked at anew.
    pub(crate) fn follow(&mut self, rule: &Arc<Rule>) {
        self.rule = Arc::clone(rule);
        self.retired = false;
        self.indexes_checked = false;
        self.wanted = Some(Scope::Full);
    }

    /// The rule is no longer in force: no pass begins any more.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
        self.wanted = None;
        self.dirty = DirtySchedule::default();
    }

    /// Whether this rule is what the binding follows.
    pub(crate) fn follows(&self, rule: &Arc<Rule>) -> bool {
        self.rule == *rule && !self.retired
    }

    /// A client writes to the graph; `wake` = another pass will look for the change.
    pub(crate) fn touch(&mut self, now: Instant, wake: bool) {
        self.indexes_checked = false;
        self.written = true;
        if wake && !self.retired {
            self.dirty.mark(now);
        }
    }

    /// Begins the requested pass. Returns what it sweeps, whether it checks
    /// the indexes, and the rule it follows.
    pub(crate) fn begin(&mut self) -> Option<(Scope, bool, Arc<Rule>)> {
        let scope = self.wanted.take()?;
        self.written = false;
        self.begun += 1;
        Some((scope, !self.indexes_checked, Arc::clone(&self.rule)))
    }

    /// Requests a pass, and returns the number of the pass that will cover everything there is now.
    pub(crate) fn want(&mut self) -> u64 {
        self.wanted = Some(Scope::Full);
        self.begun + 1
    }

    /// This many nodes were released from quarantine: they are tried again at once.
    pub(crate) fn released(&mut self, nodes: u64) {
        self.advance(&Progress { released: nodes, ..Progress::default() });
        self.wanted = Some(Scope::Full).filter(|_| !self.retired);
    }

    /// Takes over what a pass has seen or done.
    pub(crate) fn advance(&mut self, progress: &Progress) {
        let figures = Arc::make_mut(&mut self.figures);
        if let Some(counted) = progress.counted {
            figures.eligible = counted.eligible;
            figures.quarantined = counted.quarantined;
            figures.embedded = counted.eligible.saturating_sub(counted.unfilled);
            figures.pending = counted.unfilled.saturating_sub(counted.quarantined);
        }
        let Progress { found, released, embedded, quarantined, counted: _ } = *progress;
        figures.eligible += found;
        figures.embedded += embedded;
        figures.quarantined = (figures.quarantined + quarantined).saturating_sub(released);
        figures.pending =
            (figures.pending + found + released).saturating_sub(embedded + quarantined);
    }

    /// Whether a pass has been requested and has not begun.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether a pass is still expected, so that the graph must not be forgotten.
    pub(crate) fn is_expected(&self) -> bool {
        self.wanted.is_some() || self.dirty.is_set()
    }

    /// Turns a wake-up that is due into a request for a pass. Returns whether it did.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let Some(scope) = self.dirty.take(now) else { return false };
        // A new relationship may begin at any node.
        let scope = if self.rule.pattern.is_relationships() { Scope::Full } else { scope };
        // A full sweep also covers the new nodes.
        if self.wanted != Some(Scope::Full) {
            self.wanted = Some(scope);
        }
        true
    }

    /// A pass has ended. Returns whether the graph may be forgotten.
    pub(crate) fn finish(&mut self, now: Instant, pass: &Finished) -> bool {
        self.dirty.swept(now, pass.scope, pass.swept, pass.end_of_graph);
        if pass.tally.deferred > 0 {
            // Deferred nodes are retried by the next pass, not on every write.
            let rest = doubled(DEFERRED_REST, self.deferrals, MAX_DEFERRED_REST);
            self.deferrals = self.deferrals.saturating_add(1);
            self.dirty.hold_off(now + rest);
        } else if pass.scope == Scope::Full {
            self.deferrals = 0;
        }
        self.indexes_checked |= pass.indexes_checked && !self.written;
        let figures = Arc::make_mut(&mut self.figures);
        figures.length = pass.length.or(figures.length);
        if pass.scope == Scope::Full {
            let count = |kind| pass.without_text.get(&kind).copied().unwrap_or(0);
            (figures.blank, figures.unusable) = (count(NoText::Blank), count(NoText::Unusable));
            let none = figures.blank + figures.unusable;
            figures.pending = figures.pending.saturating_sub(none);
            figures.eligible = figures.eligible.saturating_sub(none);
            figures.owner = pass.owner;
        }
        figures.last_run = Some(now);
        figures.last_error.clone_from(&pass.tally.error);
        figures.last_pass = Some(pass.tally.clone());
        self.retired || pass.gone && !self.is_expected()
    }

    /// The graph as STATUS shows it, including the pass under way.
    pub(crate) fn figures(
        &self,
        now: Instant,
        pass: Option<&Pass>,
        waits: bool,
    ) -> Arc<GraphFigures> {
        let Some(pass) = pass else { return Arc::clone(&self.figures) };
        let mut figures = GraphFigures::clone(&self.figures);
        pass.show(now, &mut figures);
        if waits && pass.has_batch() {
            figures.state = GraphState::Waiting;
        }
        Arc::new(figures)
    }
}
