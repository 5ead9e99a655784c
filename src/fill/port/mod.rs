//! All of the core's contact with the world: what it is told, and what it asks for.

pub(crate) mod embedding;
pub(crate) mod event;
pub(crate) mod fault;
pub(crate) mod id;
pub(crate) mod settings;
pub(crate) mod store;
