//! Services reached over HTTP.

pub(crate) mod client;
mod diagnosis;
pub(crate) mod endpoint;
pub(crate) mod key;
mod proxy;
pub(crate) mod rate_limit;
pub(crate) mod request;
