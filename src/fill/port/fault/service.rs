//! How an embedder can fail.

use std::time::Duration;

/// Why an embedder returned no usable vectors. Created by `embed/` and by [`Embedded::pair`].
///
/// [`Embedded::pair`]: crate::fill::lane::batch::Embedded::pair
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceFault {
    /// The service answered with a status other than success, or with an error in a success.
    #[error("the service answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's message, at most 200 characters, without the key.
        message: String,
        /// The pause the service asks for.
        retry_after: Option<Duration>,
        /// What the message means, where the status does not show it.
        says: Says,
    },
    /// No answer within `request-timeout-ms`.
    #[error("no answer from {host} within {limit:?}")]
    Timeout {
        /// The service's host.
        host: String,
        /// The setting's value.
        limit: Duration,
    },
    /// No connection, or it broke.
    #[error("cannot reach {host}: {reason}")]
    Connection {
        /// The service's host.
        host: String,
        /// The system's message.
        reason: String,
    },
    /// The request was cancelled on our side before an answer arrived.
    #[error("the request was given up")]
    Cancelled,
    /// The answer does not follow the protocol.
    #[error("the answer is not usable: {0}")]
    Malformed(Malformed),
    /// The vectors differ in length from the index, the setting or earlier vectors.
    #[error("the model gives vectors of {received} dimensions where {expected} are expected")]
    Dimension {
        /// The length according to the index, the setting or the first answer.
        expected: usize,
        /// The length received.
        received: usize,
    },
    /// No API key is available.
    #[error("no API key: {0}")]
    NoKey(String),
    /// The embedder cannot take this text.
    #[cfg_attr(not(feature = "local"), expect(dead_code, reason = "only a local model says so"))]
    #[error("the text cannot be embedded: {0}")]
    Text(String),
    /// The embedder cannot be created from its settings.
    #[error("{0}")]
    Misconfigured(String),
}

/// How a request failed: two failures of the same kind may have the same cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// With this status.
    Status(u16),
    /// With an unusable answer.
    Unusable,
    /// Without an answer in time.
    Timeout,
    /// In any other way.
    Other,
}

impl ServiceFault {
    /// How the request failed.
    pub(crate) fn kind(&self) -> FaultKind {
        match self {
            Self::Refused { status, .. } => FaultKind::Status(*status),
            Self::Malformed(Malformed::Vector(_)) => FaultKind::Unusable,
            Self::Timeout { .. } => FaultKind::Timeout,
            Self::Connection { .. }
            | Self::Cancelled
            | Self::Malformed(_)
            | Self::Dimension { .. }
            | Self::NoKey(_)
            | Self::Text(_)
            | Self::Misconfigured(_) => FaultKind::Other,
        }
    }
}

/// What a service's error message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Says {
    /// Nothing beyond its status.
    #[default]
    Nothing,
    /// The account is empty: waiting does not help.
    NoMoney,
    /// The request holds too many texts; with the maximum, if stated.
    TooManyTexts(Option<u64>),
    /// The request holds more tokens than are ever allowed; with the maximum, if stated.
    TooLarge(Option<u64>),
    /// One text is too long, in tokens; with the maximum and the received number, if stated.
    TooLong {
        /// Maximum tokens per text.
        limit: Option<u64>,
        /// Tokens of the refused text.
        received: Option<u64>,
    },
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// It cannot be parsed, for this reason.
    #[error("{0}")]
    NotJson(String),
    /// It exceeds the maximum length.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// Each vector is a list of vectors.
    #[error(
        "each embedding is a list of lists, one vector for each token: the service has to be started with pooling"
    )]
    Nested,
    /// Its vectors have more than one length.
    #[error("received vectors of {0} and of {1} dimensions")]
    MixedDimensions(usize, usize),
    /// It does not have exactly one vector for each text.
    #[error(
        "expected one vector for each of {expected} texts, received {received}, with {indexes} of the expected indexes"
    )]
    Count {
        /// Texts sent.
        expected: usize,
        /// Vectors received.
        received: usize,
        /// How many of the expected indexes were received.
        indexes: usize,
    },
    /// A vector is unusable.
    #[error("received {0}")]
    Vector(&'static str),
}
