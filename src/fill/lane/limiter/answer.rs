//! What answers do to the window, the rate and the pauses: successes and 429s.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::{Limiter, SUCCESSES};
use crate::fill::port::id::Wave;
use crate::fill::retry::doubled;
use crate::fill::status::LaneState;

/// Pause after a 429 that does not state one; doubled each time until a request succeeds. Short
/// while the cause may be too many requests at once, longer once it is known to be the rate.
const THROTTLE_PAUSE: Duration = Duration::from_millis(100);
/// Share of requests assumed to be refused by chance if requests beside refused ones succeed.
const CHANCE: f64 = 0.1;
/// Pause for a request that was refused by chance.
const CHANCE_PAUSE: Duration = Duration::from_millis(250);
const RATE_PAUSE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause for any service, whatever its Retry-After says.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

impl Limiter {
    /// A request succeeded. `slow` = it took so long that more at once would be too much.
    pub(crate) fn succeeded(&mut self, now: Instant, sent: Wave, slow: bool) {
        let level = self.take_level(sent);
        self.chance.observe(sent, level, true);
        self.rate.succeeded(now, self.requests_left.is_reported());
        self.successes.truncate(SUCCESSES - 1);
        self.successes.push_front(sent);
        if !slow {
            self.window.widen();
        }
        self.failures = 0;
        let chance = self.chance.is_chance();
        if chance && self.throttles > 0 {
            self.window.restore();
        }
        // A request sent before a refusal says nothing about the pause the service asked for.
        if self.last_refusal.is_none_or(|refusal| sent > refusal) || chance {
            self.state = LaneState::Ready;
            self.reason = None;
            self.not_before = None;
            self.throttles = 0;
        }
    }

    /// Whether the request just refused was refused by chance: chance seldom refuses many in a row.
    /// How seldom is known once a trial has shown it, or if requests beside refused ones succeed.
    fn is_refused_by_chance(&self) -> bool {
        let beside = !self.rate.is_known() && self.chance.is_chance();
        let least = if beside { CHANCE } else { 0.0 };
        !self.is_used_up && self.rate.explains_run(self.chance.run(), least)
    }

    /// **Where a 429 is answered.** If refusals come by chance, only the refused request waits, and
    /// only briefly: the service accepts others in the meantime. Otherwise all wait as long as the
    /// service asks, and the window is halved. Returns how long the refused request waits.
    pub(crate) fn throttled(
        &mut self,
        now: Instant,
        sent: Wave,
        wait: Option<Duration>,
        why: &str,
    ) -> Option<Duration> {
        let level = self.take_level(sent);
        self.chance.observe(sent, level, false);
        self.chance.refuse(sent, self.wave);
        if self.is_refused_by_chance() && self.state != LaneState::Rejected {
            if self.is_too_many_at_once(level) {
                self.window.cap(level - 1);
            } else if self.requests_left.is_reported() {
                self.rate.within_quota(now, false);
            } else {
                self.rate.refused_by_chance(now);
            }
            return wait.map(|wait| wait.min(CHANCE_PAUSE));
        }
        // Requests in flight together are refused together, and count as one refusal.
        let fresh = self.last_cut.is_none_or(|cut| sent > cut);
        if fresh {
            // A service that has just reported a remaining quota does not refuse because of the
            // rate.
            if self.requests_left.is_reported() && !self.is_used_up {
                self.rate.within_quota(now, false);
            } else if !self.is_too_many_at_once(level) {
                self.rate.refused(now, wait, self.is_used_up);
            }
            self.window.halve();
            self.last_cut = Some(self.wave);
            self.throttles = self.throttles.saturating_add(1);
        }
        self.last_refusal = Some(self.wave);
        let wait = wait.unwrap_or_else(|| self.ever_longer()).min(MAX_RETRY_AFTER);
        // Without jitter, all clients refused at the same time would come back at the same time.
        let jitter = Duration::from_secs_f64(wait.as_secs_f64() * 0.1 * self.rng.f64());
        self.not_before = self.not_before.max(Some(now + wait + jitter));
        self.enter(LaneState::Throttled, why);
        Some(wait)
    }

    /// A pause for a service that does not state one: short while one refusal may be due to chance
    /// or to too many requests at once.
    fn ever_longer(&self) -> Duration {
        let again = self.throttles.saturating_sub(1).min(8);
        match again.checked_sub(1).filter(|_| self.rate.is_known()) {
            Some(again) => doubled(RATE_PAUSE, again, MAX_PAUSE),
            None => doubled(THROTTLE_PAUSE, again, MAX_PAUSE),
        }
    }

    /// Whether a request sent as the `level`th in flight was refused because it was one too many.
    fn is_too_many_at_once(&self, level: usize) -> bool {
        !self.rate.is_known() && self.chance.is_limit(level)
    }

    /// A request was not answered in time: send one at a time from now on.
    pub(crate) fn too_slow(&mut self) {
        self.window.narrow();
    }

    /// How many requests were in flight when one of this wave was sent: takes the wave's first
    /// request not yet taken.
    fn take_level(&mut self, sent: Wave) -> usize {
        let at = self.levels.iter().rposition(|(wave, _)| *wave == sent);
        at.and_then(|at| self.levels.remove(at)).map_or(1, |(_, level)| level)
    }

    /// Whether a request sent in that wave or a later one has succeeded.
    pub(crate) fn has_succeeded_since(&self, then: Wave) -> bool {
        self.successes.iter().any(|sent| *sent >= then)
    }

    /// Whether a request of the same wave has succeeded.
    pub(crate) fn has_succeeded_beside(&self, then: Wave) -> bool {
        self.successes.contains(&then)
    }
}
