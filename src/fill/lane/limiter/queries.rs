//! What the limiter allows queries: users wait for them.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::Limiter;
use crate::fill::status::LaneState;

/// Queries sent one after the other while batches wait.
const MAX_IN_ROW: u32 = 7;
/// How far queries may run ahead of a rate that batches keep to: a tenth of a minute's worth.
const CREDIT: Duration = Duration::from_secs(6);
/// After a query, batches leave room for the next for so long.
const ASKED_LATELY: Duration = Duration::from_mins(1);
/// Share of `concurrency` that they leave.
const SHARE: usize = 8;
/// A rejected embedder is tried by a query after so long: perhaps it has been mended.
const REJECTED_TRY: Duration = Duration::from_secs(1);

impl Limiter {
    /// Requests that are not sent so that a query finds room.
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

    /// A query has come.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// Why a query need not be sent: a person has to mend something, and it was tried just now.
    pub(crate) fn refusal(&self, now: Instant) -> Option<&str> {
        let tried = self.rejected_at.is_some_and(|at| now < at + REJECTED_TRY);
        self.reason().filter(|_| tried && self.state == LaneState::Rejected)
    }

    /// Whether a query may be sent now. It does not wait for the window, nor for a service that is
    /// out of reach: a user wants to know.
    pub(crate) fn has_room_for_query(&self, now: Instant, batches: bool) -> bool {
        // The batches have one slot in so many, or users who ask without a pause would stop them.
        if batches && self.queries_in_row >= MAX_IN_ROW && self.state == LaneState::Ready {
            return false;
        }
        let most = self.limits.concurrency + self.limits.extra;
        self.in_flight < most && self.query_waits_until(now).is_none()
    }

    /// When a query may be sent that may not now, because the service says so, or because
    /// queries have used up their own share of a rate.
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
}
