//! Identifiers of requests, which match the answers to them.

/// Identifies a request in flight at one embedder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(pub u64);

/// Identifies a user's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunId(pub u64);

/// Identifies a read or a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub u64);

/// Identifies requests sent at the same moment: they meet the service in the same state, so one
/// that succeeds tells us something about one that fails. Later waves compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Wave(u64);

impl Wave {
    /// A wave in which nothing is ever sent.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The following wave.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
