//! Applies users' requests to the schedule: new settings, a run, a write to a graph.

use std::sync::Arc;
use std::time::Instant;

use crate::entity::GraphName;
use crate::fill::port::id::RunId;
use crate::fill::port::settings::Settings;
use crate::fill::schedule::Schedule;
use crate::fill::schedule::bound::Bound;
use crate::rule::{Binding, Rule};

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
        if before.rules != settings.rules {
            // Only the server knows which graphs there are for a new rule.
            self.survey_at = Some(now);
            self.rules_changed = true;
            for gone in self.bindings.retire(&settings.rules) {
                self.runs.forget(&gone);
            }
        }
        let enabled_now = settings.enabled && !before.enabled;
        if restart || enabled_now {
            self.next_run = Some(now);
        }
    }

    /// Requests a pass over one graph, or all; `run` waits for its end. With a `rule`, only that
    /// one is followed.
    pub(crate) fn run(
        &mut self,
        now: Instant,
        run: Option<RunId>,
        wanted: Option<(GraphName, Vec<Arc<Rule>>)>,
    ) {
        if let Some((graph, rules)) = wanted {
            let passes = rules.iter().filter_map(|rule| {
                self.bindings.bind(&graph, rule);
                let binding = Binding::new(&graph, &rule.name);
                let pass = self.bindings.edit(&binding, Bound::want)?;
                Some((binding, pass))
            });
            let passes = passes.collect();
            if let Some(run) = run {
                self.runs.open_some(run, passes);
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
        let wake = settings.wake_on_write;
        let known = self.bindings.of_graph(name);
        for binding in &known {
            self.bindings.edit(binding, |bound| bound.touch(now, wake));
        }
        if known.is_empty() && wake && settings.rules.covers(name) {
            self.unknown_graphs.mark(now);
        }
    }
}
