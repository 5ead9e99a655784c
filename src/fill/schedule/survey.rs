//! Surveys of the server: whether it may be filled, and which graphs there are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::fill::port::id::RunId;
use crate::fill::port::server::{RunFault, ServerState, Survey};
use crate::fill::port::settings::Settings;
use crate::fill::schedule::bound::Bound;
use crate::fill::schedule::{SURVEY_AGAIN, Schedule};
use crate::fill::status::EngineFigures;
use crate::rule::Binding;

/// A survey unanswered for this long never will be answered: the server itself gives up earlier.
pub(super) const LIMIT: Duration = Duration::from_mins(1);
/// How soon to look again at graphs that were written while they could not be filled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Schedule {
    /// Whether to survey the server now; if so, the survey counts as in flight.
    pub(crate) fn take_survey(&mut self, now: Instant) -> bool {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let scheduled = self.may_begin() && due(self.next_run);
        let discovery = self.may_begin() && self.unknown_graphs.take(now).is_some();
        self.discovery_due |= discovery;
        let lost = |since: Instant| since + LIMIT <= now;
        let wanted = scheduled || discovery || due(self.survey_at) || self.surveying.is_some();
        // A survey that failed is repeated after a pause, whatever else is due.
        let resting = self.survey_at.is_some_and(|at| at > now);
        if !wanted || resting || !self.surveying.is_none_or(lost) {
            return false;
        }
        self.surveying = Some(now);
        self.survey_at = None;
        true
    }

    /// **Where the schedule and the list of graphs come in.** Returns whether passes begin because
    /// they are scheduled.
    pub(crate) fn surveyed(&mut self, now: Instant, survey: Survey, settings: &Settings) -> bool {
        self.surveying = None;
        let before = std::mem::replace(&mut self.server, ServerState::Ready);
        self.engine = EngineFigures { name: survey.engine, tested: survey.engine_tested };
        self.max_rows = survey.max_rows.unwrap_or(usize::MAX);
        let mut there = BTreeSet::new();
        let discovery = std::mem::take(&mut self.discovery_due);
        let look = discovery | std::mem::take(&mut self.rules_changed);
        for graph in &survey.graphs {
            for rule in settings.rules.of(graph) {
                let binding = Binding::new(graph, &rule.name);
                if self.bindings.bind(graph, &rule) && look {
                    self.bindings.edit(&binding, |bound| bound.dirty.mark(now));
                }
                there.insert(binding);
            }
        }
        for gone in self.bindings.keep(&there) {
            self.runs.forget(&gone);
        }
        if std::mem::take(&mut self.list_again) {
            // A run was asked for after the server was looked at: it covers what came to be since.
            self.next_run = Some(now);
            return false;
        }
        let due = self.next_run.is_some_and(|at| at <= now) || before != self.server;
        let scheduled = due && self.enabled;
        if scheduled {
            self.next_run = settings.interval.map(|interval| now + interval);
        }
        if std::mem::take(&mut self.writes_missed) {
            // Graphs written since the server listed its graphs are not among them.
            self.next_run = Some(now + LOOK_AGAIN);
        }
        if scheduled || self.enabled && self.runs.need_listing() {
            let passes = there.into_iter().filter_map(|binding| {
                let pass = self.bindings.edit(&binding, Bound::want)?;
                Some((binding, pass))
            });
            let passes = passes.collect();
            self.runs.listed(&passes);
        }
        scheduled
    }

    /// The survey failed and is repeated.
    pub(crate) fn not_surveyed(&mut self, now: Instant) {
        self.surveying = None;
        self.survey_at = Some(now + SURVEY_AGAIN);
    }

    /// The server cannot be filled, as a failed survey, read or write shows.
    pub(crate) fn server_is(&mut self, now: Instant, server: ServerState) {
        self.server = server;
        self.survey_at = Some(now + SURVEY_AGAIN);
        // A server that becomes ready is swept at once.
        self.next_run = Some(now);
    }

    /// The server may have changed.
    pub(crate) fn survey_now(&mut self, now: Instant) {
        self.survey_at = Some(now);
    }

    /// Takes out all runs: no pass can be made.
    pub(crate) fn drain_runs(&mut self) -> Vec<RunId> {
        self.runs.drain()
    }

    /// Why a run is impossible, if it is.
    pub(crate) fn refusal(&self) -> Option<RunFault> {
        if self.enabled { self.server.fault() } else { Some(RunFault::Disabled) }
    }
}
