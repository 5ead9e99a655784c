//! Jobs about the quarantine, led by hand: what they read and write, and what their users are told.

use std::time::Duration;

use super::*;
use crate::entity::{EntityId, Text};
use crate::fill::fixture::{just_before, rule, seen};
use crate::fill::port::event::Failure;
use crate::fill::port::store::{Selected, Source, Window};

const MAX_ROWS: usize = 100;
const MINUTE: Duration = Duration::from_mins(1);
/// Nodes of one write at most.
const SLICE: u64 = 128;
const LIST: QuarantineRequest = QuarantineRequest::List { most: 3 };
const RELEASE_ALL: QuarantineRequest = QuarantineRequest::Release { ids: None };

fn ids(ids: impl IntoIterator<Item = u64>) -> Vec<EntityId> {
    ids.into_iter().map(EntityId).collect()
}

fn nodes(ids: Vec<EntityId>) -> Vec<Entity> {
    ids.into_iter().map(|id| Entity::node(id.0)).collect()
}

/// How many entities are tried again.
fn released(done: &JobDone) -> u64 {
    done.released.values().sum()
}

fn release(nodes: impl IntoIterator<Item = u64>) -> QuarantineRequest {
    QuarantineRequest::Release { ids: Some(ids(nodes)) }
}

/// The jobs, and the time.
struct Ward {
    jobs: QuarantineJobs,
    now: Instant,
}

impl Ward {
    /// A user asks this of the graph "g".
    fn asked(request: QuarantineRequest) -> Self {
        let mut ward = Self { jobs: QuarantineJobs::default(), now: Instant::now() };
        ward.ask(1, request).unwrap();
        ward
    }

    fn ask(&mut self, run: u64, request: QuarantineRequest) -> Result<(), RunFault> {
        let request = JobRequest {
            run: RunId(run),
            graph: GraphName::new("g"),
            rules: vec![Arc::new(rule())],
            request,
        };
        self.jobs.open(self.now, request, MAX_ROWS)
    }

    /// The window that is read now, with the query to be answered.
    fn reads(&mut self) -> Option<(Window, Query)> {
        let JobRead { query, .. } = self.jobs.take_read(self.now)?;
        let Query::Marked { window, texts: false } = query else { panic!("{query:?}") };
        Some((window, query))
    }

    fn answer(&mut self, query: &Query, outcome: Result<Marked, StoreFault>) {
        self.jobs.read(self.now, RunId(1), query, outcome.map(Some));
    }

    /// The ids that are written now.
    fn writes(&mut self) -> Option<Vec<EntityId>> {
        let write = self.jobs.take_write(self.now)?;
        Some(write.entities.iter().map(|entity| entity.id).collect())
    }

    /// The write comes back.
    fn wrote(&mut self, ids: Vec<EntityId>, outcome: Result<(), StoreFault>) {
        let outcome = outcome.map(|()| ids.len());
        self.jobs.wrote(self.now, RunId(1), nodes(ids), outcome);
    }

    fn done(&mut self) -> Option<JobDone> {
        self.jobs.take_done(self.now).pop()
    }

    /// What the user is told.
    fn told(&mut self) -> Option<Result<Outcome, RunFault>> {
        self.done().map(|done| done.outcome)
    }
}

/// These nodes are marked; `beyond` = where the graph goes on.
fn marked(nodes: &[u64], beyond: Option<u64>) -> Marked {
    let text = Text::new(b"text", 9);
    let node = |id: &u64| {
        let source = Source::Text(Vec::new());
        let row = Selected { id: EntityId(*id), ends: None, label: None, source };
        (row, mark::note("refused", &text))
    };
    let rows: Vec<_> = nodes.iter().map(node).collect();
    Marked { seen: seen(rows.len(), nodes.last().copied(), beyond), rows }
}

