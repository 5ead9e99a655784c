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
    /// A word of a definition is wrong.
    #[error("{place}: '{word}' is not allowed: {expected}")]
    Definition {
        /// Where it stands: file, line and column, or the argument's number.
        place: String,
        /// The word.
        word: String,
        /// What would be right.
        expected: String,
    },
    /// Definitions could not be read.
    #[error("the definitions cannot be read: {path}: {reason}")]
    Definitions {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
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

    /// The same without the value, which may hold a secret.
    pub(crate) fn hiding_value(self) -> Self {
        match self {
            Self::Setting { name, value: _, expected } => Self::setting(&name, "***", expected),
            Self::Definition { place, word: _, expected } => {
                Self::Definition { place, word: "***".into(), expected }
            }
            other @ (Self::Definitions { .. }
            | Self::Thread { .. }
            | Self::HttpClient(_)
            | Self::Busy) => other,
        }
    }
}
