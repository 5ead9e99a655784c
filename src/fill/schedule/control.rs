//! Applies users' requests to the schedule: new settings, a run, a write to a graph.

use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::port::id::RunId;
use crate::fill::port::settings::Settings;
use crate::fill::schedule::Schedule;
use crate::fill::schedule::graph::Graph;

impl Schedule {
    /// Applies new settings. `restart` = there is a reason to sweep the whole server at once.
    pub(crate) fn configure(
        &mut self,
        now: Instant,
        before: &Settings,
        settings: &Settings,
        restart: bool,
    ) {
        self.enabled = settings.enabled;
        if before.interval != settings.interval {
            self.next_run = settings.interval.map(|interval| now + interval);
        }
        if before.rule != settings.rule || before.auto_index != settings.auto_index {
            self.graphs.for_each(Graph::check_indexes_again);
        }
        let enabled_now = settings.enabled && !before.enabled;
        if restart || before.rule != settings.rule || enabled_now {
            self.next_run = Some(now);
        }
    }

    /// Requests a pass over one graph, or all; `run` waits for its end.
    pub(crate) fn run(&mut self, now: Instant, run: Option<RunId>, graph: Option<GraphName>) {
        if let Some(name) = graph {
            let pass = self.graphs.edit(&name, Graph::want);
            if let Some(run) = run {
                self.runs.open_one(run, name, pass);
            }
        } else {
            // As if it were scheduled for now.
            self.next_run = Some(now);
            self.list_again = self.surveying.is_some();
            if let Some(run) = run {
                self.runs.open_all(run);
            }
        }
    }

    /// The user has given up waiting; the pass goes on.
    pub(crate) fn close(&mut self, run: RunId) {
        self.runs.close(run);
    }

    /// Graphs written elsewhere are about to arrive: treated like writes to unknown graphs.
    pub(crate) fn graphs_arrive(&mut self, now: Instant, settings: &Settings) {
        if !self.may_begin() {
            self.writes_missed = true;
        } else if settings.wake_on_write {
            self.unknown_graphs.mark(now);
        }
    }

    /// A client writes to a graph.
    pub(crate) fn touched(&mut self, now: Instant, name: &GraphName, settings: &Settings) {
        if !self.may_begin() {
            // Names are not kept: the whole server is swept once it may be filled.
            self.writes_missed = true;
            return;
        }
        let wake = settings.wake_on_write && settings.rule.graphs.matches(name);
        if self.graphs.get(name).is_some() {
            self.graphs.edit(name, |graph| graph.touch(now, wake));
        } else if wake {
            self.unknown_graphs.mark(now);
        }
    }
}
