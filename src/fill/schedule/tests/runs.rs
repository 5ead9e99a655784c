//! Which passes a run waits for.

use super::*;
use crate::rule::Rule;
use crate::rule::globs::Globs;

#[test]
fn a_run_over_all_graphs_waits_for_the_list_and_then_for_each_of_them() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.schedule.run(now, Some(RunId(1)), None);
    assert!(desk.begin(now).is_empty() && desk.fulfilled().is_empty());
    desk.survey(now, &["a", "b"]);
    assert_eq!(desk.begin(now), ["a", "b"]);
    desk.end(now + 3 * SECOND, "a");
    assert!(desk.fulfilled().is_empty(), "b is not done");
    desk.end(now + 2 * SECOND, "b");
    let fulfilled = desk.schedule.take_fulfilled();
    let [(RunId(1), tally)] = &fulfilled[..] else { panic!("{fulfilled:?}") };
    assert_eq!((tally.graphs, tally.duration), (2, 3 * SECOND), "passes overlap");
    assert!(desk.fulfilled().is_empty(), "it is told once");
}

#[test]
fn a_run_over_all_graphs_begins_with_the_next_survey_whatever_the_interval_says() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.schedule.run(now, Some(RunId(1)), None);
    desk.configure(now, Settings { interval: Some(1_000 * SECOND), ..settings() });
    desk.schedule.survey_now(now);
    desk.survey(now, &["a"]);
    assert_eq!(desk.begin(now), ["a"]);
    desk.end(now, "a");
    assert_eq!(desk.fulfilled(), [RunId(1)]);
}

#[test]
fn a_run_over_all_graphs_waits_only_for_those_the_rule_speaks_of() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["kb"]);
    let graphs = Globs::parse("graphs", "kb*").unwrap();
    desk.configure(now, settings_with(Rule { graphs, ..rule() }));
    desk.schedule.run(now, Some(RunId(1)), None);
    desk.survey(now, &["kb", "other"]);
    assert_eq!(desk.begin(now), ["kb"]);
    desk.end(now, "kb");
    assert_eq!(desk.fulfilled(), [RunId(1)]);
    desk.touch(now, "another");
    assert_eq!(desk.schedule.deadline(now), None, "a write to it wakes nobody");
}

#[test]
fn a_run_is_fulfilled_by_a_pass_that_begins_after_it_was_asked_for() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.survey(now, &["a"]);
    assert_eq!(desk.begin(now), ["a"]);
    desk.run(now, Some(RunId(1)), "a");
    desk.end(now, "a");
    assert!(desk.fulfilled().is_empty(), "that pass had begun before");
    assert_eq!(desk.begin(now), ["a"]);
    desk.end(now, "a");
    assert_eq!(desk.fulfilled(), [RunId(1)]);
}

#[test]
fn a_run_nobody_waits_for_any_more_is_told_to_nobody_and_its_pass_goes_on() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    for run in [1, 2] {
        desk.run(now, Some(RunId(run)), "a");
    }
    assert_eq!(desk.begin(now), ["a"]);
    desk.schedule.close(RunId(1));
    assert_eq!(desk.passes(), ["a"]);
    desk.end(now, "a");
    assert_eq!(desk.fulfilled(), [RunId(2)]);
}

#[test]
fn runs_are_drained_when_no_pass_can_be() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.run(now, Some(RunId(1)), "a");
    desk.schedule.run(now, Some(RunId(2)), None);
    assert_eq!(desk.schedule.drain_runs(), [RunId(1), RunId(2)]);
    desk.survey(now, &[]);
    assert!(desk.fulfilled().is_empty() && desk.schedule.drain_runs().is_empty());
}
