//! What the user's wishes mean: new settings, a run, a write to a graph.

use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::lane::batch::Batch;
use crate::fill::pass::Ending;
use crate::fill::port::event::{Action, RunFault};
use crate::fill::port::id::RunId;
use crate::fill::port::settings::Settings;
use crate::fill::schedule::graph::Graph;
use crate::fill::status::LaneState;
use crate::fill::{Cargo, Filler};

impl Filler {
    pub(crate) fn configure(&mut self, now: Instant, settings: Settings, embedder_replaced: bool) {
        let before = std::mem::replace(&mut self.settings, settings);
        if before.interval != self.settings.interval {
            self.next_run = self.settings.interval.map(|interval| now + interval);
        }
        let rejected = self.lane.state() == LaneState::Rejected;
        if embedder_replaced {
            self.lane.reset();
            self.known.forget();
            self.questions.forget();
            self.figures.dimensions = None;
            self.recall_flights();
        }
        self.lane.configure(self.settings.lane);
        self.questions.resize(self.settings.query_cache);
        let other_rule = before.rule != self.settings.rule;
        if other_rule || before.auto_index != self.settings.auto_index {
            self.check_indexes_again();
        }
        if other_rule || !self.settings.enabled {
            self.end_all(Ending::Stop, None);
        }
        let enabled_now = self.settings.enabled && !before.enabled;
        // Any change may be what mends a rejected embedder.
        if other_rule || embedder_replaced || enabled_now || rejected {
            self.next_run = Some(now);
        }
        if !self.settings.enabled {
            self.refuse_runs(&RunFault::Disabled);
        }
    }

    /// The next pass over each graph looks for labels without an index.
    fn check_indexes_again(&mut self) {
        self.graphs.for_each(|graph| graph.indexes_checked = false);
    }

    /// What the old embedder had in flight is sent again: it never comes back.
    fn recall_flights(&mut self) {
        // What has not been handed out yet would be paid for twice.
        self.actions.retain(|action| !matches!(action, Action::Embed { .. }));
        let mut batches: Vec<Batch> = Vec::new();
        for flight in std::mem::take(&mut self.flights).into_values() {
            match flight.cargo {
                Cargo::Batch(batch) => {
                    self.known.landed(batch.texts());
                    batches.push(batch);
                }
                Cargo::Question(question) => self.questions.again(question),
                Cargo::Probe => {}
            }
        }
        batches.extend(std::mem::take(&mut self.doubts).into_iter().map(|doubt| doubt.batch));
        for batch in batches {
            self.again(Batch { refused: None, confronted: false, ..batch });
        }
    }

    /// Graphs that were written elsewhere are looked for as those that are written here.
    pub(crate) fn graphs_arrive(&mut self, now: Instant) {
        if !self.may_begin() {
            self.missed = true;
        } else if self.settings.wake_on_write {
            self.strangers.touch(now);
        }
    }

    pub(crate) fn touched(&mut self, now: Instant, name: &GraphName) {
        if !self.may_begin() {
            // Names are not kept: the whole server is looked through once it may be filled.
            self.missed = true;
            return;
        }
        let wake = self.settings.wake_on_write && self.settings.rule.graphs.matches(name);
        if self.graphs.get(name).is_some() {
            self.graphs.edit(name, |graph| graph.touch(now, wake));
        } else if wake {
            self.strangers.touch(now);
        }
    }

    pub(crate) fn run(&mut self, now: Instant, run: Option<RunId>, graph: Option<GraphName>) {
        if let Some(fault) = self.refusal() {
            if let Some(run) = run {
                self.answer(run, Err(fault));
            }
            return;
        }
        self.forgive();
        if let Some(name) = graph {
            let pass = self.graphs.edit(&name, Graph::want);
            if let Some(run) = run {
                self.runs.open_one(run, name, pass);
            }
        } else {
            // As if it were scheduled for now.
            self.next_run = Some(now);
            if let Some(run) = run {
                self.runs.open_all(run);
            }
        }
    }

    /// A pass begins that may try a rejected embedder again.
    pub(crate) fn forgive(&mut self) {
        if self.lane.state() == LaneState::Rejected {
            // What was learnt from a first answer may have been what was wrong.
            self.figures.dimensions = None;
        }
        self.lane.forgive();
    }

    pub(crate) fn refuse_runs(&mut self, fault: &RunFault) {
        for run in self.runs.drain() {
            self.answer(run, Err(fault.clone()));
        }
    }
}
