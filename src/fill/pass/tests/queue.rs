//! The nodes a pass holds: how they are batched, written, put back and counted.

use super::*;
use crate::entity::Text;
use crate::fill::port::store::Readers;
use crate::fill::status::{GraphFigures, GraphState};

/// A pass that has selected all of these nodes.
fn selected(nodes: u64, texts_a_batch: usize) -> Lead {
    let mut lead = Lead { index: Some(true), ..Lead::new(pending(nodes)) };
    lead = lead.with_batches_of(texts_a_batch);
    lead.until("select");
    while lead.ask().is_some() {}
    lead
}

/// A pass that has the vectors of all of these nodes.
fn embedded(nodes: u64) -> Lead {
    let mut lead = selected(nodes, 1_000);
    let batch = lead.batch().unwrap();
    lead.embed(batch);
    lead
}

fn texts(batch: &Batch) -> Vec<String> {
    batch.texts().map(|text| text.to_utf8().into_owned()).collect()
}

#[test]
fn a_batch_waits_until_it_is_full_or_nothing_more_comes() {
    let mut lead = Lead::new(pending(50)).with_batches_of(20);
    let sent = |lead: &mut Lead| lead.batch().map(|batch| batch.nodes());
    lead.until("select");
    assert_eq!((lead.pass.held(), sent(&mut lead)), (16, None), "more is to come");
    lead.ask().unwrap();
    assert_eq!(lead.pass.held(), 48);
    assert_eq!([sent(&mut lead), sent(&mut lead)], [Some(20), Some(20)], "they are full");
    assert_eq!(sent(&mut lead), None);
    lead.ask().unwrap();
    assert_eq!(lead.query(), None, "all ids have been seen");
    assert_eq!([sent(&mut lead), sent(&mut lead)], [Some(10), None], "nothing more comes");
    assert_eq!(lead.pass.held(), 50, "they are in flight");
}

#[test]
fn a_batch_does_not_wait_for_more_than_the_pass_has_room_for() {
    let waits = |change: fn(&mut Room)| {
        let mut lead = Lead::new(pending(30)).with_batches_of(20);
        lead.until("select");
        change(&mut lead.room);
        lead.batch().is_none()
    };
    assert!(waits(|_| {}));
    assert!(!waits(|room| room.nodes = 16), "it is full");
    assert!(!waits(|room| room.heavy = true), "its texts are long");
}

#[test]
fn a_batch_that_came_back_goes_before_what_has_not_been_sent() {
    let mut lead = selected(4, 2);
    let first = lead.batch().unwrap();
    assert_eq!(texts(&first), ["text 0", "text 1"]);
    lead.pass.requeue(first.clone());
    assert_eq!((lead.pass.held(), lead.batch()), (4, Some(first)));
    assert_eq!(lead.batch().map(|batch| texts(&batch)[0].clone()), Some("text 2".into()));
}

#[test]
fn a_text_that_is_at_the_embedder_already_is_waited_for_and_not_sent() {
    let mut lead = Lead::new(pending(1));
    lead.until("indexes");
    let (text, vector) = (Text::new(b"text 0", 99), Arc::from([1.0, 2.0]));
    lead.cache.sent([&text].into_iter());
    lead.ask().unwrap();
    assert_eq!((lead.batch(), lead.pass.held()), (None, 1));
    lead.cache.complete([&text].into_iter());
    lead.cache.put(lead.now, &text, &vector);
    assert_eq!(lead.batch(), None);
    assert_eq!(lead.job().map(|write| ids(&write.job)), Some(vec![EntityId(0)]));
}

#[test]
fn a_vector_that_the_index_of_the_label_does_not_take_is_a_conflict() {
    let conflict = |index, received| {
        let mut lead = Lead { index, ..Lead::new(pending(1)) };
        lead.until("select");
        let batch = lead.batch().unwrap();
        lead.pass.index_conflict(&batch, received)
    };
    assert_eq!(conflict(Some(true), 3), Some(2));
    assert_eq!((conflict(Some(true), 2), conflict(None, 3)), (None, None));
}

