//! What a failure means: whether the node, the batch, the lane or nobody is to blame.

use std::time::Duration;

use crate::fill::port::event::ServerState;

/// Why an embedder gave no usable vectors. Made by `embed/` and by [`Embedded::pair`].
///
/// [`Embedded::pair`]: crate::fill::lane::batch::Embedded::pair
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceFault {
    /// The service answered with a status other than success, or with an error in a success.
    #[error("the service answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's words, at most 200 characters, without the key.
        message: String,
        /// How long the service asks to be left alone.
        retry_after: Option<Duration>,
        /// What the words mean where the status does not tell.
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
        /// The system's words.
        reason: String,
    },
    /// The request was given up on our side before an answer came.
    #[error("the request was given up")]
    Cancelled,
    /// The answer is not what the protocol says.
    #[error("the answer is not usable: {0}")]
    Malformed(Malformed),
    /// The vectors have another length than the index, the setting or the vectors before.
    #[error("the model gives vectors of {received} dimensions where {expected} are expected")]
    Dimension {
        /// What the index, the setting or the first answer says.
        expected: usize,
        /// What came.
        received: usize,
    },
    /// No API key is to be had.
    #[error("no API key: {0}")]
    NoKey(String),
    /// The embedder cannot take this text.
    #[cfg_attr(not(feature = "local"), expect(dead_code, reason = "only a local model says so"))]
    #[error("the text cannot be embedded: {0}")]
    Text(String),
    /// The embedder cannot be made from its settings.
    #[error("{0}")]
    Misconfigured(String),
}

/// In which way a request failed: what fails twice in one way may fail for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// With this status.
    Status(u16),
    /// With an answer that is of no use.
    Unusable,
    /// Without an answer in time.
    Timeout,
    /// Otherwise.
    Other,
}

impl ServiceFault {
    /// In which way the request failed.
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

/// What a service says in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Says {
    /// Nothing that its status does not say.
    #[default]
    Nothing,
    /// The account is empty: no waiting cures that.
    NoMoney,
    /// One request holds too many texts; the most it may hold, where that is said.
    TooManyTexts(Option<u64>),
    /// One request holds more tokens than ever are allowed; the most, where that is said.
    TooLarge(Option<u64>),
    /// One text is too long, in tokens; the most, and what was received, where that is said.
    TooLong {
        /// Most tokens of a text.
        limit: Option<u64>,
        /// Tokens of the text that was refused.
        received: Option<u64>,
    },
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// It cannot be read: in which way.
    #[error("{0}")]
    NotJson(String),
    /// It goes on and on.
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
    /// There is not one vector for each text.
    #[error(
        "expected one vector for each of {expected} texts, received {received}, with {indexes} of the expected indexes"
    )]
    Count {
        /// Texts sent.
        expected: usize,
        /// Vectors received.
        received: usize,
        /// Of the expected indexes, those that came.
        indexes: usize,
    },
    /// A vector is of no use.
    #[error("received {0}")]
    Vector(&'static str),
}

/// How to react to a [`ServiceFault`], and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A text is to blame: find it by bisecting, quarantine it when it fails alone.
    Input,
    /// A text may be to blame, or the settings: blame a text only where others are answered well.
    Denied,
    /// The settings or the account are to blame: stop, blame no node, wait for a person.
    Configuration,
    /// We are too fast. Costs no attempt.
    RateLimited(Option<Duration>),
    /// The request holds too many texts: fewer, at most so many where that is known.
    TooManyTexts(Option<u64>),
    /// The request holds too many tokens: fewer, at most so many where that is known.
    TooLarge(Option<u64>),
    /// A text is too long, in tokens.
    TooLong {
        /// Most tokens of a text.
        limit: Option<u64>,
        /// Tokens of the text that was refused.
        received: Option<u64>,
    },
    /// Too slow for a request of this size: smaller ones, one at a time.
    TooSlow(Duration),
    /// Nobody is to blame: try again later, at most `max-attempts` times in a pass.
    Transient {
        /// There is a service at the other end: one text may be what it stumbles over.
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
        // Without indexes nobody knows which texts are missing; fewer at once may all be answered.
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
        // Bad request, payload too large, unprocessable: what a service says about a text.
        400 | 413 | 422 => Verdict::Input,
        408 | 409 | 424 | 425 | 500..=599 => Verdict::Transient { reached: true },
        // Forbidden and not found: said of flagged texts and by gateways, too.
        403 | 404 | 406 | 410..=423 | 426..=499 => Verdict::Denied,
        // 401, 402, 405 and the like; a 3xx is a redirect, which is not followed.
        _ => Verdict::Configuration,
    }
}

/// Why the engine did not do what was asked. Made by `server/`; no node is ever blamed for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreFault {
    /// The key is gone, or holds something that is no graph.
    #[error("there is no such graph")]
    NoGraph,
    /// GRAPH.* is not there: FalkorDB is not loaded.
    #[error("FalkorDB is not loaded")]
    NoEngine,
    /// The server reads its data set.
    #[error("the server is loading its data")]
    Loading,
    /// The server is a replica: its master fills.
    #[error("the server is a replica")]
    Replica,
    /// The server was restarted, and may have been replaced as master meanwhile.
    #[error("the server has just been restarted and waits until its role as a master is certain")]
    Settling,
    /// An engine nobody has tried, which does not answer as the known ones do.
    #[error("this version of FalkorDB is unknown to the module, and does not answer as others do")]
    Foreign,
    /// CLIENT PAUSE, a failover or the like: no write may happen now.
    #[error("writes are paused")]
    Paused,
    /// The server takes no writes from anybody now: too few replicas, or a disk that fails.
    #[error("{0}")]
    Denied(String),
    /// A query on the graph runs or waits; a write now would stop the server until it ends.
    #[error("a query on this graph is running")]
    Readers,
    /// A query on the graph runs and may yet take long: nobody knows so soon.
    #[error("a query on this graph has just begun")]
    Begun,
    /// `maxmemory` is reached.
    #[error("the server is out of memory (maxmemory)")]
    OutOfMemory,
    /// The engine's queue of queries is full.
    #[error("the engine's queue is full")]
    QueueFull,
    /// The engine killed the query by its own TIMEOUT.
    #[error("the engine's TIMEOUT ended the query")]
    Timeout,
    /// No reply came at all.
    #[error("the engine did not reply")]
    NoReply,
    /// Anything else, in the engine's words.
    #[error("{0}")]
    Other(String),
}

impl StoreFault {
    /// What it says of the server as a whole, if it does.
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

    /// Whether nothing at all may be written until it passes.
    pub(crate) fn pauses_all(&self) -> bool {
        matches!(self, Self::Paused | Self::Denied(_) | Self::OutOfMemory)
    }

    /// Whether waiting is the cure, however long it takes.
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
