//! When the server is surveyed, and what a survey leads to.

use super::*;
use crate::fill::fixture::just_before;
use crate::fill::port::server::RunFault;

const INTERVAL: Duration = Duration::from_secs(10);

#[test]
fn nothing_begins_on_a_server_that_cannot_be_filled_and_all_of_it_once_it_can() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.run(now, None, "a");
    desk.schedule.server_is(now, ServerState::Replica);
    assert!(desk.begin(now).is_empty());
    assert_eq!(desk.schedule.refusal(), Some(RunFault::Replica));
    assert!(!desk.schedule.take_survey(now), "a replica is asked after a pause");
    desk.survey(now + SURVEY_AGAIN, &["a", "b"]);
    assert_eq!(desk.schedule.refusal(), None);
    assert_eq!(desk.begin(now + SURVEY_AGAIN), ["a", "b"]);
}

#[test]
fn nothing_begins_while_disabled_and_all_is_looked_through_once_enabled() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.run(now, None, "a");
    desk.configure(now, Settings { enabled: false, ..settings() });
    assert!(desk.begin(now).is_empty() && !desk.schedule.take_survey(now));
    assert_eq!(desk.schedule.refusal(), Some(RunFault::Disabled));
    desk.configure(now, settings());
    desk.survey(now, &["a", "b"]);
    assert_eq!(desk.begin(now), ["a", "b"]);
}

#[test]
fn a_write_while_the_server_cannot_be_filled_is_looked_for_later() {
    let now = Instant::now();
    let mut quiet = Desk::idle(now, &["old"]);
    assert_eq!(quiet.schedule.deadline(now), None, "nobody has written");
    assert!(!quiet.schedule.take_survey(now + SOON));

    let mut desk = Desk::new(now);
    desk.touch(now, "new");
    // The server listed its graphs before the write was made.
    desk.survey(now, &["old"]);
    assert_eq!(desk.begin(now), ["old"]);
    desk.end(now, "old");
    let again = desk.schedule.deadline(now).unwrap();
    assert_eq!(again, now + SOON);
    desk.survey(again, &["new", "old"]);
    assert_eq!(desk.begin(again), ["new", "old"]);
    assert!(!desk.schedule.take_survey(again + INTERVAL), "once");
}

#[test]
fn a_survey_that_is_lost_is_made_again_after_the_limit() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    assert!(desk.schedule.take_survey(now));
    let limit = now + survey::LIMIT;
    assert_eq!(desk.schedule.deadline(now), Some(limit));
    desk.schedule.survey_now(now);
    assert!(!desk.schedule.take_survey(just_before(limit)));
    assert!(desk.schedule.is_busy());
    desk.survey(limit, &[]);
    assert!(!desk.schedule.is_busy());
}

#[test]
fn a_survey_that_failed_is_repeated_after_a_pause() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    assert!(desk.schedule.take_survey(now));
    desk.schedule.not_surveyed(now);
    assert!(!desk.schedule.is_busy() && !desk.schedule.take_survey(now));
    assert_eq!(desk.schedule.deadline(now), Some(now + SURVEY_AGAIN));
    assert!(desk.schedule.take_survey(now + SURVEY_AGAIN));
}

#[test]
fn passes_over_all_graphs_are_scheduled_by_the_interval() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.settings.interval = Some(INTERVAL);
    desk.survey(now, &["a"]);
    assert_eq!(desk.begin(now), ["a"]);
    desk.end(now, "a");
    assert_eq!(desk.schedule.deadline(now), Some(now + INTERVAL));
    assert!(!desk.schedule.take_survey(now + SECOND));
    desk.survey(now + INTERVAL, &["a", "b"]);
    assert_eq!(desk.begin(now + INTERVAL), ["a", "b"]);
    // A new interval counts from when it is set.
    desk.configure(now, Settings { interval: Some(SECOND), ..settings() });
    assert_eq!(desk.schedule.deadline(now), Some(now + SECOND));
}

