//! The limiter: how many requests may be in flight now, and when to try again after a fault.
//!
//! Two things bound what is sent: the window ([`aimd`]), which finds how many requests a service
//! takes at once, and the rates: the user's own limits ([`pacer`]), the quota the service reports
//! ([`quota`]), and what it allows without reporting it ([`rate_estimate`]).

mod aimd;
mod answer;
mod breaker;
mod chance;
mod cycle;
mod evidence;
#[cfg(test)]
mod noise;
mod pace;
mod pacer;
mod queries;
mod quota;
mod rate_estimate;
#[cfg(test)]
mod sim;

use std::collections::VecDeque;
use std::time::Instant;

use crate::fill::port::embedding::RateLimits;
use crate::fill::port::id::Wave;
use crate::fill::port::settings::LaneLimits;
use crate::fill::status::LaneState;
use aimd::Aimd;
use chance::Chance;
use pacer::RateCap;
use quota::Quota;
use rate_estimate::RateEstimate;

/// Number of successes remembered: more than can be in flight.
const SUCCESSES: usize = 128;

/// Limits how many requests are sent, and how fast.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: LaneLimits,
    window: Aimd,
    in_flight: usize,
    state: LaneState,
    reason: Option<String>,
    not_before: Option<Instant>,
    /// The wave being sent now.
    wave: Wave,
    last_cut: Option<Wave>,
    /// The wave being sent when the last refusal that paused the lane arrived.
    last_refusal: Option<Wave>,
    last_failure: Option<Wave>,
    rejected_at: Option<Instant>,
    asked_at: Option<Instant>,
    failures: u32,
    /// 429s since the last success; those of the same moment count once.
    throttles: u32,
    /// How requests have fared recently.
    chance: Chance,
    /// How many requests were in flight when each wave was sent, including its own.
    levels: VecDeque<(Wave, usize)>,
    /// Queries sent since the last batch.
    queries_in_row: u32,
    /// The waves of the last successful requests.
    successes: VecDeque<Wave>,
    requests: RateCap,
    tokens: RateCap,
    requests_left: Quota,
    tokens_left: Quota,
    /// The last answer reported that nothing is left.
    is_used_up: bool,
    rate: RateEstimate,
    tokens_in_flight: usize,
    /// The service's tokens per estimated token of ours.
    token_scale: f64,
    rng: fastrand::Rng,
}