#[test]
fn a_list_ends_when_enough_are_found() {
    let mut ward = Ward::asked(LIST);
    let (window, query) = ward.reads().unwrap();
    assert_eq!((window.from.id, window.rows), (0, 3), "no more than are wanted");
    assert!(ward.reads().is_none() && ward.told().is_none(), "one at a time");
    ward.answer(&query, Ok(marked(&[4, 5], Some(5_000))));
    assert!(ward.told().is_none());
    let (window, query) = ward.reads().unwrap();
    assert_eq!((window.from.id, window.rows), (5_000, 1));
    ward.answer(&query, Ok(marked(&[5_001], Some(9_000))));
    assert!(ward.reads().is_none(), "though the graph goes on");
    let failure = |id| Failure { id: EntityId(id), rule: rule().name, words: "refused".into() };
    let list = [4, 5, 5_001].map(failure).to_vec();
    assert_eq!(ward.told(), Some(Ok(Outcome::Failures(list))));
    assert!(ward.jobs.is_empty() && ward.jobs.deadline().is_none());
}

#[test]
fn a_list_ends_where_the_graph_does() {
    let mut ward = Ward::asked(LIST);
    let (_, query) = ward.reads().unwrap();
    ward.answer(&query, Ok(marked(&[], None)));
    assert_eq!(ward.told(), Some(Ok(Outcome::Failures(Vec::new()))));
}

#[test]
fn releasing_named_nodes_reads_nothing() {
    let mut ward = Ward::asked(release([7, 3]));
    assert!(ward.reads().is_none());
    let write = ward.jobs.take_write(ward.now).unwrap();
    assert_eq!((write.entities, write.readers), (nodes(ids([7, 3])), Readers::Wait));
    assert!(ward.writes().is_none() && ward.told().is_none());
    // One of them had no mark.
    ward.jobs.wrote(ward.now, RunId(1), nodes(ids([7, 3])), Ok(1));
    let done = ward.done().unwrap();
    assert_eq!((released(&done), done.outcome), (1, Ok(Outcome::Released(1))));
}

#[test]
fn releasing_all_writes_what_a_window_has_shown_before_it_reads_the_next() {
    let mut ward = Ward::asked(RELEASE_ALL);
    let (_, query) = ward.reads().unwrap();
    ward.answer(&query, Ok(marked(&[1, 2], Some(5_000))));
    assert!(ward.reads().is_none());
    let found = ward.writes().unwrap();
    assert_eq!(found, ids([1, 2]));
    ward.wrote(found, Ok(()));
    let (window, query) = ward.reads().unwrap();
    assert_eq!(window.from.id, 5_000);
    ward.answer(&query, Ok(marked(&[5_003], None)));
    let found = ward.writes().unwrap();
    ward.wrote(found, Ok(()));
    assert_eq!(ward.told(), Some(Ok(Outcome::Released(3))));
}

#[test]
fn a_refused_write_is_made_again_and_counts_once() {
    let mut ward = Ward::asked(release(0..SLICE + 2));
    let first = ward.writes().unwrap();
    assert_eq!(first, ids(0..SLICE));
    ward.wrote(first.clone(), Err(StoreFault::Readers));
    assert!(ward.writes().is_none() && ward.told().is_none(), "after a pause");
    let rested = ward.jobs.deadline().unwrap();
    assert!(rested > ward.now && rested < ward.now + MINUTE);
    ward.now = rested;
    assert_eq!(ward.writes(), Some(first.clone()), "the same, in their order");
    ward.wrote(first, Ok(()));
    let rest = ward.writes().unwrap();
    assert_eq!(rest, ids([SLICE, SLICE + 1]));
    ward.wrote(rest, Ok(()));
    assert_eq!(ward.told(), Some(Ok(Outcome::Released(SLICE + 2))));
}

#[test]
fn a_write_that_was_put_off_often_goes_ahead_beside_a_query_that_has_just_begun() {
    let mut ward = Ward::asked(release([1]));
    let mut put_off = 0;
    while ward.jobs.take_write(ward.now).unwrap().readers == Readers::Wait {
        put_off += 1;
        assert!(put_off < 100, "it never dares");
        ward.wrote(ids([1]), Err(StoreFault::Begun));
        ward.now = ward.jobs.deadline().unwrap();
    }
    assert!(put_off > 1, "not at the first time");
    ward.wrote(ids([1]), Ok(()));
    assert_eq!(ward.told(), Some(Ok(Outcome::Released(1))));
}

