//! Surveys of the server: whether it may be filled, and which graphs there are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::port::event::{RunFault, ServerState, Survey};
use crate::fill::port::id::RunId;
use crate::fill::port::settings::Settings;
use crate::fill::schedule::graph::Graph;
use crate::fill::schedule::{SURVEY_AGAIN, Schedule};
use crate::fill::status::EngineFigures;

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
        let there: BTreeSet<&GraphName> = survey.graphs.iter().collect();
        self.graphs.keep(&there);
        let wanted = |name: &&GraphName| settings.rule.graphs.matches(name);
        if std::mem::take(&mut self.discovery_due) {
            self.discover(now, survey.graphs.iter().filter(wanted));
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
            let names = survey.graphs.iter().filter(wanted);
            let passes = names.map(|name| (name.clone(), self.graphs.edit(name, Graph::want)));
            let passes = passes.collect();
            self.runs.listed(&passes);
        }
        scheduled
    }

    /// Adds the graphs we do not know yet.
    fn discover<'a>(&mut self, now: Instant, graphs: impl Iterator<Item = &'a GraphName>) {
        for name in graphs {
            if self.graphs.get(name).is_none() {
                self.graphs.edit(name, |graph| graph.dirty.mark(now));
            }
        }
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
