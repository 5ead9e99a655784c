//! What the server lets us do, and what the engine's words mean.

use redis_module::{Context, ContextFlags, ErrorReply};

use crate::fill::cypher::one_line;
use crate::fill::fault::StoreFault;

/// Longest piece of the engine's own words that is passed on, in characters.
const ERROR_CHARS: usize = 300;

/// Whether this server is one that is filled at all.
pub(super) fn server_lets_fill(ctx: &Context) -> Result<(), StoreFault> {
    let flags = ctx.get_flags();
    // A replica repeats what its master writes.
    if !flags.contains(ContextFlags::MASTER) || flags.contains(ContextFlags::READONLY) {
        return Err(StoreFault::Replica);
    }
    // What is not read yet may already have its vector.
    if flags.intersects(ContextFlags::LOADING | ContextFlags::ASYNC_LOADING) {
        return Err(StoreFault::Loading);
    }
    Ok(())
}

/// Whether this server may be written to now.
pub(super) fn server_lets_write(ctx: &Context) -> Result<(), StoreFault> {
    server_lets_fill(ctx)?;
    // CLIENT PAUSE and FAILOVER: a write now would end the server at its next replication.
    if ctx.avoid_replication_traffic() {
        return Err(StoreFault::Paused);
    }
    Ok(())
}

/// The engine's words, sorted by what they mean.
pub(super) fn fault_of(error: &ErrorReply<'_>) -> StoreFault {
    const WORDS: [(&str, StoreFault); 10] = [
        ("unknown command", StoreFault::NoEngine),
        ("empty key", StoreFault::NoGraph),
        ("WRONGTYPE", StoreFault::NoGraph),
        ("LOADING", StoreFault::Loading),
        ("READONLY", StoreFault::Replica),
        ("OOM", StoreFault::OutOfMemory),
        ("Max pending queries", StoreFault::QueueFull),
        ("Query timed out", StoreFault::Timeout),
        ("out of memory", StoreFault::OutOfMemory),
        ("Query's mem consumption exceeded", StoreFault::OutOfMemory),
    ];
    let text = one_line(&String::from_utf8_lossy(error.as_bytes()), ERROR_CHARS);
    if ["NOREPLICAS", "MISCONF"].iter().any(|code| text.contains(code)) {
        return StoreFault::Denied(text);
    }
    let known = WORDS.iter().find(|(words, _)| text.contains(words));
    known.map_or_else(|| StoreFault::Other(text.clone()), |(_, fault)| fault.clone())
}