impl Limiter {
    /// A limiter with no recorded failures. `seed` determines the jitter.
    pub(crate) fn new(limits: LaneLimits, seed: u64) -> Self {
        Self {
            window: Aimd::new(limits.concurrency),
            limits,
            in_flight: 0,
            state: LaneState::Ready,
            reason: None,
            not_before: None,
            wave: Wave::default(),
            last_cut: None,
            last_refusal: None,
            last_failure: None,
            rejected_at: None,
            asked_at: None,
            failures: 0,
            throttles: 0,
            chance: Chance::default(),
            levels: VecDeque::new(),
            queries_in_row: 0,
            successes: VecDeque::new(),
            requests: RateCap::new(limits.requests_per_minute),
            tokens: RateCap::new(limits.tokens_per_minute),
            requests_left: Quota::default(),
            tokens_left: Quota::default(),
            is_used_up: false,
            rate: RateEstimate::default(),
            tokens_in_flight: 0,
            token_scale: 1.0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Applies new limits; a changed setting is a reason to try again.
    pub(crate) fn configure(&mut self, limits: LaneLimits) {
        if limits != self.limits {
            self.limits = limits;
            self.window = Aimd::new(limits.concurrency);
            self.requests = RateCap::new(limits.requests_per_minute);
            self.tokens = RateCap::new(limits.tokens_per_minute);
        }
        self.half_open();
    }

    /// Forgets an embedder that was replaced by another.
    pub(crate) fn reset(&mut self) {
        let (seed, wave) = (self.rng.u64(..), self.wave);
        *self = Self { wave, ..Self::new(self.limits, seed) };
    }

    /// Whether a request may be sent now.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        let waiting = self.wait_until(now).is_some();
        let most = self.limits.concurrency.saturating_sub(self.reserved(now));
        let allowed = match self.state {
            LaneState::Ready | LaneState::Throttled => self.window().min(most),
            LaneState::Cooling => 1,
            LaneState::Rejected => 0,
        };
        !waiting && self.in_flight < allowed
    }

    /// When a request that has to wait now may be sent; `None` = it is not waiting for time to
    /// pass.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let until = [
            self.not_before.filter(|at| *at > now),
            self.requests.wait_until(now),
            self.tokens.wait_until(now),
            self.requests_left.wait_until(now),
            self.tokens_left.wait_until(now),
            self.rate.wait_until(now),
        ];
        until.into_iter().flatten().max()
    }

    /// The wave being sent now.
    pub(crate) fn wave(&self) -> Wave {
        self.wave
    }

    /// Starts a new wave: requests from now on do not count as sent together with earlier ones.
    pub(crate) fn begin_wave(&mut self) {
        self.wave = self.wave.next();
    }

    /// A request of this many estimated tokens was sent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "tokens of one request"
    )]
    pub(crate) fn sent(&mut self, now: Instant, estimate: usize) -> Wave {
        let tokens = estimate as f64 * self.token_scale;
        self.in_flight += 1;
        self.tokens_in_flight += estimate;
        self.requests.take(now, 1);
        self.tokens.take(now, tokens as usize);
        self.requests_left.take(now, 1.0);
        self.tokens_left.take(now, tokens);
        self.rate.sent(now);
        self.levels.truncate(SUCCESSES - 1);
        self.levels.push_front((self.wave, self.in_flight));
        self.wave
    }

    /// Converts the service's tokens to our estimate of them.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "tokens of one request; the cast saturates"
    )]
    pub(crate) fn estimate_of(&self, tokens: u64) -> usize {
        (tokens as f64 / self.token_scale.max(0.1) * 0.95) as usize
    }

    /// A request of this many estimated tokens has ended, whatever the result. One of the next four
    /// reports what the result was.
    #[expect(clippy::cast_precision_loss, reason = "tokens of a few requests")]
    pub(crate) fn returned(&mut self, now: Instant, estimate: usize, says: RateLimits) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.tokens_in_flight = self.tokens_in_flight.saturating_sub(estimate);
        let left = [says.requests, says.tokens].into_iter().flatten();
        self.is_used_up = left.map(|left| left.remaining).min() == Some(0);
        if let Some(requests) = says.requests {
            self.requests_left.observe(now, requests, self.in_flight as f64);
        }
        if let Some(tokens) = says.tokens {
            let in_flight = self.tokens_in_flight as f64 * self.token_scale;
            self.tokens_left.observe(now, tokens, in_flight);
        }
    }

    /// The service has counted the tokens of a request.
    #[expect(clippy::cast_precision_loss, reason = "tokens of one request")]
    pub(crate) fn counted(&mut self, estimate: usize, tokens: u64) {
        let scale = (tokens as f64 / estimate.max(1) as f64).clamp(0.1, 10.0);
        self.token_scale = self.token_scale * 0.9 + scale * 0.1;
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Maximum requests in flight that the lane currently allows itself.
    pub(crate) fn window(&self) -> usize {
        self.window.width()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fill::lane::limiter::breaker::MAX_BACKOFF;

    const MINUTE: Duration = Duration::from_mins(1);

    fn limiter(concurrency: usize) -> Limiter {
        let limits =
            LaneLimits { concurrency, extra: 0, requests_per_minute: 0, tokens_per_minute: 0 };
        Limiter::new(limits, 7)
    }

    fn fill_up(limiter: &mut Limiter, now: Instant) -> usize {
        limiter.begin_wave();
        let before = limiter.in_flight();
        while limiter.has_room(now) {
            limiter.sent(now, 1);
        }
        limiter.in_flight() - before
    }

    #[test]
    fn no_more_requests_are_in_flight_than_allowed() {
        assert_eq!(fill_up(&mut limiter(8), Instant::now()), 8);
    }

    #[test]
    fn what_fails_together_counts_once() {
        let (mut limiter, now) = (limiter(8), Instant::now());
        fill_up(&mut limiter, now);
        let sent = limiter.wave;
        limiter.begin_wave();
        (0..8).for_each(|_| limiter.failed(now + MINUTE, sent, "reset"));
        assert_eq!(limiter.failures(), 1);
    }

    #[test]
    fn one_burst_of_refusals_halves_the_window_once() {
        let (mut limiter, now) = (limiter(8), Instant::now());
        fill_up(&mut limiter, now);
        let sent = limiter.wave;
        limiter.begin_wave();
        for _ in 0..8 {
            limiter.returned(now, 1, RateLimits::default());
            limiter.throttled(now, sent, None, "slow down");
        }
        assert_eq!((limiter.window(), limiter.in_flight()), (4, 0));
        assert!(!limiter.has_room(now));
        assert_eq!(fill_up(&mut limiter, now + Duration::from_secs(2)), 4);
    }

    #[test]
    fn retry_after_is_kept_to_the_second() {
        let (mut limiter, now) = (limiter(8), Instant::now());
        let sent = limiter.sent(now, 1);
        limiter.returned(now, 1, RateLimits::default());
        limiter.throttled(now, sent, Some(Duration::from_secs(20)), "slow down");
        assert!(!limiter.has_room(now + Duration::from_secs(19)));
        assert!(limiter.has_room(now + Duration::from_secs(23)));
    }

    #[test]
    fn a_rejected_lane_sends_one_request_once_it_is_forgiven() {
        let (mut limiter, now) = (limiter(8), Instant::now());
        limiter.sent(now, 1);
        limiter.returned(now, 1, RateLimits::default());
        limiter.rejected(now, "401");
        assert!(!limiter.has_room(now + MINUTE * 60));
        limiter.half_open();
        assert_eq!(fill_up(&mut limiter, now), 1);
        limiter.returned(now, 1, RateLimits::default());
        limiter.succeeded(now, limiter.wave, false);
        assert_eq!(fill_up(&mut limiter, now), 8);
    }

    #[test]
    fn a_service_out_of_reach_is_tried_ever_more_seldom() {
        let (mut limiter, mut now) = (limiter(8), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..200 {
            now += Duration::from_millis(1);
            limiter.begin_wave();
            let sent = limiter.sent(now, 1);
            limiter.returned(now, 1, RateLimits::default());
            limiter.begin_wave();
            limiter.failed(now, sent, "connection refused");
            let until = limiter.wait_until(now).unwrap_or(now);
            waits.push(until - now);
            now = until;
        }
        let steady = &waits[50..];
        assert!(steady.iter().all(|wait| *wait <= MAX_BACKOFF));
        assert!(steady.iter().sum::<Duration>() / 150 > MAX_BACKOFF / 3, "{waits:?}");
    }

    #[test]
    fn a_ceiling_spreads_requests_over_the_minute() {
        let limits =
            LaneLimits { concurrency: 64, extra: 0, requests_per_minute: 60, tokens_per_minute: 0 };
        let (mut limiter, start) = (Limiter::new(limits, 7), Instant::now());
        let sent: usize = (0..60)
            .map(|second| {
                let now = start + Duration::from_secs(second);
                let sent = fill_up(&mut limiter, now);
                (0..sent).for_each(|_| limiter.returned(now, 1, RateLimits::default()));
                sent
            })
            .sum();
        assert_eq!(sent, 60);
    }
}
