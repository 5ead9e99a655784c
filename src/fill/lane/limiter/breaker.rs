//! The circuit breaker: a service that is unreachable, or that only the operator can fix.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::Limiter;
use crate::fill::port::id::Wave;
use crate::fill::retry::doubled;
use crate::fill::status::LaneState;

/// Longest pause between two attempts while a service is unreachable.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// How long wake-ups leave a rejected service alone.
const REJECTED_REST: Duration = Duration::from_mins(5);

impl Limiter {
    /// Lets one request try a rejected service: a pass begins, or a setting changed.
    pub(crate) fn half_open(&mut self) {
        if self.state == LaneState::Rejected {
            self.state = LaneState::Cooling;
            self.not_before = None;
        }
    }

    /// Whether a write to a graph is a reason to try: not while operator action is needed, or every
    /// write would cost a request. But without a schedule, an occasional one has to.
    pub(crate) fn is_worth_waking_for(&self, now: Instant) -> bool {
        let rested = self.rejected_at.is_none_or(|at| now >= at + REJECTED_REST);
        self.state != LaneState::Rejected || rested
    }

    /// The service is unreachable: exponential backoff with full jitter, one attempt at a time.
    pub(crate) fn failed(&mut self, now: Instant, sent: Wave, why: &str) {
        self.enter(LaneState::Cooling, why);
        // Requests in flight together fail together, and count as one failure.
        if self.last_failure.is_some_and(|last| sent <= last) {
            return;
        }
        self.last_failure = Some(self.wave);
        let most = doubled(FIRST_BACKOFF, self.failures, MAX_BACKOFF);
        let pause = Duration::from_secs_f64(most.as_secs_f64() * self.rng.f64());
        self.failures = self.failures.saturating_add(1);
        self.not_before = self.not_before.max(Some(now + pause));
    }

    /// A fault that needs operator action stays visible until the service is tried again.
    pub(super) fn enter(&mut self, state: LaneState, why: &str) {
        if self.state != LaneState::Rejected {
            self.state = state;
            self.reason = Some(why.to_owned());
        }
    }

    /// Operator action is needed: nothing is sent until [`half_open`](Self::half_open).
    pub(crate) fn rejected(&mut self, now: Instant, why: &str) {
        self.rejected_at = Some(now);
        self.state = LaneState::Rejected;
        self.reason = Some(why.to_owned());
    }

    /// Consecutive failures.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// As STATUS shows it.
    pub(crate) fn state(&self) -> LaneState {
        self.state
    }

    /// What went wrong, while the state is not ready.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
