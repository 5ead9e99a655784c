//! What a failure means: whether the node, the batch, the lane or nothing is to blame.

use std::time::Duration;

use crate::fill::port::event::ServerState;

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

/// How to react to a [`ServiceFault`], and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A text is to blame: find it by bisecting, quarantine it if it fails alone.
    Input,
    /// A text or the settings may be to blame: blame a text only if others succeed.
    Denied,
    /// The settings or the account are to blame: stop, blame no node, wait for the operator.
    Configuration,
    /// We are too fast. Costs no attempt.
    RateLimited(Option<Duration>),
    /// The request holds too many texts: send fewer, at most this many if known.
    TooManyTexts(Option<u64>),
    /// The request holds too many tokens: send fewer, at most this many if known.
    TooLarge(Option<u64>),
    /// A text is too long, in tokens.
    TooLong {
        /// Maximum tokens per text.
        limit: Option<u64>,
        /// Tokens of the refused text.
        received: Option<u64>,
    },
    /// Too slow for a request of this size: send smaller ones, one at a time.
    TooSlow(Duration),
    /// Nothing of ours is to blame: retry later, at most `max-attempts` times in a pass.
    Transient {
        /// A service was reached: one of the texts may be what makes it fail.
        reached: bool,
    },
}

/// The one place that decides what an embedder's failure means.
pub(crate) fn classify(fault: &ServiceFault) -> Verdict {
    match fault {
        ServiceFault::Refused { status, retry_after, says, .. } => match says {
            Says::NoMoney => Verdict::Configuration,
            Says::TooManyTexts(most) => Verdict::TooManyTexts(*most),
            Says::TooLarge(most) => Verdict::TooLarge(*most),
            Says::TooLong { limit, received } => {
                Verdict::TooLong { limit: *limit, received: *received }
            }
            Says::Nothing => classify_status(*status, *retry_after),
        },
        ServiceFault::Text(_) => Verdict::Input,
        // Without indexes there is no way to tell which texts are missing; a smaller request may be
        // answered in full.
        ServiceFault::Malformed(Malformed::Count { expected, received, .. })
            if received < expected && *expected > 1 =>
        {
            Verdict::TooManyTexts(Some((*received).max(1) as u64))
        }
        ServiceFault::Timeout { limit, .. } => Verdict::TooSlow(*limit),
        ServiceFault::Malformed(_) | ServiceFault::Cancelled => {
            Verdict::Transient { reached: true }
        }
        ServiceFault::Connection { .. } => Verdict::Transient { reached: false },
        ServiceFault::Dimension { .. }
        | ServiceFault::NoKey(_)
        | ServiceFault::Misconfigured(_) => Verdict::Configuration,
    }
}

fn classify_status(status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        429 => Verdict::RateLimited(retry_after),
        500..=599 if retry_after.is_some() => Verdict::RateLimited(retry_after),
        // Bad request, payload too large, unprocessable: complaints about a text.
        400 | 413 | 422 => Verdict::Input,
        408 | 409 | 424 | 425 | 500..=599 => Verdict::Transient { reached: true },
        // Forbidden and not found are also used for flagged texts, and by gateways.
        403 | 404 | 406 | 410..=423 | 426..=499 => Verdict::Denied,
        // 401, 402, 405 and the like; a 3xx is a redirect, which is not followed.
        _ => Verdict::Configuration,
    }
}

/// Why the engine did not do what was asked. Created by `server/`; no node is ever blamed for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreFault {
    /// The key is gone, or does not hold a graph.
    #[error("there is no such graph")]
    NoGraph,
    /// The GRAPH.* commands do not exist: FalkorDB is not loaded.
    #[error("FalkorDB is not loaded")]
    NoEngine,
    /// The server is loading its data set.
    #[error("the server is loading its data")]
    Loading,
    /// The server is a replica: its master does the filling.
    #[error("the server is a replica")]
    Replica,
    /// The server was restarted, and may have been replaced as master in the meantime.
    #[error("the server has just been restarted and waits until its role as a master is certain")]
    Settling,
    /// An untested engine that does not answer as the known ones do.
    #[error("this version of FalkorDB is unknown to the module, and does not answer as others do")]
    Foreign,
    /// CLIENT PAUSE, a failover or the like: no write may happen now.
    #[error("writes are paused")]
    Paused,
    /// The server currently accepts no writes: too few replicas, or a failing disk.
    #[error("{0}")]
    Denied(String),
    /// A query on the graph is running or waiting; a write now would block the server until it
    /// ends.
    #[error("a query on this graph is running")]
    Readers,
    /// A query on the graph has just begun, and it is too early to tell how long it will take.
    #[error("a query on this graph has just begun")]
    Begun,
    /// `maxmemory` is reached.
    #[error("the server is out of memory (maxmemory)")]
    OutOfMemory,
    /// The engine's queue of queries is full.
    #[error("the engine's queue is full")]
    QueueFull,
    /// The engine killed the query because of its own TIMEOUT.
    #[error("the engine's TIMEOUT ended the query")]
    Timeout,
    /// No reply at all.
    #[error("the engine did not reply")]
    NoReply,
    /// Anything else, with the engine's message.
    #[error("{0}")]
    Other(String),
}

impl StoreFault {
    /// The state of the server as a whole, if the fault implies one.
    pub(crate) fn server(&self) -> Option<ServerState> {
        match self {
            Self::NoEngine => Some(ServerState::NoEngine),
            Self::Loading => Some(ServerState::Loading),
            Self::Replica => Some(ServerState::Replica),
            Self::Settling => Some(ServerState::Settling),
            Self::Foreign => Some(ServerState::Foreign),
            Self::NoGraph
            | Self::Paused
            | Self::Denied(_)
            | Self::Readers
            | Self::Begun
            | Self::OutOfMemory
            | Self::QueueFull
            | Self::Timeout
            | Self::NoReply
            | Self::Other(_) => None,
        }
    }

    /// Whether nothing at all may be written until the fault passes.
    pub(crate) fn pauses_all(&self) -> bool {
        matches!(self, Self::Paused | Self::Denied(_) | Self::OutOfMemory)
    }

    /// Whether the fault passes on its own, however long it takes.
    pub(crate) fn passes_by_itself(&self) -> bool {
        self.pauses_all() || matches!(self, Self::Readers | Self::Begun | Self::QueueFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Verdict {
        classify_status(status, None)
    }

    #[test]
    fn a_rate_limit_is_nobodys_fault_but_an_empty_account_needs_a_person() {
        assert_eq!(status(429), Verdict::RateLimited(None));
        let refused = ServiceFault::Refused {
            status: 429,
            message: String::new(),
            retry_after: None,
            says: Says::NoMoney,
        };
        assert_eq!(classify(&refused), Verdict::Configuration);
        let wait = Some(Duration::from_secs(7));
        assert_eq!(classify_status(503, wait), Verdict::RateLimited(wait));
        assert_eq!(status(503), Verdict::Transient { reached: true });
    }

    #[test]
    fn a_complaint_about_the_request_blames_a_text_and_one_about_the_key_does_not() {
        for code in [400, 413, 422] {
            assert_eq!(status(code), Verdict::Input, "{code}");
        }
        for code in [403, 404, 451] {
            assert_eq!(status(code), Verdict::Denied, "{code}");
        }
        for code in [301, 401, 402, 405, 407] {
            assert_eq!(status(code), Verdict::Configuration, "{code}");
        }
        for code in [408, 409, 424, 500, 502, 504, 529] {
            assert_eq!(status(code), Verdict::Transient { reached: true }, "{code}");
        }
    }
}
