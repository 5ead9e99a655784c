//! The stages a pass goes through, by what it finds.

use super::*;
use crate::entity::Text;
use crate::fill::port::store::Window;
use crate::fill::quarantine::mark;
use crate::fill::sweep::INITIAL_WIDTH;

fn window(query: &Query) -> Window {
    let (Query::Select(window) | Query::Count { window, .. }) = query else { panic!("{query:?}") };
    *window
}

/// A node that was refused with this text.
fn refused(text: &str, with: &str) -> Node {
    let note = mark::note("refused", &Text::new(with.as_bytes(), 99));
    Node { error: Some(note), ..node(text) }
}

#[test]
fn an_empty_graph_is_counted_and_left() {
    let mut lead = Lead::new(Graph::new());
    assert_eq!(lead.run(), ["count all"]);
    let finished = lead.finish();
    assert_eq!(counts(&finished.tally), [0; 5]);
    assert!(finished.indexes_checked && !finished.gone && finished.indexed.is_empty());
    assert_eq!(finished.end_of_graph, Some(0));
}

#[test]
fn a_small_graph_is_counted_at_once_filled_and_gets_its_index() {
    let mut lead = Lead::new(pending(2));
    let (filling, indexing) =
        (["select", "embed", "vectors"], ["create index", "indexes", "indexes"]);
    assert_eq!(lead.run(), [&["count all", "indexes"][..], &filling, &indexing].concat());
    assert_eq!(lead.with_vectors(), [0, 1]);
    let finished = lead.finish();
    assert_eq!(counts(&finished.tally), [2, 2, 0, 0, 0]);
    assert_eq!(finished.indexed.into_iter().collect::<Vec<_>>(), [("Doc".to_owned(), 2)]);
    assert_eq!(finished.end_of_graph, Some(2), "what comes to be now has this id");
}

#[test]
fn a_small_graph_is_swept_up_to_the_end_that_its_count_has_found() {
    let mut lead = Lead::new(pending(2));
    let query = lead.query().unwrap();
    assert!(matches!(query, Query::CountAll { rows: 128, labels: true, .. }), "{query:?}");
    let counted = lead.answer(&query).counted.unwrap();
    assert_eq!((counted.eligible, counted.unfilled, counted.quarantined), (2, 2, 0));
    assert_eq!(lead.ask(), Some(Query::Indexes));
    let Window { from, hi, last, .. } = window(&lead.ask().unwrap());
    assert_eq!((from.id, hi, last), (0, 2, true));
    assert_eq!(lead.query(), None, "nothing lies beyond");
}

#[test]
fn a_large_graph_is_counted_and_filled_window_by_window() {
    let mut graph = pending(20);
    graph.insert(10_000, node("far away"));
    let mut lead = Lead::new(graph);
    assert_eq!(lead.ask().map(|query| kind(&query)), Some("count all"));
    let first = lead.query().unwrap();
    assert_eq!(window(&first).from.id, 0);
    assert!(lead.answer(&first).counted.is_none(), "the graph goes on");
    let second = lead.query().unwrap();
    assert_eq!(window(&second).from.id, 10_000, "the gap is jumped over");
    assert!(matches!(second, Query::Count { labels: true, .. }));
    assert_eq!(lead.answer(&second).counted.map(|counted| counted.eligible), Some(21));
    assert_eq!(lead.ask(), Some(Query::Indexes));
    let select = window(&lead.ask().unwrap());
    assert!(!select.last && select.hi > 20 && select.rows < 20, "{select:?}");
    lead.run();
    assert_eq!(lead.with_vectors().len(), 21);
    assert_eq!(counts(&lead.finish().tally), [21, 21, 0, 0, 0]);
}

#[test]
fn where_a_reply_has_few_rows_labels_are_not_counted_and_small_graphs_not_at_once() {
    let first = |max_rows| Lead::with(Plan { max_rows, ..plan() }, pending(2)).query().unwrap();
    assert!(matches!(first(13), Query::CountAll { labels: false, .. }));
    assert!(matches!(first(12), Query::Count { labels: false, .. }));
    // What is not known of the labels is looked at.
    let mut lead = Lead::with(Plan { max_rows: 12, ..plan() }, pending(2));
    assert!(lead.run().contains(&"sample"));
}

