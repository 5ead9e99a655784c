//! Names of what is asked for, by which its answer is known.

/// Identifies a request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(pub u64);

/// Names a user's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunId(pub u64);

/// Names a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub u64);

/// Requests that were sent at the same moment: they meet the service in the same state, so one that is
/// answered well tells something about one that is not. Later waves compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Wave(u64);

impl Wave {
    /// One that nothing is ever sent in.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The one after.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
