//! Access to the store: which reads and which write are out, whose they are, and when the next write
//! may be made.

pub(crate) mod duty;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::store::{Change, Query, Read, Readers, Write, Written};
use crate::fill::store::duty::DutyCycle;
use crate::rule::Rule;

/// What the store has not answered by then it never will: the server itself gives up earlier.
const LIMIT: Duration = Duration::from_mins(1);
/// Reads of passes in flight: one more than one, so that the engine's answer to the first does not
/// find us idle; not many, because each takes a thread from the users.
const MAX_READS: usize = 2;

/// Who waits for an answer of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The pass over a graph.
    Pass(GraphName),
    /// A job about the quarantine.
    Job(RunId),
}

/// A read that has not been answered.
#[derive(Debug)]
pub(crate) struct PendingRead {
    pub(crate) owner: Owner,
    pub(crate) query: Query,
    since: Instant,
}

/// A write that has not come back.
#[derive(Debug)]
struct PendingWrite {
    ticket: Ticket,
    owner: Owner,
    since: Instant,
}

/// What is read, and for whom.
#[derive(Debug)]
pub(crate) struct ReadOrder {
    pub(crate) owner: Owner,
    pub(crate) graph: GraphName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) query: Query,
}

/// What is written, for whom, and how.
#[derive(Debug)]
pub(crate) struct WriteOrder {
    pub(crate) owner: Owner,
    pub(crate) graph: GraphName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) change: Change,
    pub(crate) readers: Readers,
    /// It may be handed over as the engine's effects.
    pub(crate) effects: bool,
}

/// What is out at the store.
#[derive(Debug, Default)]
pub(crate) struct StoreAccess {
    tickets: u64,
    reads: BTreeMap<Ticket, PendingRead>,
    /// One at a time: it holds the server, and the next is sized by what it took.
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

    /// A read was answered; `None` = nobody waits for it any more.
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

    /// A write came back; `None` = nobody waits for it any more.
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

    /// When to come back at the latest.
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