#[test]
fn a_write_put_back_keeps_its_order() {
    let mut lead = embedded(100);
    let PassJob { job, .. } = lead.job().unwrap();
    let slice = ids(&job);
    assert_eq!(slice[..2], [EntityId(0), EntityId(1)]);
    assert!(slice.len() < 100 && lead.job().is_none(), "a slice, and one at a time");
    lead.refuse(job, &StoreFault::Readers);
    assert!(lead.job().is_none(), "after a pause");
    assert_eq!(lead.pass.held(), 100);
    lead.rest().unwrap();
    let PassJob { job, .. } = lead.job().unwrap();
    assert_eq!(ids(&job), slice);
    lead.write(job);
    let next = lead.job().map(|write| ids(&write.job)[0].0);
    assert_eq!(next, Some(slice.len() as u64), "what came behind is behind");
}

#[test]
fn marks_put_back_keep_their_order_and_go_before_the_vectors() {
    let mut lead = selected(3, 1);
    let batches = [lead.batch(), lead.batch(), lead.batch()].map(Option::unwrap);
    let [vector, first, second] = batches;
    lead.embed(vector);
    lead.pass.quarantine(first, "refused");
    lead.pass.quarantine(second, "refused");
    let marked = |job: &Job| {
        let Job::Quarantine(marks) = job else { panic!("{job:?}") };
        marks.iter().map(|mark| mark.entity.id.0).collect::<Vec<_>>()
    };
    let PassJob { job, .. } = lead.job().unwrap();
    assert_eq!(marked(&job), [1, 2]);
    lead.refuse(job, &StoreFault::Paused);
    lead.rest().unwrap();
    let PassJob { job, .. } = lead.job().unwrap();
    assert_eq!(marked(&job), [1, 2]);
    assert_eq!(lead.write(job).quarantined, 2);
    assert_eq!(lead.run(), ["vectors"]);
    assert!(lead.graph[&1].error.as_ref().is_some_and(|note| note.starts_with("refused")));
    assert_eq!(counts(&lead.finish().tally), [3, 1, 0, 2, 0]);
}

#[test]
fn a_write_waits_for_the_queries_of_others_as_long_as_the_user_wants() {
    let patience = Duration::from_secs(1);
    let mut lead = embedded(1);
    assert!(!lead.pass.is_waiting());
    let PassJob { job, readers, .. } = lead.job().unwrap();
    assert_eq!(readers, Readers::Wait);
    let refused = lead.now;
    lead.refuse(job, &StoreFault::Readers);
    assert!(lead.pass.is_waiting());
    lead.now = refused + patience / 2;
    let PassJob { job, readers, .. } = lead.pass.take_job(lead.now, Some(patience)).unwrap();
    assert_eq!(readers, Readers::Wait);
    lead.refuse(job, &StoreFault::Readers);
    lead.now = refused + patience;
    let PassJob { job, readers, .. } = lead.pass.take_job(lead.now, Some(patience)).unwrap();
    assert_eq!(readers, Readers::Ignore, "from the first refusal on");
    lead.write(job);
    assert!(!lead.pass.is_waiting());
}

#[test]
fn a_write_that_was_put_off_often_goes_ahead_beside_a_query_that_has_just_begun() {
    let mut lead = embedded(200);
    let mut put_off = 0;
    let job = loop {
        let PassJob { job, readers, .. } = lead.job().unwrap();
        if readers == Readers::AllowRecent {
            break job;
        }
        put_off += 1;
        assert!(put_off < 100, "it never dares");
        lead.refuse(job, &StoreFault::Begun);
        lead.rest().unwrap();
    };
    assert!(put_off > 1 && !lead.pass.is_waiting());
    lead.write(job);
    assert_eq!(lead.job().map(|write| write.readers), Some(Readers::Wait), "the next one waits");
}

