//! Services reached over HTTP.

pub(crate) mod client;
mod diagnosis;
pub(crate) mod endpoint;
pub(crate) mod key;
pub(crate) mod rate_limit;
mod request;
