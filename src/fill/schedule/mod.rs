//! The schedule: when the server is surveyed, which graphs get a pass, and which run each pass
//! fulfils.
//!
//! A level-triggered reconciler: a pass compares a graph as it is with what it should be, so a lost
//! wake-up costs time but never a node. Writes mark a graph dirty, and dirty marks are debounced
//! ([`dirty`]).

mod bindings;
pub(crate) mod bound;
mod control;
pub(crate) mod dirty;
mod passes;
mod runs;
mod survey;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::fill::pass::{Pass, Progress};
use crate::fill::port::id::RunId;
use crate::fill::port::server::ServerState;
use crate::fill::schedule::bindings::Bindings;
use crate::fill::schedule::dirty::DirtySchedule;
use crate::fill::schedule::runs::Runs;
use crate::fill::status::{EngineFigures, GraphsFigures};
use crate::fill::tally::Tally;
use crate::rule::Binding;
use crate::rule::name::EmbedderName;

/// Maximum rows per reply, whatever their size.
const MAX_ROWS: usize = 128;
/// Passes of one embedder that select and embed at the same time; the others wait their turn.
const MAX_OPEN: usize = 8;
/// Passes of one embedder in total, including those that wait for other clients' queries.
const MAX_PASSES: usize = 64;

/// How soon to survey a server that is not ready again, in case no event reports the change.
pub(crate) const SURVEY_AGAIN: Duration = Duration::from_secs(1);

/// Decides when to do what for which graph.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "marks that are set and taken one by one")]
pub(crate) struct Schedule {
    enabled: bool,
    server: ServerState,
    engine: EngineFigures,
    /// Maximum rows the engine returns.
    max_rows: usize,
    /// When the survey still unanswered was started.
    surveying: Option<Instant>,
    survey_at: Option<Instant>,
    next_run: Option<Instant>,
    /// Graphs were written while they could not be filled.
    writes_missed: bool,
    /// Stands for all unknown graphs that are written to. Any client can name a graph, even one
    /// without permissions, so a graph is added only when the server lists it.
    unknown_graphs: DirtySchedule,
    /// The next survey looks for graphs we do not know yet.
    discovery_due: bool,
    /// The next survey looks for graphs that new rules apply to.
    rules_changed: bool,
    /// A run over all graphs was asked for while the server was being looked at.
    list_again: bool,
    bindings: Bindings,
    runs: Runs,
    totals: Tally,
}

impl Schedule {
    /// A schedule that starts by surveying the server.
    pub(crate) fn new(enabled: bool, now: Instant) -> Self {
        Self {
            enabled,
            server: ServerState::default(),
            engine: EngineFigures::default(),
            max_rows: usize::MAX,
            surveying: None,
            survey_at: Some(now),
            next_run: Some(now),
            writes_missed: false,
            unknown_graphs: DirtySchedule::default(),
            discovery_due: false,
            rules_changed: false,
            list_again: false,
            bindings: Bindings::default(),
            runs: Runs::default(),
            totals: Tally::default(),
        }
    }

    /// Whether passes may begin.
    pub(crate) fn may_begin(&self) -> bool {
        self.enabled && self.server == ServerState::Ready
    }

    /// What the server lets us do.
    pub(crate) fn server(&self) -> ServerState {
        self.server
    }

    /// Maximum rows per reply, not counting those that describe what lies beyond.
    pub(crate) fn max_rows(&self) -> usize {
        self.max_rows.saturating_sub(2).clamp(1, MAX_ROWS)
    }

