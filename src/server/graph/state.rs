//! What the server lets us do.

use redis_module::ContextFlags;

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::server::events;
use crate::server::graph::hold::Hold;

/// Whether this server is one that is filled at all.
pub(super) fn lets_fill(hold: &Hold<'_>) -> Result<(), StoreFault> {
    let flags = hold.server().get_flags();
    // A replica repeats what its master writes.
    if !flags.contains(ContextFlags::MASTER) || flags.contains(ContextFlags::READONLY) {
        return Err(StoreFault::Replica);
    }
    // What is not read yet may already have its vector.
    if flags.intersects(ContextFlags::LOADING | ContextFlags::ASYNC_LOADING) {
        return Err(StoreFault::Loading);
    }
    // A master that was restarted may have been replaced meanwhile, and not know it yet.
    if events::is_settling() {
        return Err(StoreFault::Settling);
    }
    Ok(())
}

/// Whether this graph may be written to now, by anybody: `min-replicas-to-write`,
/// `stop-writes-on-bgsave-error`, a cluster that is down or a slot that is elsewhere, `maxmemory`. All
/// this holds for a module only if it asks.
pub(super) fn takes_writes(hold: &Hold<'_>, graph: &GraphName) -> Result<(), StoreFault> {
    lets_fill(hold)?;
    hold.check_write(graph)
}

/// Whether nothing may be replicated now. CLIENT PAUSE and FAILOVER: a write would end the server at
/// its next replication.
pub(super) fn is_paused(hold: &Hold<'_>) -> bool {
    hold.server().avoid_replication_traffic()
}