#[test]
fn where_no_index_is_looked_for_the_labels_of_a_large_graph_are_not_counted_to_its_end() {
    let mut graph = pending(20);
    graph.insert(10_000, node("far away"));
    let mut lead = Lead::with(Plan { check_indexes: false, ..plan() }, graph);
    lead.until("count all");
    assert!(matches!(lead.ask(), Some(Query::Count { labels: true, .. })));
    assert!(matches!(lead.ask(), Some(Query::Count { labels: false, .. })));
}

#[test]
fn a_graph_with_nothing_pending_has_its_indexes_looked_at() {
    let mut lead = Lead { index: Some(true), ..Lead::new([(0, filled("a"))].into()) };
    assert_eq!(lead.run(), ["count all", "indexes"]);
    let finished = lead.finish();
    assert_eq!(counts(&finished.tally), [0; 5]);
    assert!(finished.indexes_checked && finished.indexed.is_empty());
}

#[test]
fn a_graph_with_nothing_pending_and_nothing_to_check_is_counted_and_left() {
    let plan = Plan { check_indexes: false, ..plan() };
    let mut lead = Lead::with(plan, [(0, filled("a"))].into());
    assert_eq!(lead.run(), ["count all"]);
}

#[test]
fn an_index_that_is_missing_is_made_for_vectors_that_were_there_before() {
    let mut lead = Lead::new([(0, filled("a"))].into());
    let indexing = ["indexes", "create index", "indexes", "indexes"];
    assert_eq!(lead.run(), [&["count all", "indexes", "sample"][..], &indexing].concat());
    assert_eq!(lead.finish().indexed.get("Doc"), Some(&2));
}

#[test]
fn where_vectors_were_there_before_one_is_looked_at_before_an_index_is_made() {
    let mut lead = Lead::new([(0, filled("a")), (1, node("b"))].into());
    lead.until("vectors");
    assert_eq!(lead.run()[..3], ["sample", "indexes", "create index"]);
}

#[test]
fn no_index_is_made_where_none_is_wanted() {
    let plan = Plan { check_indexes: false, rule: Rule { index: None, ..rule() }.into(), ..plan() };
    let mut lead = Lead::with(plan, pending(1));
    assert_eq!(lead.run(), ["count all", "indexes", "select", "embed", "vectors"]);
    assert!(!lead.finish().indexes_checked);
}

#[test]
fn a_graph_whose_index_is_being_built_is_not_filled_before_it_is() {
    let mut lead = Lead { index: Some(false), ..Lead::new(pending(1)) };
    lead.until("count all");
    assert_eq!(lead.ask(), Some(Query::Indexes));
    assert_eq!((lead.query(), lead.batch(), lead.pass.step()), (None, None, Step::Stay));
    assert_eq!(lead.rest(), Some(Duration::from_millis(100)));
    assert_eq!(lead.run(), ["indexes", "select", "embed", "vectors"], "now it is built");
    assert_eq!(counts(&lead.finish().tally), [1, 1, 0, 0, 0]);
}

#[test]
fn an_index_that_takes_long_is_not_watched_to_its_end_and_those_behind_it_wait_for_another_pass() {
    let labels = ["A", "B"].map(str::to_owned).to_vec();
    let mut lead =
        Lead { labels, stuck: true, ..Lead::new([(0, filled("a")), (1, filled("b"))].into()) };
    lead.until("create index");
    assert!(lead.job().is_none(), "one is built at a time");
    assert!(!lead.run().contains(&"create index"));
    let finished = lead.finish();
    assert_eq!(finished.indexed.len(), 1);
    assert!(!finished.indexes_checked, "one is left");
    let watched = finished.tally.duration;
    assert!((10..11).contains(&watched.as_secs()), "{watched:?}");
}

#[test]
fn what_is_new_is_filled_without_a_count() {
    let mut lead = Lead::with(Plan { scope: Scope::Tail(5), ..plan() }, pending(7));
    assert_eq!(lead.ask(), Some(Query::Indexes));
    let query = lead.query().unwrap();
    assert_eq!(window(&query).from.id, 5);
    let progress = lead.answer(&query);
    assert_eq!((progress.found, progress.counted.is_none()), (2, true), "no count knows of them");
    // The older nodes may have vectors of another length: that is looked at.
    assert_eq!(lead.run()[..3], ["embed", "vectors", "sample"]);
    assert_eq!(lead.with_vectors(), [5, 6]);
    let finished = lead.finish();
    assert_eq!((counts(&finished.tally)[0], finished.end_of_graph), (2, Some(7)));
    assert!(!finished.indexes_checked, "of a part of the graph only");
}

