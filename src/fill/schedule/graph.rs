//! What the core remembers of one graph between passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fill::pass::{Counted, Pass};
use crate::fill::retry::doubled;
use crate::fill::schedule::dirty::Wakes;
use crate::fill::status::GraphFigures;
use crate::fill::sweep::Scope;
use crate::fill::tally::Tally;

/// How long wake-ups leave a graph alone whose last pass left nodes behind; doubled each time, so
/// that a text which the service never answers is not tried by every write.
const DEFERRED_REST: Duration = Duration::from_secs(5);
const MOST_DEFERRED_REST: Duration = Duration::from_secs(320);

/// One graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// A pass has been asked for and not begun.
    pub(crate) wanted: Option<Scope>,
    /// Passes begun so far; names the pass a run waits for.
    pub(crate) begun: u64,
    /// Shared with whoever reads the published picture.
    pub(crate) figures: Arc<GraphFigures>,
    /// A pass has seen to the indexes, and nobody has written to the graph since: nobody can have
    /// dropped one.
    pub(crate) indexes_checked: bool,
    /// Somebody has written since the pass began.
    pub(crate) written: bool,
    /// The key is gone: forget the graph once its pass has ended.
    pub(crate) gone: bool,
    /// Passes in a row that left nodes behind.
    deferrals: u32,
    pub(crate) wakes: Wakes,
}

impl Graph {
    /// Somebody writes to the graph: another pass will look for it, if `wake` is wanted.
    pub(crate) fn touch(&mut self, now: Instant, wake: bool) {
        self.indexes_checked = false;
        self.written = true;
        if wake {
            self.wakes.touch(now);
        }
    }

    /// A pass that was wanted begins. Returns what it sweeps, and whether it looks at the indexes.
    pub(crate) fn begin(&mut self) -> Option<(Scope, bool)> {
        let scope = self.wanted.take()?;
        self.written = false;
        self.begun += 1;
        Some((scope, !self.indexes_checked))
    }

    /// Asks for a pass, and returns the number of the pass that will cover all that is there now.
    pub(crate) fn want(&mut self) -> u64 {
        self.wanted = Some(Scope::Whole);
        self.begun + 1
    }

    /// The quarantine of so many nodes has been lifted: they are tried again at once.
    pub(crate) fn lifted(&mut self, nodes: u64) {
        self.release(nodes);
        self.wanted = Some(Scope::Whole);
    }

    /// The pass has counted the graph.
    pub(crate) fn show_counted(&mut self, counted: Counted) {
        let figures = Arc::make_mut(&mut self.figures);
        figures.eligible = counted.eligible;
        figures.quarantined = counted.quarantined;
        figures.embedded = counted.eligible.saturating_sub(counted.unfilled);
        figures.pending = counted.unfilled.saturating_sub(counted.quarantined);
    }

    /// So many nodes are pending that were quarantined before.
    pub(crate) fn release(&mut self, nodes: u64) {
        let figures = Arc::make_mut(&mut self.figures);
        figures.quarantined = figures.quarantined.saturating_sub(nodes);
        figures.pending += nodes;
    }

    /// Whether anybody expects a pass: the graph must not be forgotten.
    pub(crate) fn is_expected(&self) -> bool {
        self.wanted.is_some() || self.wakes.is_set()
    }

    /// Turns a wake-up that is due into the wish for a pass. Returns whether it did.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let Some(scope) = self.wakes.take(now) else { return false };
        // Whoever wants all of it gets what is new as well.
        if self.wanted != Some(Scope::Whole) {
            self.wanted = Some(scope);
        }
        true
    }

    /// A pass has ended.
    pub(crate) fn finish(&mut self, now: Instant, pass: &Pass, tally: &Tally) {
        let scope = pass.plan.scope;
        self.wakes.swept(now, scope, pass.swept, pass.end_of_graph);
        if tally.deferred > 0 {
            // What was left behind is tried again by the next pass: not by every write.
            let rest = doubled(DEFERRED_REST, self.deferrals, MOST_DEFERRED_REST);
            self.deferrals = self.deferrals.saturating_add(1);
            self.wakes.spare(now + rest);
        } else if scope == Scope::Whole {
            self.deferrals = 0;
        }
        let indexed = pass.ending.is_none() && pass.plan.auto_index.is_some();
        self.indexes_checked |=
            indexed && scope == Scope::Whole && !pass.left_unindexed && !self.written;
        let figures = Arc::make_mut(&mut self.figures);
        figures.last_run = Some(now);
        figures.last_error.clone_from(&tally.error);
        figures.last_pass = Some(tally.clone());
    }

    /// The graph as STATUS shows it, with the pass that is under way.
    pub(crate) fn figures(&self, now: Instant, pass: Option<&Pass>) -> Arc<GraphFigures> {
        let Some(pass) = pass else { return Arc::clone(&self.figures) };
        let mut figures = GraphFigures::clone(&self.figures);
        figures.state = pass.state();
        figures.in_flight = pass.held() as u64;
        figures.rate_per_s = rate(pass.tally.written, now.duration_since(pass.started));
        if pass.tally.error.is_some() {
            figures.last_error.clone_from(&pass.tally.error);
        }
        Arc::new(figures)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(written: u64, elapsed: Duration) -> f64 {
    written as f64 / elapsed.as_secs_f64().max(0.001)
}
