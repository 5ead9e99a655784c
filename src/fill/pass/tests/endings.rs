//! How a pass ends early: because it is told to, or because the store fails.

use super::*;
use crate::fill::pass::Ending;

/// Failures in a row that a pass bears.
const STORE_TRIES: usize = 8;
const BROKEN: fn() -> StoreFault = || StoreFault::Other("the engine stumbled".into());

/// A pass with three nodes: one has its vector, one is at the embedder, one waits for a request.
fn halfway() -> (Lead, Batch) {
    let mut lead = Lead::new(pending(3)).with_batches_of(1);
    lead.until("select");
    let first = lead.batch().unwrap();
    lead.embed(first);
    let second = lead.batch().unwrap();
    (lead, second)
}

#[test]
fn a_pass_told_to_stop_still_writes_what_it_has() {
    let (mut lead, in_flight) = halfway();
    lead.pass.end(Ending::Stop, Some("a person has to mend something"));
    assert!(lead.pass.is_ending() && !lead.pass.needs_embedder());
    assert_eq!((lead.query(), lead.batch()), (None, None), "nothing new starts");
    assert_eq!(lead.pass.step(), Step::Stay);
    lead.embed(in_flight);
    assert_eq!(lead.run(), ["vectors"]);
    assert_eq!(lead.with_vectors(), [0, 1]);
    let finished = lead.finish();
    assert_eq!(counts(&finished.tally), [3, 2, 0, 0, 1]);
    assert_eq!(finished.tally.error.as_deref(), Some("a person has to mend something"));
    assert!(!finished.indexes_checked && !finished.gone);
}

#[test]
fn a_pass_told_to_abandon_leaves_what_it_has() {
    let (mut lead, in_flight) = halfway();
    lead.pass.end(Ending::Abandon, None);
    assert!(lead.job().is_none() && lead.batch().is_none());
    assert_eq!(lead.pass.step(), Step::Stay, "one is at the embedder");
    lead.embed(in_flight);
    assert!(lead.run().is_empty());
    assert!(lead.with_vectors().is_empty());
    assert_eq!(counts(&lead.finish().tally), [3, 0, 0, 0, 3]);
}

#[test]
fn the_nodes_of_a_graph_that_is_gone_are_stale_and_not_left_for_later() {
    let (mut lead, in_flight) = halfway();
    let PassJob { job, .. } = lead.job().unwrap();
    lead.refuse(job, &StoreFault::NoGraph);
    lead.embed(in_flight);
    let finished = lead.finish();
    assert!(finished.gone);
    assert_eq!(counts(&finished.tally), [3, 0, 3, 0, 0]);
}

#[test]
fn the_stronger_of_two_endings_holds() {
    let ended = |endings: [Ending; 2]| {
        let (mut lead, in_flight) = halfway();
        for ending in endings {
            lead.pass.end(ending, None);
        }
        lead.embed(in_flight);
        lead.run();
        counts(&lead.finish().tally)
    };
    assert_eq!(ended([Ending::Stop, Ending::Abandon]), [3, 0, 0, 0, 3]);
    assert_eq!(ended([Ending::Abandon, Ending::Stop]), [3, 0, 0, 0, 3]);
    assert_eq!(ended([Ending::Gone, Ending::Abandon]), [3, 0, 3, 0, 0]);
}

#[test]
fn a_batch_that_comes_back_to_an_ending_pass_is_not_sent_again() {
    let (mut lead, in_flight) = halfway();
    lead.pass.end(Ending::Stop, None);
    lead.pass.requeue(in_flight);
    assert_eq!(lead.run(), ["vectors"]);
    assert_eq!(counts(&lead.finish().tally), [3, 1, 0, 0, 2]);
}

#[test]
fn a_write_that_is_out_when_the_pass_is_abandoned_counts_if_it_was_made() {
    let (mut lead, in_flight) = halfway();
    let PassJob { job, .. } = lead.job().unwrap();
    lead.pass.end(Ending::Abandon, None);
    lead.embed(in_flight);
    assert_eq!(lead.pass.step(), Step::Stay);
    assert_eq!(lead.write(job).embedded, 1);
    assert_eq!(counts(&lead.finish().tally), [3, 1, 0, 0, 2]);
}

#[test]
fn what_is_read_for_an_ending_pass_is_not_taken_in() {
    let mut lead = Lead::new(pending(3));
    lead.until("indexes");
    let query = lead.query().unwrap();
    lead.pass.end(Ending::Stop, None);
    assert_eq!(lead.pass.step(), Step::Stay, "a read is out");
    lead.answer(&query);
    assert_eq!(lead.query(), None, "though it has not seen the graph");
    assert_eq!(counts(&lead.finish().tally), [0; 5]);
}

