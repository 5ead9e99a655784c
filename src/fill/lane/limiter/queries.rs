//! The limiter's rules for queries: users wait for them.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::Limiter;
use crate::fill::status::LaneState;

/// Maximum queries sent in a row while batches wait.
const MAX_IN_ROW: u32 = 7;
/// How far queries may run ahead of a rate that batches keep to: a tenth of a minute's worth.
const CREDIT: Duration = Duration::from_secs(6);
/// How long batches leave room for another query after one.
const ASKED_LATELY: Duration = Duration::from_mins(1);
/// They leave one slot in this many of `concurrency`.
const SHARE: usize = 8;
/// How soon a query may try a rejected embedder: it may have been fixed.
const REJECTED_TRY: Duration = Duration::from_secs(1);
/// How often a query may try a service that asked for a pause of over twice this long.
const PAUSED_TRY: Duration = Duration::from_secs(30);

impl Limiter {
    /// Slots kept free for queries.
    pub(crate) fn reserved(&self, now: Instant) -> usize {
        let lately = self.asked_at.is_some_and(|at| now < at + ASKED_LATELY);
        let possible = lately && self.limits.concurrency > 1 && self.limits.extra == 0;
        if possible { self.limits.concurrency.div_ceil(SHARE) } else { 0 }
    }

    /// A query was sent.
    pub(crate) fn sent_query(&mut self) {
        self.queries_in_row = self.queries_in_row.saturating_add(1);
    }

    /// A batch was sent.
    pub(crate) fn sent_batch(&mut self) {
        self.queries_in_row = 0;
    }

    /// A query has arrived.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// Why a query need not be sent: operator action is needed, and the service was tried just now.
    pub(crate) fn refusal(&self, now: Instant) -> Option<&str> {
        let tried = self.rejected_at.is_some_and(|at| now < at + REJECTED_TRY);
        self.reason().filter(|_| tried && self.state == LaneState::Rejected)
    }

    /// Whether a query may be sent now. It does not wait for the window, nor for an unreachable
    /// service: the user should get an answer or an error.
    pub(crate) fn has_room_for_query(&self, now: Instant, batches: bool) -> bool {
        // A batch gets its turn after some queries, or users who never pause would starve them all.
        if batches && self.queries_in_row >= MAX_IN_ROW && self.state == LaneState::Ready {
            return false;
        }
        let most = self.limits.concurrency + self.limits.extra;
        self.in_flight < most && self.query_waits_until(now).is_none()
    }

    /// When a query may be sent that has to wait now, because the service asked for a pause or
    /// queries have used up their share of a rate.
    pub(crate) fn query_waits_until(&self, now: Instant) -> Option<Instant> {
        let pause = self.not_before.filter(|at| *at > now && self.state == LaneState::Throttled);
        let ahead = now + CREDIT;
        let rates = [
            self.requests.wait_until(ahead),
            self.tokens.wait_until(ahead),
            self.rate.wait_until(ahead),
        ];
        let rates = rates.into_iter().flatten().max().map(|at| now + at.duration_since(ahead));
        let left = [self.requests_left.empty_until(now), self.tokens_left.empty_until(now)];
        [pause, rates].into_iter().chain(left).flatten().max()
    }
    /// When a query may be sent during a long pause, since the service may be well again: its
    /// success ends the pause. `tried` = the last refusal, or the last query sent like this.
    pub(crate) fn query_may_try_at(&self, now: Instant, tried: Instant) -> Option<Instant> {
        let until = self.not_before.filter(|_| self.state == LaneState::Throttled)?;
        let ahead = now + CREDIT;
        let rates = self.requests.wait_until(ahead).max(self.tokens.wait_until(ahead));
        let at = tried + PAUSED_TRY;
        (until > at + PAUSED_TRY && rates.is_none()).then_some(at)
    }
}
