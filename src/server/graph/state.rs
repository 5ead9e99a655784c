//! What the server's state allows.

use redis_module::ContextFlags;

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::server::events;
use crate::server::graph::hold::Hold;

/// Whether this server should be filled at all.
///
/// It only looks at flags, so each write asks again: the role may have changed since the survey.
pub(super) fn lets_fill(hold: &Hold<'_>) -> Result<(), StoreFault> {
    let flags = hold.server().get_flags();
    // A replica repeats what its master writes.
    if !flags.contains(ContextFlags::MASTER) || flags.contains(ContextFlags::READONLY) {
        return Err(StoreFault::Replica);
    }
    // Data not loaded yet may already have vectors.
    if flags.intersects(ContextFlags::LOADING | ContextFlags::ASYNC_LOADING) {
        return Err(StoreFault::Loading);
    }
    // A master that restarted may have been replaced meanwhile without knowing it yet.
    if events::is_settling() {
        return Err(StoreFault::Settling);
    }
    Ok(())
}

/// Whether any client could write to this graph now: `min-replicas-to-write`,
/// `stop-writes-on-bgsave-error`, a cluster that is down, a slot that is elsewhere, `maxmemory`.
/// Redis does not enforce these on a module; it must check.
pub(super) fn takes_writes(hold: &Hold<'_>, graph: &GraphName) -> Result<(), StoreFault> {
    lets_fill(hold)?;
    hold.check_write(graph)
}

/// Whether a key that belongs to this graph may be written now, on behalf of a client that may
/// write itself: to tell whether this server was replaced is that client's business.
pub(in crate::server) fn takes_writes_beside(
    hold: &Hold<'_>,
    graph: &GraphName,
) -> Result<(), StoreFault> {
    if !hold.server().get_flags().contains(ContextFlags::MASTER) {
        return Err(StoreFault::Replica);
    }
    if is_paused(hold) {
        return Err(StoreFault::Paused);
    }
    hold.check_write(graph)
}

/// Whether replication is paused (CLIENT PAUSE, FAILOVER): a write now would crash the server when
/// it is replicated.
pub(super) fn is_paused(hold: &Hold<'_>) -> bool {
    hold.server().avoid_replication_traffic()
}
