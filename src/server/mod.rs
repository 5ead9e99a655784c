//! The server side: what Redis calls, and what calls Redis.

mod blocked_client;
pub(crate) mod commands;
mod config;
mod events;
mod ffi;
mod graph;
mod handle;
mod info;
pub(crate) mod lifecycle;
mod own;
mod status;

use redis_module::{Context, NotifyEvent};

/// Called by Redis when a key has changed.
pub(crate) fn key_changed(ctx: &Context, _: NotifyEvent, event: &str, key: &[u8]) {
    handle::guarded((), || own::notified(ctx, event, key));
}
