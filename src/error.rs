//! What failed, as data: every variant names the thing, the value and what would be valid.

/// A failure this crate reports to a person. `Display` carries no error code; the command that
/// replies chooses one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A setting was given an invalid value.
    #[error("vectorfill.{name}: '{value}' is not allowed: {expected}")]
    Setting {
        /// Name of the setting without the module's prefix.
        name: String,
        /// The value as given.
        value: String,
        /// What would be valid.
        expected: String,
    },
    /// A thread, or the runtime that owns threads, failed to start.
    #[error("cannot start the thread '{name}': {reason}")]
    Thread {
        /// Name of the thread.
        name: &'static str,
        /// The system's error message.
        reason: String,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client cannot be made: {0} (are ca-certificates installed?)")]
    HttpClient(String),
    /// The queue of requests to the worker is full.
    #[error("too many requests are waiting for the worker: try again")]
    Busy,
}

impl Error {
    /// An invalid value for the setting `name`.
    pub(crate) fn setting(name: &str, value: &str, expected: impl Into<String>) -> Self {
        Self::Setting { name: name.into(), value: value.into(), expected: expected.into() }
    }
}