#[test]
fn an_unknown_graph_is_discovered_after_a_write_to_it() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["old"]);
    desk.touch(now, "new");
    assert_eq!(desk.figures(now).sums.graphs, 1, "anybody can name a graph");
    assert!(!desk.schedule.take_survey(now));
    let listed = desk.schedule.deadline(now).unwrap();
    assert_eq!(listed, now + SOON);
    desk.survey(listed, &["new", "old"]);
    assert!(desk.begin(listed).is_empty());
    let due = desk.schedule.deadline(listed).unwrap();
    assert_eq!(due, listed + SOON);
    assert!(desk.wake(due));
    assert_eq!(desk.begin(due), ["new"], "to the old one nobody has written");
}

#[test]
fn graphs_that_arrive_are_discovered_like_those_that_are_written() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["old"]);
    desk.schedule.graphs_arrive(now, &desk.settings);
    desk.survey(now + SOON, &["moved", "old"]);
    assert!(desk.wake(now + 2 * SOON));
    assert_eq!(desk.begin(now + 2 * SOON), ["moved"]);
}

#[test]
fn writes_wake_nobody_where_that_is_switched_off() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.configure(now, Settings { wake_on_write: false, ..settings() });
    desk.touch(now, "a");
    desk.touch(now, "unknown");
    desk.schedule.graphs_arrive(now, &desk.settings);
    assert_eq!(desk.schedule.deadline(now), None);
    assert!(!desk.schedule.take_survey(now + SECOND) && !desk.wake(now + SECOND));
}

#[test]
fn the_deadline_is_the_next_time_that_something_is_due() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.settings.interval = Some(INTERVAL);
    desk.survey(now, &["a"]);
    assert_eq!(desk.begin(now), ["a"]);
    assert_eq!(desk.schedule.deadline(now), Some(now + INTERVAL));
    desk.touch(now, "a");
    assert_eq!(desk.schedule.deadline(now), Some(now + SOON));
    let pass = desk.schedule.pass_mut(&binding("a")).unwrap();
    pass.not_read(now, &StoreFault::QueueFull);
    let rested = desk.schedule.deadline(now).unwrap();
    assert!(rested < now + SOON, "a pass that rests goes on before");
    assert_eq!(desk.schedule.deadline(rested), Some(now + SOON), "what is due now is not told");
    desk.schedule.server_is(now, ServerState::Replica);
    assert_eq!(desk.schedule.deadline(now + SECOND / 2), Some(now + SURVEY_AGAIN));
}

#[test]
fn a_graph_that_is_not_listed_any_more_is_forgotten() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a", "b"]);
    desk.schedule.survey_now(now);
    desk.survey(now, &["b"]);
    let figures = desk.figures(now);
    assert_eq!(figures.sums.graphs, 1);
    assert!(figures.get(&graph("a")).is_none() && figures.get(&graph("b")).is_some());
}

#[test]
fn a_survey_that_fails_on_a_ready_server_is_repeated_after_a_pause_only() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["g"]);
    desk.schedule.run(now, Some(RunId(1)), None);
    assert!(desk.schedule.take_survey(now));
    desk.schedule.not_surveyed(now);
    assert!(!desk.schedule.take_survey(now), "each survey holds the server");
    assert!(desk.schedule.take_survey(now + SURVEY_AGAIN));
}

#[test]
fn a_run_that_comes_while_the_server_is_looked_at_covers_what_came_to_be_since() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["old"]);
    desk.schedule.run(now, Some(RunId(1)), None);
    assert!(desk.schedule.take_survey(now));
    desk.schedule.run(now, Some(RunId(2)), None);
    let survey = |graphs: &[&str]| Survey {
        engine_tested: true,
        graphs: graphs.iter().map(|name| graph(name)).collect(),
        ..Survey::default()
    };
    desk.schedule.surveyed(now, survey(&["old"]), &settings());
    assert!(desk.begin(now).is_empty(), "the list is older than the run");
    desk.survey(now, &["new", "old"]);
    assert_eq!(desk.begin(now), ["new", "old"]);
}