#[test]
fn a_user_waits_a_minute_at_most_and_is_told_how_many_were_done() {
    let mut ward = Ward::asked(release(0..2 * SLICE));
    let asked = ward.now;
    assert_eq!(ward.jobs.deadline(), Some(asked + MINUTE));
    let first = ward.writes().unwrap();
    ward.wrote(first, Ok(()));
    assert!(ward.writes().is_some(), "this one never comes back");
    ward.now = just_before(asked + MINUTE);
    assert!(ward.told().is_none());
    ward.now = asked + MINUTE;
    let done = ward.done().unwrap();
    assert_eq!((released(&done), done.outcome), (SLICE, Err(RunFault::Late { done: SLICE })));
}

#[test]
fn a_list_that_is_not_complete_in_time_is_not_told_as_if_it_were() {
    let mut ward = Ward::asked(LIST);
    let (_, query) = ward.reads().unwrap();
    ward.answer(&query, Ok(marked(&[4], Some(5_000))));
    ward.now += MINUTE;
    assert_eq!(ward.told(), Some(Err(RunFault::Late { done: 0 })));
}

#[test]
fn too_many_jobs_are_refused_until_one_of_them_ends() {
    let mut ward = Ward::asked(LIST);
    for run in 2..=MAX_JOBS as u64 {
        assert_eq!(ward.ask(run, LIST), Ok(()), "{run}");
    }
    assert_eq!(ward.ask(99, LIST), Err(RunFault::Busy));
    let (_, query) = ward.reads().unwrap();
    ward.answer(&query, Ok(marked(&[], None)));
    assert!(ward.told().is_some_and(|told| told.is_ok()));
    assert_eq!(ward.ask(99, LIST), Ok(()));
}

#[test]
fn a_graph_that_is_gone_is_told() {
    let gone = || Some(Err(RunFault::NoGraph(GraphName::new("g"))));
    let mut ward = Ward::asked(LIST);
    let (_, query) = ward.reads().unwrap();
    ward.answer(&query, Err(StoreFault::NoGraph));
    assert_eq!(ward.told(), gone());

    let mut ward = Ward::asked(release(0..2 * SLICE));
    let first = ward.writes().unwrap();
    ward.wrote(first, Ok(()));
    let second = ward.writes().unwrap();
    ward.wrote(second, Err(StoreFault::NoGraph));
    let done = ward.done().unwrap();
    assert_eq!((released(&done), Some(done.outcome)), (SLICE, gone()), "what was done counts");
}

#[test]
fn what_does_not_pass_by_itself_ends_a_job_in_the_words_of_the_server_or_the_engine() {
    let told = |fault: StoreFault| {
        let mut ward = Ward::asked(RELEASE_ALL);
        let (_, query) = ward.reads().unwrap();
        ward.answer(&query, Err(fault));
        ward.told()
    };
    assert_eq!(told(StoreFault::Replica), Some(Err(RunFault::Replica)));
    let words = RunFault::Store("no such function".into());
    assert_eq!(told(StoreFault::Other("no such function".into())), Some(Err(words)));
    assert_eq!(told(StoreFault::QueueFull), None, "that passes");
}

#[test]
fn a_window_that_took_the_engine_too_long_is_read_again_in_smaller_ones() {
    let mut ward = Ward::asked(RELEASE_ALL);
    let (first, query) = ward.reads().unwrap();
    ward.answer(&query, Err(StoreFault::Timeout));
    assert!(ward.reads().is_none(), "after a pause");
    ward.now = ward.jobs.deadline().unwrap();
    let (again, _) = ward.reads().unwrap();
    assert_eq!(again.from.id, first.from.id);
    assert!(again.hi < first.hi && again.rows < first.rows, "{again:?}");
}

#[test]
fn jobs_do_not_wait_for_each_other() {
    let mut ward = Ward::asked(LIST);
    ward.ask(2, release([5])).unwrap();
    ward.ask(3, RELEASE_ALL).unwrap();
    let read = |ward: &mut Ward| ward.jobs.take_read(ward.now).map(|read| read.run);
    assert_eq!([read(&mut ward), read(&mut ward)], [Some(RunId(1)), Some(RunId(3))]);
    assert_eq!(ward.jobs.take_write(ward.now).unwrap().run, RunId(2));
    // An answer for a job that is not there any more is nobody's.
    ward.jobs.wrote(ward.now, RunId(9), nodes(ids([5])), Ok(1));
    assert!(ward.told().is_none());
    ward.jobs.wrote(ward.now, RunId(2), nodes(ids([5])), Ok(1));
    assert_eq!(ward.told(), Some(Ok(Outcome::Released(1))));
}
