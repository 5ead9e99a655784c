//! Access to the store: which reads and which write are in flight, who they belong to, and when the
//! next write may be made.

pub(crate) mod duty;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::store::{Change, Query, Read, Readers, Write, Written};
use crate::fill::store::duty::DutyCycle;
use crate::rule::{Binding, Rule};

/// A request unanswered for this long never will be answered: the server itself gives up earlier.
const LIMIT: Duration = Duration::from_mins(1);
/// Maximum reads of passes in flight: two, so that the engine has the next one when it answers the
/// first; not more, because each takes a thread from the users.
const MAX_READS: usize = 2;

/// Who waits for an answer from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The pass of a rule over a graph.
    Pass(Binding),
    /// A quarantine job.
    Job(RunId),
}

/// A read that has not been answered.
#[derive(Debug)]
pub(crate) struct PendingRead {
    pub(crate) owner: Owner,
    pub(crate) query: Query,
    since: Instant,
}

/// A write that has not finished.
#[derive(Debug)]
struct PendingWrite {
    ticket: Ticket,
    owner: Owner,
    since: Instant,
}

/// A read to be made, and for whom.
#[derive(Debug)]
pub(crate) struct ReadOrder {
    pub(crate) owner: Owner,
    pub(crate) graph: GraphName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) query: Query,
}

/// A write to be made, for whom, and how.
#[derive(Debug)]
pub(crate) struct WriteOrder {
    pub(crate) owner: Owner,
    pub(crate) graph: GraphName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) change: Change,
    pub(crate) readers: Readers,
    /// It may be sent as the engine's effects.
    pub(crate) effects: bool,
}

/// Everything in flight at the store.
#[derive(Debug, Default)]
pub(crate) struct StoreAccess {
    tickets: u64,
    reads: BTreeMap<Ticket, PendingRead>,
    /// One at a time: it holds the server, and the next is sized by how long it took.
    write: Option<PendingWrite>,
    duty: DutyCycle,
}

impl StoreAccess {
    /// Whether a pass may read.
    pub(crate) fn may_read(&self) -> bool {
        let of_a_pass = |read: &&PendingRead| matches!(read.owner, Owner::Pass(_));
        self.reads.values().filter(of_a_pass).count() < MAX_READS
    }

    /// A read is made.
    pub(crate) fn read(&mut self, now: Instant, order: ReadOrder) -> Read {
        let ticket = self.next_ticket();
        let ReadOrder { owner, graph, rule, query } = order;
        self.reads.insert(ticket, PendingRead { owner, query: query.clone(), since: now });
        Read { ticket, graph, rule, query }
    }

