//! Services reached over HTTP.
//!
//! `client` owns the thread, `request` sends one request and reads its response. `endpoint` and
//! `key` say where to and as whom, `rate_limit` reads the headers, `proxy` and `diagnosis` put into
//! words what is wrong with a connection.
//!
//! Nothing here waits between requests or tries again: the lane decides that, from the fault that
//! it is told. The one exception is a service that refuses base64, which is asked for numbers at
//! once.
//!
//! A response is untrusted input that is held in the database's memory. So it is read up to a bound
//! only, and the key is removed from whatever of it ends up in a message.

pub(crate) mod client;
mod diagnosis;
pub(crate) mod endpoint;
mod failure;
pub(crate) mod key;
mod proxy;
pub(crate) mod rate_limit;
pub(crate) mod request;