#[test]
fn a_pass_that_is_told_to_stop_makes_no_index_any_more() {
    let mut lead = Lead::new(pending(1));
    lead.until("vectors");
    assert_eq!(lead.pass.step(), Step::Moved);
    lead.pass.end(Ending::Stop, None);
    assert!(lead.job().is_none());
    assert!(lead.finish().indexed.is_empty());
}

#[test]
fn a_pass_does_not_end_while_its_index_is_being_made() {
    let mut lead = Lead::new(pending(1));
    lead.until("vectors");
    assert_eq!(lead.pass.step(), Step::Moved);
    let PassJob { job, .. } = lead.job().unwrap();
    assert_eq!(lead.query(), None, "there is nothing to see yet");
    lead.pass.end(Ending::Stop, None);
    assert_eq!(lead.pass.step(), Step::Stay);
    lead.write(job);
    assert_eq!(lead.finish().indexed.get("Doc"), Some(&2));
}

#[test]
fn a_lost_write_leaves_its_nodes_to_the_next_pass() {
    let (mut lead, in_flight) = halfway();
    lead.pass.lost_write();
    assert_eq!(lead.pass.held(), 3, "none was out");
    lead.job().unwrap();
    lead.pass.lost_write();
    assert_eq!((lead.pass.held(), lead.job().is_none()), (2, true));
    lead.embed(in_flight);
    lead.run();
    let tally = lead.finish().tally;
    assert_eq!(counts(&tally), [3, 2, 0, 0, 1]);
    assert_eq!(tally.error, Some(StoreFault::NoReply.to_string()));
}

#[test]
fn a_store_that_fails_again_and_again_is_given_up() {
    let (mut lead, in_flight) = halfway();
    for failed in 0..STORE_TRIES {
        assert!(!lead.pass.is_ending(), "after {failed}");
        let PassJob { job, .. } = lead.job().unwrap();
        lead.refuse(job, &BROKEN());
        assert!(lead.rest().is_some_and(|rest| rest <= Duration::from_millis(500)));
    }
    let PassJob { job, .. } = lead.job().unwrap();
    lead.refuse(job, &BROKEN());
    assert!(lead.pass.is_ending() && lead.job().is_none());
    lead.embed(in_flight);
    let tally = lead.finish().tally;
    assert_eq!(counts(&tally), [3, 0, 0, 0, 3]);
    assert_eq!(tally.error, Some(BROKEN().to_string()));
}

#[test]
fn reads_that_fail_again_and_again_end_the_pass_and_one_that_works_counts_anew() {
    let mut lead = Lead::new(pending(3));
    let fail = |lead: &mut Lead| {
        for _ in 0..STORE_TRIES {
            assert!(lead.query().is_some());
            lead.pass.not_read(lead.now, &BROKEN());
            lead.rest().unwrap();
        }
    };
    fail(&mut lead);
    lead.ask().unwrap();
    fail(&mut lead);
    assert!(!lead.pass.is_ending());
    lead.query().unwrap();
    lead.pass.not_read(lead.now, &BROKEN());
    assert_eq!(counts(&lead.finish().tally), [0; 5]);
}

#[test]
fn a_pause_is_longer_the_more_often_the_store_has_failed() {
    let (mut lead, _in_flight) = halfway();
    let mut rests = Vec::new();
    for _ in 0..STORE_TRIES {
        let PassJob { job, .. } = lead.job().unwrap();
        lead.refuse(job, &BROKEN());
        rests.extend(lead.rest());
    }
    assert!(rests.is_sorted() && rests[0] * 2 == rests[1], "{rests:?}");
}

#[test]
fn what_passes_by_itself_is_waited_for_however_long_it_takes() {
    for fault in [StoreFault::Readers, StoreFault::Begun, StoreFault::Paused] {
        let (mut lead, in_flight) = halfway();
        for _ in 0..100 {
            let PassJob { job, .. } = lead.job().unwrap();
            lead.refuse(job, &fault);
            lead.rest().unwrap();
        }
        assert!(!lead.pass.is_ending(), "{fault}");
        lead.embed(in_flight);
        lead.run();
        assert_eq!(counts(&lead.finish().tally), [3, 3, 0, 0, 0], "{fault}");
    }
}

#[test]
fn a_pass_that_was_told_to_end_does_not_wait_for_what_passes_by_itself() {
    let (mut lead, in_flight) = halfway();
    lead.pass.end(Ending::Stop, None);
    lead.embed(in_flight);
    let mut tries = 0;
    while let Some(PassJob { job, .. }) = lead.job() {
        tries += 1;
        assert!(tries < 100, "it waits without end");
        lead.refuse(job, &StoreFault::Readers);
        lead.rest();
    }
    assert!(tries > 1);
    assert_eq!(counts(&lead.finish().tally), [3, 0, 0, 0, 3]);
}