#[test]
fn quarantined_nodes_are_reviewed_after_the_others_and_the_edited_ones_filled() {
    let old = [(1, refused("edited", "old")), (2, refused("same", "same"))];
    let mut graph = pending(1);
    graph.extend(old);
    let mut lead = Lead { index: Some(true), ..Lead::new(graph) };
    lead.until("embed");
    let PassJob { job, plain, .. } = lead.job().unwrap();
    assert!(plain);
    lead.write(job);
    assert_eq!(lead.pass.step(), Step::Moved);
    let query = lead.query().unwrap();
    assert!(matches!(query, Query::Marked { texts: true, .. }), "{query:?}");
    assert_eq!(lead.answer(&query).released, 1);
    let batch = lead.batch().unwrap();
    lead.embed(batch);
    let PassJob { job, plain, .. } = lead.job().unwrap();
    assert!(!plain, "its mark is taken away, too");
    assert_eq!(ids(&job), [EntityId(1)]);
    assert_eq!(lead.write(job).embedded, 1);
    assert!(lead.run().is_empty());
    assert_eq!((lead.with_vectors(), lead.graph[&2].error.is_some()), (vec![0, 1], true));
    assert_eq!(counts(&lead.finish().tally), [2, 2, 0, 0, 0]);
}

#[test]
fn a_graph_in_which_all_that_is_left_is_quarantined_is_reviewed_at_once() {
    let mut lead = Lead::new([(0, refused("same", "same"))].into());
    assert_eq!(lead.run(), ["count all", "indexes", "marked"]);
    assert_eq!(counts(&lead.finish().tally), [0; 5]);
}

#[test]
fn the_writes_of_a_review_are_not_sized_by_what_those_before_have_cost() {
    let mut graph = pending(1);
    graph.extend((1..9).map(|id| (id, refused("edited", "old"))));
    let mut lead = Lead { index: Some(true), ..Lead::new(graph) };
    lead.until("embed");
    let PassJob { job, .. } = lead.job().unwrap();
    let written = Written { ids: ids(&job), held: BUDGET * 100, contended: false };
    lead.pass.wrote(job, &written, BUDGET);
    lead.until("embed");
    assert_eq!(lead.job().map(|write| write.job.nodes()), Some(8));
}

#[test]
fn what_became_stale_leads_to_one_more_sweep_and_not_to_two() {
    let mut lead = Lead::new(pending(1));
    let edit = |lead: &mut Lead, text: &str| lead.graph.insert(0, node(text));
    lead.until("embed");
    edit(&mut lead, "edited");
    lead.until("embed");
    edit(&mut lead, "edited again");
    assert_eq!(lead.run(), ["vectors"], "that is left to the next pass");
    assert_eq!(counts(&lead.finish().tally), [2, 0, 2, 0, 0]);
}

#[test]
fn a_graph_that_became_stale_is_filled_by_the_second_sweep() {
    let mut lead = Lead { index: Some(true), ..Lead::new(pending(1)) };
    lead.until("embed");
    lead.graph.insert(0, node("edited"));
    assert_eq!(lead.run(), ["vectors", "select", "embed", "vectors"]);
    assert_eq!(counts(&lead.finish().tally), [2, 1, 1, 0, 0]);
}

#[test]
fn a_count_that_took_the_engine_too_long_is_made_in_small_windows() {
    let mut lead = Lead::new(pending(2));
    assert!(matches!(lead.query(), Some(Query::CountAll { .. })));
    lead.pass.not_read(lead.now, &StoreFault::Timeout);
    assert_eq!(lead.query(), None, "after a pause");
    lead.rest().unwrap();
    let first = window(&lead.query().unwrap());
    assert!(first.hi < INITIAL_WIDTH, "{first:?}");
    lead.pass.not_read(lead.now, &StoreFault::Timeout);
    lead.rest().unwrap();
    let second = window(&lead.query().unwrap());
    assert!(second.from.id == 0 && second.hi < first.hi, "{first:?} {second:?}");
}

#[test]
fn one_read_is_out_at_a_time_and_none_while_there_is_no_room() {
    let mut lead = Lead::new(pending(2));
    let query = lead.query().unwrap();
    assert_eq!((lead.query(), lead.pass.step()), (None, Step::Stay));
    lead.answer(&query);
    assert_eq!(lead.ask(), Some(Query::Indexes));
    let room = std::mem::replace(&mut lead.room.nodes, 0);
    assert_eq!(lead.query(), None);
    lead.room.nodes = room;
    assert!(lead.query().is_some());
}
