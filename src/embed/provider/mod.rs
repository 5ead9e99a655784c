//! The services' protocols.

pub(crate) mod openai;
