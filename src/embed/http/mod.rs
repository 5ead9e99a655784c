//! Services that are reached by HTTP.

pub(crate) mod client;
pub(crate) mod endpoint;
pub(crate) mod key;
mod rate_limit;