    /// A read was answered; `None` = no longer waited for.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Option<PendingRead> {
        self.reads.remove(&ticket)
    }

    /// Whether a write may be made.
    pub(crate) fn may_write(&self, now: Instant) -> bool {
        self.write.is_none() && self.duty.wait_until(now).is_none()
    }

    /// A write is made.
    pub(crate) fn write(&mut self, now: Instant, order: WriteOrder) -> Write {
        let ticket = self.next_ticket();
        let WriteOrder { owner, graph, rule, change, readers, effects } = order;
        debug_assert!(self.write.is_none(), "two writes at a time");
        self.write = Some(PendingWrite { ticket, owner, since: now });
        Write { graph, rule, change, ticket, readers, effects }
    }

    /// A write held the server.
    pub(crate) fn held(&mut self, now: Instant, written: &Written) {
        self.duty.held(now, written.held, written.contended);
    }

    /// A write has finished; `None` = no longer waited for.
    pub(crate) fn written(&mut self, ticket: Ticket) -> Option<Owner> {
        self.write.take_if(|write| write.ticket == ticket).map(|write| write.owner)
    }

    /// Takes a read that was never answered.
    pub(crate) fn take_lost_read(&mut self, now: Instant) -> Option<PendingRead> {
        let (ticket, _) = self.reads.iter().find(|(_, read)| read.since + LIMIT <= now)?;
        let ticket = *ticket;
        self.reads.remove(&ticket)
    }

    /// Takes the write that was never answered.
    pub(crate) fn take_lost_write(&mut self, now: Instant) -> Option<Owner> {
        self.write.take_if(|write| write.since + LIMIT <= now).map(|write| write.owner)
    }

    /// The latest time to come back.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let reads = self.reads.values().map(|read| read.since + LIMIT);
        let write = self.write.as_ref().map(|write| write.since + LIMIT);
        reads.chain(write).chain(self.duty.wait_until(now)).min()
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fixture::{binding, just_before, rule};

    const HELD: Duration = Duration::from_millis(5);
    const MOMENT: Duration = Duration::from_nanos(1);

    fn graph() -> GraphName {
        GraphName::new("g")
    }

    fn pass() -> Owner {
        Owner::Pass(binding("g"))
    }

    fn job() -> Owner {
        Owner::Job(RunId(1))
    }

    fn read(store: &mut StoreAccess, now: Instant, owner: Owner) -> Ticket {
        let rule = Arc::new(rule());
        let order = ReadOrder { owner, graph: graph(), rule, query: Query::Indexes };
        store.read(now, order).ticket
    }

    fn write(store: &mut StoreAccess, now: Instant, owner: Owner) -> Ticket {
        let order = WriteOrder {
            owner,
            graph: graph(),
            rule: Arc::new(rule()),
            change: Change::Release(Vec::new()),
            readers: Readers::Wait,
            effects: false,
        };
        store.write(now, order).ticket
    }

    fn owner(read: Option<PendingRead>) -> Option<Owner> {
        read.map(|read| read.owner)
    }

    #[test]
    fn passes_have_a_few_reads_in_flight_and_jobs_are_not_counted() {
        let (mut store, now) = (StoreAccess::default(), Instant::now());
        let of_a_job = read(&mut store, now, job());
        (0..9).for_each(|_| _ = read(&mut store, now, job()));
        let mut of_passes = Vec::new();
        while store.may_read() {
            of_passes.push(read(&mut store, now, pass()));
        }
        assert_eq!(of_passes.len(), MAX_READS);
        assert_eq!(owner(store.answered(of_a_job)), Some(job()));
        assert!(!store.may_read(), "it was not one of theirs");
        assert_eq!(owner(store.answered(of_passes[0])), Some(pass()));
        assert!(store.may_read());
    }

    #[test]
    fn one_write_is_made_at_a_time() {
        let (mut store, now) = (StoreAccess::default(), Instant::now());
        assert!(store.may_write(now));
        let ticket = write(&mut store, now, pass());
        assert!(!store.may_write(now) && store.may_read());
        assert_eq!(store.written(ticket), Some(pass()));
        assert!(store.may_write(now));
    }

    #[test]
    fn an_answer_goes_to_who_asked_once_and_an_unknown_one_to_nobody() {
        let (mut store, now) = (StoreAccess::default(), Instant::now());
        let asked = read(&mut store, now, pass());
        let wrote = write(&mut store, now, job());
        assert!(store.answered(Ticket(99)).is_none() && store.answered(wrote).is_none());
        assert_eq!((store.written(Ticket(99)), store.written(asked)), (None, None));
        assert!(!store.may_write(now), "the write is still out");
        let answered = store.answered(asked).unwrap();
        assert_eq!((answered.owner, answered.query), (pass(), Query::Indexes));
        assert_eq!(store.written(wrote), Some(job()));
        assert!(store.answered(asked).is_none() && store.written(wrote).is_none());
    }

    #[test]
    fn a_lost_read_is_given_up_after_the_limit_and_its_late_answer_is_ignored() {
        let (mut store, now) = (StoreAccess::default(), Instant::now());
        let lost = read(&mut store, now, pass());
        let young = read(&mut store, now + MOMENT, job());
        assert_eq!(store.deadline(now), Some(now + LIMIT));
        assert!(store.take_lost_read(just_before(now + LIMIT)).is_none());
        assert_eq!(owner(store.take_lost_read(now + LIMIT)), Some(pass()));
        assert!(store.take_lost_read(now + LIMIT).is_none(), "the other is younger");
        assert!(store.answered(lost).is_none());
        assert_eq!(store.deadline(now), Some(now + MOMENT + LIMIT));
        assert_eq!(owner(store.answered(young)), Some(job()));
        assert_eq!(store.deadline(now), None);
    }

    #[test]
    fn a_lost_write_is_given_up_after_the_limit_and_its_late_answer_is_not_taken_for_the_next() {
        let (mut store, now) = (StoreAccess::default(), Instant::now());
        let lost = write(&mut store, now, pass());
        assert_eq!(store.deadline(now), Some(now + LIMIT));
        assert_eq!(store.take_lost_write(just_before(now + LIMIT)), None);
        assert_eq!(store.take_lost_write(now + LIMIT), Some(pass()));
        let next = write(&mut store, now + LIMIT, job());
        assert_eq!(store.written(lost), None);
        assert!(!store.may_write(now + LIMIT));
        assert_eq!(store.written(next), Some(job()));
    }

    #[test]
    fn the_next_write_waits_as_long_as_the_last_held_a_server_that_others_use() {
        let (mut store, now) = (StoreAccess::default(), Instant::now());
        let ids = Vec::new();
        let held = Written { ids, held: HELD, contended: true };
        store.held(now, &held);
        assert!(!store.may_write(now) && !store.may_write(just_before(now + HELD)));
        assert_eq!(store.deadline(now), Some(now + HELD));
        assert!(store.may_write(now + HELD));
        store.held(now, &Written { contended: false, ..held });
        assert!(store.may_write(now), "nobody else wants it");
        assert_eq!(store.deadline(now), None);
    }
}
