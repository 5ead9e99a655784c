//! The way to one embedder.

pub(crate) mod batch;
pub(crate) mod batcher;
pub(crate) mod cache;
pub(crate) mod isolate;
pub(crate) mod limiter;
mod outcome;
pub(crate) mod query;
