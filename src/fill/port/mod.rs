//! All of the core's contact with the outside world: its events and its actions.

pub(crate) mod embedding;
pub(crate) mod event;
pub(crate) mod fault;
pub(crate) mod id;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod store;
