//! The schedule: when the server is surveyed, which graphs get a pass, and which run each pass
//! fulfils.
//!
//! A level-triggered reconciler: a pass compares a graph as it is with what it should be, so a lost
//! wake-up costs time but never a node. Writes mark a graph dirty, and dirty marks are debounced
//! ([`dirty`]).

mod control;
pub(crate) mod dirty;
pub(crate) mod graph;
mod graphs;
mod runs;
mod survey;

use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::pass::{Finished, Pass, Plan, Progress};
use crate::fill::port::event::ServerState;
use crate::fill::port::id::RunId;
use crate::fill::port::settings::Settings;
use crate::fill::schedule::dirty::DirtySchedule;
use crate::fill::schedule::graph::Graph;
use crate::fill::schedule::graphs::Graphs;
use crate::fill::schedule::runs::Runs;
use crate::fill::status::{EngineFigures, GraphsFigures};
use crate::fill::tally::Tally;

/// Maximum rows per reply, whatever their size.
const MAX_ROWS: usize = 128;
/// Passes that select and embed at the same time; the others wait their turn.
const MAX_OPEN: usize = 8;
/// Passes in total, including those that wait for other clients' queries.
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
    /// A run over all graphs was asked for while the server was being looked at.
    list_again: bool,
    graphs: Graphs,
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
            list_again: false,
            graphs: Graphs::default(),
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
            self.graphs.next_wake(now),
        ];
        let passes = self.passes().map(|pass| pass.deadline(now));
        due.into_iter().chain(passes).flatten().filter(|at| *at > now).min()
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.surveying.is_some() || self.graphs.is_active()
    }

    /// Turns dirty marks that are due into requests for a pass. Returns whether there were any.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        self.graphs.wake(now)
    }

    /// **Where passes begin**, graph by graph in turn.
    pub(crate) fn begin_passes(&mut self, now: Instant, settings: &Settings) {
        if !self.may_begin() {
            return;
        }
        let mut open = self.passes().filter(|pass| !pass.is_waiting()).count();
        let mut all = self.passes().count();
        while open < MAX_OPEN
            && all < MAX_PASSES
            && let Some(name) = self.graphs.next_wanted()
        {
            (open, all) = (open + 1, all + 1);
            self.graphs.serve(&name);
            let begun = self.graphs.edit(&name, Graph::begin);
            let Some((scope, check_indexes)) = begun else {
                debug_assert!(false, "a pass begins that nobody wanted");
                return;
            };
            let plan = Plan {
                scope,
                rule: settings.rule.clone(),
                max_rows: self.max_rows(),
                check_indexes: check_indexes && settings.auto_index.is_some(),
                auto_index: settings.auto_index,
            };
            self.graphs.begin(&name, Pass::new(plan, now));
        }
    }

    /// Lets a pass look for new nodes if another pass over its graph is requested before it can
    /// end.
    pub(crate) fn extend_passes(&mut self, now: Instant) {
        self.graphs.passes_wanted_again().for_each(|pass| pass.extend(now));
    }

    /// Takes out a pass that has ended.
    pub(crate) fn end_pass(&mut self, now: Instant, name: &GraphName) -> Option<Finished> {
        let finished = self.graphs.end(name)?.finish(now);
        let (begun, forgotten) =
            self.graphs.edit(name, |graph| (graph.begun, graph.finish(now, &finished)));
        self.runs.ended(name, begun, &finished.tally);
        if forgotten {
            self.graphs.remove(name);
        }
        self.totals.add(&finished.tally);
        self.totals.graphs = self.graphs.len() as u64;
        Some(finished)
    }

    /// Passes under way.
    pub(crate) fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.graphs.active().map(|(_, pass)| pass)
    }

    /// Graphs with a pass, beginning after the one that was served last.
    pub(crate) fn in_turn(&self) -> Vec<GraphName> {
        self.graphs.in_turn()
    }

    /// The graph that is served now.
    pub(crate) fn serve(&mut self, name: &GraphName) {
        self.graphs.serve(name);
    }

    /// The pass over a graph.
    pub(crate) fn pass(&self, name: &GraphName) -> Option<&Pass> {
        self.graphs.pass(name)
    }

    /// The pass over a graph, which lasts until everything of it that is under way has come back.
    pub(crate) fn pass_mut(&mut self, name: &GraphName) -> Option<&mut Pass> {
        let pass = self.graphs.pass_mut(name);
        debug_assert!(pass.is_some(), "a pass ended while it was still needed");
        pass
    }

    /// Changes every pass.
    pub(crate) fn each_pass(&mut self, change: impl FnMut(&mut Pass)) {
        self.graphs.passes_mut().for_each(change);
    }

    /// Changes the pass over a graph.
    pub(crate) fn on_pass(&mut self, name: &GraphName, change: impl FnOnce(&mut Pass)) {
        if let Some(pass) = self.pass_mut(name) {
            change(pass);
        }
    }

    /// Changes the pass over a graph, and applies its progress to the graph's figures.
    pub(crate) fn in_pass(&mut self, name: &GraphName, change: impl FnOnce(&mut Pass) -> Progress) {
        let Some((graph, pass)) = self.graphs.in_pass(name) else {
            debug_assert!(false, "a pass ended before its reads and writes");
            return;
        };
        graph.advance(&change(pass));
    }

    /// Nodes of a graph were released from quarantine: they are tried again at once.
    pub(crate) fn released(&mut self, name: &GraphName, nodes: u64) {
        self.graphs.edit(name, |graph| graph.released(nodes));
    }

    /// Takes out the runs with nothing left to wait for.
    pub(crate) fn take_fulfilled(&mut self) -> Vec<(RunId, Tally)> {
        self.runs.fulfilled()
    }

    /// The graphs in figures; `waits` = nodes to embed are waiting for the embedder.
    pub(crate) fn graphs_figures(&self, now: Instant, waits: bool) -> GraphsFigures {
        let figures = self
            .graphs
            .iter()
            .map(|(name, graph)| (name.clone(), graph.figures(now, self.graphs.pass(name), waits)));
        GraphsFigures::new(figures.collect())
    }

    /// The engine, the next scheduled pass, and the sum of all passes since load.
    pub(crate) fn figures(&self) -> (EngineFigures, Option<Instant>, Tally) {
        (self.engine.clone(), self.next_run, self.totals.clone())
    }
}

#[cfg(test)]
mod tests;