    /// The latest time to come back.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let may_begin = self.may_begin();
        let due = [
            self.survey_at,
            self.surveying.map(|since| since + survey::LIMIT),
            self.next_run.filter(|_| may_begin),
            self.unknown_graphs.next().filter(|_| may_begin),
            self.bindings.next_wake(now),
        ];
        let passes = self.passes().map(|pass| pass.deadline(now));
        due.into_iter().chain(passes).flatten().filter(|at| *at > now).min()
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.surveying.is_some() || self.bindings.is_active()
    }

    /// Turns dirty marks that are due into requests for a pass, where the embedder is worth it.
    /// Returns the embedders that passes are requested for.
    pub(crate) fn wake(
        &mut self,
        now: Instant,
        is_worth: impl Fn(&EmbedderName) -> bool,
    ) -> BTreeSet<EmbedderName> {
        self.bindings.wake(now, is_worth)
    }

    /// Passes under way.
    pub(crate) fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.bindings.active().map(|(_, pass)| pass)
    }

    /// Bindings with a pass, beginning after the one that was served last.
    pub(crate) fn in_turn(&self) -> Vec<Binding> {
        self.bindings.in_turn()
    }

    /// The same, only those that need this embedder: the one to serve first comes first.
    pub(crate) fn in_turn_for(&mut self, embedder: &EmbedderName) -> Vec<Binding> {
        self.bindings.in_turn_for(embedder)
    }

    /// The graph that is served now.
    pub(crate) fn serve(&mut self, binding: &Binding) {
        self.bindings.serve(binding);
    }

    /// The pass over a graph.
    pub(crate) fn pass(&self, binding: &Binding) -> Option<&Pass> {
        self.bindings.pass(binding)
    }

    /// A pass, which lasts until everything of it that is under way has come back.
    pub(crate) fn pass_mut(&mut self, binding: &Binding) -> Option<&mut Pass> {
        let pass = self.bindings.pass_mut(binding);
        debug_assert!(pass.is_some(), "a pass ended while it was still needed");
        pass
    }

    /// Changes every pass.
    pub(crate) fn each_pass(&mut self, change: impl FnMut(&mut Pass)) {
        self.bindings.passes_mut().for_each(change);
    }

    /// Changes a pass.
    pub(crate) fn on_pass(&mut self, binding: &Binding, change: impl FnOnce(&mut Pass)) {
        if let Some(pass) = self.pass_mut(binding) {
            change(pass);
        }
    }

    /// Changes the pass over a graph, and applies its progress to the graph's figures.
    pub(crate) fn in_pass(
        &mut self,
        binding: &Binding,
        change: impl FnOnce(&mut Pass) -> Progress,
    ) {
        let Some((bound, pass)) = self.bindings.in_pass(binding) else {
            debug_assert!(false, "a pass ended before its reads and writes");
            return;
        };
        bound.advance(&change(pass));
    }

    /// Entities were released from quarantine: they are tried again at once.
    pub(crate) fn released(&mut self, binding: &Binding, entities: u64) {
        self.bindings.edit(binding, |bound| bound.released(entities));
    }

    /// Changes every pass that needs this embedder.
    pub(crate) fn each_pass_of(&mut self, embedder: &EmbedderName, change: impl FnMut(&mut Pass)) {
        let passes = self.bindings.passes_mut();
        passes.filter(|pass| pass.rule().embedder == *embedder).for_each(change);
    }

    /// Takes out the runs with nothing left to wait for.
    pub(crate) fn take_fulfilled(&mut self) -> Vec<(RunId, Tally)> {
        self.runs.fulfilled()
    }

    /// The graphs in figures; `waits` = entities to embed are waiting for this embedder.
    pub(crate) fn graphs_figures(
        &self,
        now: Instant,
        waits: impl Fn(&EmbedderName) -> bool,
    ) -> GraphsFigures {
        let figures = self.bindings.iter().map(|(binding, bound)| {
            let waits = waits(&bound.rule.embedder);
            (binding, bound.figures(now, self.bindings.pass(binding), waits))
        });
        GraphsFigures::new(figures)
    }

    /// The engine, the next scheduled pass, and the sum of all passes since load.
    pub(crate) fn figures(&self) -> (EngineFigures, Option<Instant>, Tally) {
        (self.engine.clone(), self.next_run, self.totals.clone())
    }
}

#[cfg(test)]
mod tests;
