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
mod status;
