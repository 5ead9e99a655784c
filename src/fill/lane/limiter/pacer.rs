//! Even spacing of requests in time: the basis of all rate limits.

use std::time::{Duration, Instant};

/// Longest single wait of a pacer.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Each request taken moves the next one into the future by its share. There are no bursts, so that
/// no minute exceeds the limit.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pacer {
    next: Option<Instant>,
}

impl Pacer {
    /// When the next request may be sent; `None` = now.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|at| *at > now)
    }

    /// Takes one, which moves the next one `share` into the future.
    pub(crate) fn take(&mut self, now: Instant, share: Duration) {
        self.next = Some(self.wait_until(now).unwrap_or(now) + share.min(MAX_WAIT));
    }

    /// Like [`take`](Self::take), but makes up for being late by less than a share: a thread always
    /// wakes a little late.
    pub(crate) fn take_punctually(&mut self, now: Instant, share: Duration) {
        let share = share.min(MAX_WAIT);
        let earliest = now.checked_sub(share).unwrap_or(now);
        self.next = Some(self.next.map_or(now, |next| next.max(earliest)) + share);
    }
}

/// A user's own rate limit.
#[derive(Debug)]
pub(crate) struct RateCap {
    /// 0 = unlimited.
    per_minute: u32,
    spacing: Pacer,
}

impl RateCap {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, spacing: Pacer::default() }
    }

    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.spacing.wait_until(now)
    }

    pub(crate) fn take(&mut self, now: Instant, amount: usize) {
        if self.per_minute > 0 {
            let amount = u32::try_from(amount).unwrap_or(u32::MAX);
            let share = Duration::from_mins(1) / self.per_minute;
            self.spacing.take(now, share.saturating_mul(amount));
        }
    }
}
