//! What a failure means: whether the node, the batch, the lane or nothing is to blame.

mod service;
mod store;

pub(crate) use service::{FaultKind, Malformed, Says, ServiceFault};
pub(crate) use store::StoreFault;

use std::time::Duration;

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
