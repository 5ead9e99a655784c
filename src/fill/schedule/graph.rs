//! What the core remembers of one graph between passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fill::pass::{Finished, Pass, Progress};
use crate::fill::retry::doubled;
use crate::fill::schedule::dirty::DirtySchedule;
use crate::fill::status::{GraphFigures, GraphState};
use crate::fill::sweep::Scope;

/// How long wake-ups leave a graph alone whose last pass left nodes behind; doubled each time, so
/// that a text which the service never answers is not tried by every write.
const DEFERRED_REST: Duration = Duration::from_secs(5);
const MAX_DEFERRED_REST: Duration = Duration::from_secs(320);

/// One graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// A pass has been asked for and not begun.
    pub(crate) wanted: Option<Scope>,
    /// Passes begun so far; names the pass a run waits for.
    pub(crate) begun: u64,
    /// Shared with whoever reads the published picture.
    figures: Arc<GraphFigures>,
    /// A pass has seen to the indexes, and nobody has written to the graph since: nobody can have
    /// dropped one.
    indexes_checked: bool,
    /// Somebody has written since the pass began.
    written: bool,
    /// Passes in a row that left nodes behind.
    deferrals: u32,
    pub(crate) dirty: DirtySchedule,
}

impl Graph {
    /// Somebody writes to the graph: another pass will look for it, if `wake` is wanted.
    pub(crate) fn touch(&mut self, now: Instant, wake: bool) {
        self.indexes_checked = false;
        self.written = true;
        if wake {
            self.dirty.mark(now);
        }
    }

    /// A pass that was wanted begins. Returns what it sweeps, and whether it looks at the indexes.
    pub(crate) fn begin(&mut self) -> Option<(Scope, bool)> {
        let scope = self.wanted.take()?;
        self.written = false;
        self.begun += 1;
        Some((scope, !self.indexes_checked))
    }

    /// The next pass looks for labels without an index.
    pub(crate) fn check_indexes_again(&mut self) {
        self.indexes_checked = false;
    }

    /// Asks for a pass, and returns the number of the pass that will cover all that is there now.
    pub(crate) fn want(&mut self) -> u64 {
        self.wanted = Some(Scope::Full);
        self.begun + 1
    }

    /// These many nodes were released from quarantine: they are tried again at once.
    pub(crate) fn released(&mut self, nodes: u64) {
        self.advance(&Progress { released: nodes, ..Progress::default() });
        self.wanted = Some(Scope::Full);
    }

    /// What a pass has seen or done.
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

    /// Whether a pass has been asked for and has not begun.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether anybody expects a pass: the graph must not be forgotten.
    pub(crate) fn is_expected(&self) -> bool {
        self.wanted.is_some() || self.dirty.is_set()
    }

    /// Turns a wake-up that is due into the wish for a pass. Returns whether it did.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let Some(scope) = self.dirty.take(now) else { return false };
        // Whoever wants all of it gets what is new as well.
        if self.wanted != Some(Scope::Full) {
            self.wanted = Some(scope);
        }
        true
    }

    /// A pass has ended. Returns whether the graph may be forgotten.
    pub(crate) fn finish(&mut self, now: Instant, pass: &Finished) -> bool {
        self.dirty.swept(now, pass.scope, pass.swept, pass.end_of_graph);
        if pass.tally.deferred > 0 {
            // What was left behind is tried again by the next pass: not by every write.
            let rest = doubled(DEFERRED_REST, self.deferrals, MAX_DEFERRED_REST);
            self.deferrals = self.deferrals.saturating_add(1);
            self.dirty.hold_off(now + rest);
        } else if pass.scope == Scope::Full {
            self.deferrals = 0;
        }
        self.indexes_checked |= pass.indexes_checked && !self.written;
        let figures = Arc::make_mut(&mut self.figures);
        figures.last_run = Some(now);
        figures.last_error.clone_from(&pass.tally.error);
        figures.last_pass = Some(pass.tally.clone());
        pass.gone && !self.is_expected()
    }

    /// The graph as STATUS shows it, with the pass that is under way.
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
