//! Which passes begin, and what is remembered of those that have ended.

use super::*;
use crate::fill::pass::Ending;
use crate::fill::port::store::{Job, Selection};

const TEN: [&str; 10] = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9"];

#[test]
fn passes_begin_in_turn_and_no_more_than_may_be_open() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.survey(now, &TEN);
    assert_eq!(desk.begin(now), TEN[..MAX_OPEN]);
    // A graph that is asked for again waits for the others.
    desk.run(now, None, "g0");
    for (ended, next) in [("g0", "g8"), ("g1", "g9"), ("g2", "g0")] {
        assert!(desk.begin(now).is_empty(), "before {ended} has ended");
        desk.end(now, ended);
        assert_eq!(desk.begin(now), [next]);
    }
}

#[test]
fn passes_that_wait_for_the_queries_of_others_make_room_up_to_a_bound() {
    let now = Instant::now();
    let names: Vec<String> = (0..MAX_PASSES + 5).map(|number| format!("g{number:02}")).collect();
    let mut desk = Desk::new(now);
    desk.survey(now, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut begun = Vec::new();
    loop {
        let more = desk.begin(now);
        if more.is_empty() {
            break;
        }
        assert!(more.len() <= MAX_OPEN, "{more:?}");
        begun.extend(more);
        let refused = || Job::Vectors(Vec::new());
        desk.schedule.each_pass(|pass| pass.not_written(now, refused(), &StoreFault::Readers));
    }
    assert_eq!(begun, names[..MAX_PASSES]);
    desk.end(now, "g00");
    assert_eq!(desk.begin(now), ["g64"]);
}

#[test]
fn a_graph_has_one_pass_at_a_time_however_often_it_is_asked_for() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    for _ in 0..2 {
        desk.run(now, None, "a");
    }
    assert_eq!(desk.begin(now), ["a"]);
    assert!(desk.begin(now).is_empty());
    desk.end(now, "a");
    assert!(desk.begin(now).is_empty(), "one pass serves both");
}

#[test]
fn a_pass_that_ends_is_taken_out_and_adds_to_the_totals() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.survey(now, &["a"]);
    assert_eq!(desk.begin(now), ["a"]);
    desk.answer(now, "a", counted(3, 2, 1));
    assert!(desk.schedule.is_busy());
    let finished = desk.end(now + SECOND, "a").unwrap();
    assert_eq!(finished.tally.duration, SECOND);
    assert!(!desk.schedule.is_busy() && desk.end(now, "a").is_none(), "once");
    let (_, _, totals) = desk.schedule.figures();
    assert_eq!((totals.graphs, totals.duration), (1, SECOND));
    let figures = desk.figures(now);
    let a = figures.get(&graph("a")).unwrap();
    assert_eq!((a.eligible, a.embedded, a.pending, a.quarantined), (3, 1, 1, 1));
    assert_eq!(a.last_run, Some(now + SECOND));
    assert_eq!(a.last_pass, Some(finished.tally));
}

#[test]
fn a_graph_that_is_gone_fulfils_its_run_and_is_forgotten() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a", "b"]);
    desk.run(now, Some(RunId(1)), "a");
    assert_eq!(desk.begin(now), ["a"]);
    desk.schedule.pass_mut(&binding("a")).unwrap().not_read(now, &StoreFault::NoGraph);
    assert!(desk.end(now, "a").unwrap().gone);
    assert_eq!(desk.fulfilled(), [RunId(1)]);
    assert!(desk.figures(now).get(&graph("a")).is_none());
    assert_eq!(desk.figures(now).sums.graphs, 1, "b is left");
}

#[test]
fn a_graph_that_is_gone_and_asked_for_again_is_kept_for_its_next_pass() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.run(now, None, "a");
    assert_eq!(desk.begin(now), ["a"]);
    desk.run(now, Some(RunId(1)), "a");
    desk.schedule.pass_mut(&binding("a")).unwrap().end(Ending::Gone, None);
    assert!(desk.end(now, "a").unwrap().gone);
    assert_eq!(desk.begin(now), ["a"]);
    desk.end(now, "a");
    assert_eq!(desk.fulfilled(), [RunId(1)]);
}

#[test]
fn released_nodes_are_pending_and_tried_by_a_pass_at_once() {
    let now = Instant::now();
    let mut desk = Desk::new(now);
    desk.survey(now, &["a"]);
    assert_eq!(desk.begin(now), ["a"]);
    desk.answer(now, "a", counted(3, 2, 2));
    desk.end(now, "a");
    desk.schedule.released(&binding("a"), 2);
    let figures = desk.figures(now);
    let a = figures.get(&graph("a")).unwrap();
    assert_eq!((a.pending, a.quarantined), (2, 0));
    assert_eq!(desk.begin(now), ["a"]);
}

/// Whether a pass over "a" looks at the indexes, though nothing is pending.
fn looks_at_indexes(desk: &mut Desk, now: Instant) -> bool {
    desk.run(now, None, "a");
    assert_eq!(desk.begin(now), ["a"]);
    desk.answer(now, "a", counted(1, 0, 0));
    desk.query(now, "a") == Some(Query::Indexes)
}

#[test]
fn indexes_are_looked_at_again_only_once_somebody_has_written() {
    let now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    assert!(!looks_at_indexes(&mut desk, now), "the first pass has seen to them");
    desk.end(now, "a");
    desk.touch(now, "a");
    assert!(looks_at_indexes(&mut desk, now));
    // Whoever writes now may drop one behind the pass's back.
    desk.touch(now, "a");
    desk.end(now, "a");
    assert!(looks_at_indexes(&mut desk, now));
    desk.end(now, "a");
    assert!(!looks_at_indexes(&mut desk, now));
    desk.end(now, "a");
    desk.configure(now, settings_with(Rule { index: None, ..rule() }));
    desk.survey(now, &["a"]);
    desk.configure(now, settings());
    desk.survey(now, &["a"]);
    assert!(looks_at_indexes(&mut desk, now), "the setting has changed");
}

/// A pass over "a" that leaves a node behind.
fn leave_one(desk: &mut Desk, now: Instant) {
    assert_eq!(desk.begin(now), ["a"]);
    desk.answer(now, "a", counted(1, 1, 0));
    desk.answer(now, "a", Answer::Indexes(Vec::new()));
    let rows = vec![selected(0, &Node { text: "text".into(), ..Node::default() })];
    desk.answer(now, "a", Answer::Selection(Selection { rows, seen: seen(1, Some(0), None) }));
    desk.schedule.each_pass(|pass| pass.end(Ending::Stop, Some("no key")));
    assert_eq!(desk.end(now, "a").unwrap().tally.deferred, 1);
}

#[test]
fn a_graph_whose_pass_left_nodes_behind_is_woken_later_and_later_until_one_leaves_none() {
    let mut now = Instant::now();
    let mut desk = Desk::idle(now, &["a"]);
    desk.run(now, None, "a");
    for rest in [5, 10, 20] {
        leave_one(&mut desk, now);
        desk.touch(now, "a");
        let due = desk.schedule.deadline(now).unwrap();
        assert_eq!(due, now + rest * SECOND);
        assert!(desk.wake(due));
        now = due;
    }
    assert_eq!(desk.begin(now), ["a"]);
    assert_eq!(desk.end(now, "a").unwrap().tally.deferred, 0);
    desk.touch(now, "a");
    assert_eq!(desk.schedule.deadline(now), Some(now + SOON));
    desk.run(now, None, "a");
    leave_one(&mut desk, now);
    assert_eq!(desk.schedule.deadline(now), Some(now + 5 * SECOND), "as at first");
}
