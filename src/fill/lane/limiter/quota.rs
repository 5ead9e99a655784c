//! The quota that a service reports in its `x-ratelimit-*` headers, and how it is spent.
//!
//! Some services refill a bucket gradually and some open a new window every minute; the headers do
//! not show which. So the first half of the remaining quota may be spent at once, and the second
//! half evenly: a bucket is then never empty, and a window lasts until the next one opens.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::pacer::Pacer;
use crate::fill::port::embedding::Allowance;

const MINUTE: Duration = Duration::from_mins(1);

/// What is left of one limit.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    known: Option<Known>,
    spacing: Pacer,
    /// The last amount taken: the next one is expected to be about the same.
    typical: f64,
}

#[derive(Debug)]
struct Known {
    limit: f64,
    left: f64,
    /// When the full quota is available again.
    full_at: Instant,
    per_second: f64,
}

impl Quota {
    /// Takes over what the service reports; `in_flight` has been sent and may not be included yet.
    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
    pub(crate) fn observe(&mut self, now: Instant, says: Allowance, in_flight: f64) {
        let (limit, left) = (says.limit as f64, says.remaining as f64);
        // A daily limit is recognized by the time until it is fully reset.
        let per_second = if says.reset > MINUTE {
            left / says.reset.as_secs_f64()
        } else {
            limit / MINUTE.as_secs_f64()
        };
        let full_at = now + says.reset.min(MINUTE);
        self.known = Some(Known { limit, left: left - in_flight, full_at, per_second });
    }

    /// Whether the service reports a quota.
    pub(super) fn is_reported(&self) -> bool {
        self.known.is_some()
    }

    /// When there is quota again; `None` = there is now.
    pub(crate) fn empty_until(&self, now: Instant) -> Option<Instant> {
        let known = self.known.as_ref().filter(|known| known.full_at > now && known.left < 1.0)?;
        Some(known.full_at)
    }

    /// When the next request may be sent; `None` = now.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let known = self.known.as_ref().filter(|known| known.full_at > now)?;
        if known.left < self.typical.clamp(1.0, known.limit.max(1.0)) {
            return Some(known.full_at);
        }
        self.spacing.wait_until(now)
    }

    /// This much has been sent.
    pub(crate) fn take(&mut self, now: Instant, amount: f64) {
        self.typical = amount;
        let Some(known) = &mut self.known else { return };
        if known.full_at <= now {
            (known.left, known.full_at) = (known.limit, now + MINUTE);
        }
        known.left -= amount;
        if known.left < known.limit / 2.0 {
            let share = amount / known.per_second.max(1e-3);
            self.spacing.take_punctually(now, Duration::from_secs_f64(share.min(60.0)));
        }
    }
}
