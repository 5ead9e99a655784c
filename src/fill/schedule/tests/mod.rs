//! The schedule alone: what it asks for, when, and which runs its passes fulfil.

mod passes;
mod runs;
mod surveys;

use super::*;
use crate::entity::GraphName;
use crate::fill::fixture::{binding, rule, seen, settings, settings_with};
use crate::fill::pass::Finished;
use crate::fill::port::fault::StoreFault;
use crate::fill::port::server::Survey;
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Count, Query};
use crate::fill::sim::Node;
use crate::fill::sim::store::selected;
use crate::rule::Rule;

/// A write is looked for after so long, and so is what was written while nothing could be filled.
const SOON: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

fn graph(name: &str) -> GraphName {
    GraphName::new(name)
}

/// A schedule, and the settings it follows.
struct Desk {
    schedule: Schedule,
    settings: Settings,
}

impl Desk {
    /// Nobody has looked at the server yet.
    fn new(now: Instant) -> Self {
        Self { schedule: Schedule::new(true, now), settings: settings() }
    }

    /// These graphs are there, and a pass is over each of them.
    fn idle(now: Instant, graphs: &[&str]) -> Self {
        let mut desk = Self::new(now);
        desk.survey(now, graphs);
        assert_eq!(desk.begin(now), graphs);
        for name in graphs {
            desk.end(now, name);
        }
        desk
    }

    /// A survey that is due finds these graphs.
    fn survey(&mut self, now: Instant, graphs: &[&str]) {
        assert!(self.schedule.take_survey(now), "no survey is due");
        let graphs = graphs.iter().map(|name| graph(name)).collect();
        let survey = Survey { engine_tested: true, graphs, ..Survey::default() };
        self.schedule.surveyed(now, survey, &self.settings);
    }

    fn configure(&mut self, now: Instant, settings: Settings) {
        let before = std::mem::replace(&mut self.settings, settings);
        self.schedule.configure(now, &before, &self.settings, false);
    }

    /// A pass over this graph is asked for; `run` waits for it.
    fn run(&mut self, now: Instant, run: Option<RunId>, name: &str) {
        let graph = graph(name);
        let rules = self.settings.rules.of(&graph);
        self.schedule.run(now, run, Some((graph, rules)));
    }

    /// Whether a pass is requested because of a write.
    fn wake(&mut self, now: Instant) -> bool {
        !self.schedule.wake(now, |_| true).is_empty()
    }

    fn touch(&mut self, now: Instant, name: &str) {
        self.schedule.touched(now, &graph(name), &self.settings);
    }

    /// Graphs with a pass, by name.
    fn passes(&self) -> Vec<String> {
        self.schedule.bindings.active().map(|(binding, _)| binding.graph.to_string()).collect()
    }

    /// The graphs whose pass begins now.
    fn begin(&mut self, now: Instant) -> Vec<String> {
        let before = self.passes();
        self.schedule.begin_passes(now);
        self.passes().into_iter().filter(|name| !before.contains(name)).collect()
    }

    fn end(&mut self, now: Instant, name: &str) -> Option<Finished> {
        self.schedule.end_pass(now, &binding(name))
    }

    /// The pass over this graph asks for something and is answered.
    fn answer(&mut self, now: Instant, name: &str, answer: Answer) {
        let query = self.query(now, name).unwrap();
        self.schedule.in_pass(&binding(name), |pass| pass.read(now, &query, answer));
    }

    fn query(&mut self, now: Instant, name: &str) -> Option<Query> {
        self.schedule.pass_mut(&binding(name)).unwrap().take_query(now, 9)
    }

    fn figures(&self, now: Instant) -> GraphsFigures {
        self.schedule.graphs_figures(now, |_| false)
    }

    fn fulfilled(&mut self) -> Vec<RunId> {
        self.schedule.take_fulfilled().into_iter().map(|(run, _)| run).collect()
    }
}

fn counted(eligible: u64, unfilled: u64, quarantined: u64) -> Answer {
    let labels = vec!["Doc".to_owned()];
    let seen = seen(0, None, Some(9));
    Answer::CountAll(Some(Count {
        eligible,
        unfilled,
        quarantined,
        labels,
        owner: None,
        lists: false,
        seen,
    }))
}
