//! Quarantine: marks on nodes, and what users ask about them.

pub(crate) mod job;
pub(crate) mod mark;