#[test]
fn a_write_that_took_the_engine_too_long_is_made_in_halves() {
    let mut lead = embedded(100);
    let PassJob { job, .. } = lead.job().unwrap();
    let nodes = job.nodes();
    lead.refuse(job, &StoreFault::Timeout);
    lead.rest().unwrap();
    assert_eq!(lead.job().map(|write| write.job.nodes()), Some(nodes / 2));
}

#[test]
fn what_holds_back_all_writes_is_told_until_the_store_works_again() {
    let mut lead = embedded(1);
    let PassJob { job, .. } = lead.job().unwrap();
    lead.refuse(job, &StoreFault::OutOfMemory);
    assert_eq!(lead.pass.held_back(), Some(StoreFault::OutOfMemory.to_string().as_str()));
    lead.rest().unwrap();
    let PassJob { job, .. } = lead.job().unwrap();
    lead.write(job);
    assert_eq!(lead.pass.held_back(), None);
}

#[test]
fn an_index_that_is_refused_for_good_is_told_and_does_not_end_the_pass() {
    let mut lead = Lead::new(pending(1));
    lead.until("vectors");
    assert_eq!(lead.pass.step(), Step::Moved);
    let PassJob { job, .. } = lead.job().unwrap();
    assert_eq!(kind_of_job(&job), "create index");
    // One that meets queries of others is made again, though nobody's vectors wait for it.
    lead.refuse(job, &StoreFault::Readers);
    assert!(!lead.pass.is_waiting());
    lead.rest().unwrap();
    let PassJob { job, .. } = lead.job().unwrap();
    lead.refuse(job, &StoreFault::Other("there are too many indexes".into()));
    assert_eq!(lead.run(), ["indexes"]);
    let finished = lead.finish();
    assert_eq!(finished.tally.error.as_deref(), Some("there are too many indexes"));
    assert_eq!((counts(&finished.tally), finished.indexed.len()), ([1, 1, 0, 0, 0], 0));
}

#[test]
fn every_selected_node_is_settled_once_whatever_became_of_it() {
    let mut lead = selected(5, 1);
    let batches = [(); 5].map(|()| lead.batch().unwrap());
    let [written, edited, refused, deleted, left] = batches;
    assert_eq!(lead.pass.step(), Step::Stay, "all of them are in flight");
    lead.graph.insert(1, node("edited"));
    lead.graph.remove(&3);
    lead.embed(written);
    lead.embed(edited);
    lead.pass.quarantine(refused, "refused");
    lead.pass.quarantine(deleted, "refused");
    lead.pass.defer(left.nodes());
    assert_eq!(lead.pass.held(), 4);
    assert_eq!(lead.run()[..3], ["marks", "vectors", "select"]);
    // The second sweep has found the one that was edited, and the one that was left.
    assert_eq!(counts(&lead.finish().tally), [7, 3, 2, 1, 1]);
}

#[test]
fn what_a_pass_does_and_holds_is_shown() {
    let shown = |lead: &Lead| {
        let mut figures = GraphFigures::default();
        lead.pass.show(lead.now, &mut figures);
        (figures.state, figures.in_flight)
    };
    let mut lead = Lead::new(pending(3));
    assert_eq!(shown(&lead), (GraphState::Counting, 0));
    lead.until("select");
    let batch = lead.batch().unwrap();
    assert_eq!(shown(&lead), (GraphState::Filling, 3));
    lead.embed(batch);
    let PassJob { job, .. } = lead.job().unwrap();
    lead.refuse(job, &StoreFault::Readers);
    assert_eq!(shown(&lead), (GraphState::Waiting, 3));
    lead.until("create index");
    assert_eq!(shown(&lead), (GraphState::Indexing, 0));
}

#[test]
fn what_a_request_costs_is_told_with_the_pass() {
    let mut lead = embedded(1);
    lead.pass.note_request();
    lead.pass.note_tokens(7);
    lead.pass.note_error("slow");
    lead.run();
    let tally = lead.finish().tally;
    assert_eq!((tally.requests, tally.tokens, tally.error.as_deref()), (1, 7, Some("slow")));
}
