//! Simulated services that limit requests per minute, each in its own way, and how well the limiter
//! uses them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    reason = "minutes and requests of a simulated hour"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::fill::lane::limiter::Limiter;
use crate::fill::port::embedding::{Allowance, RateLimits};
use crate::fill::port::settings::LaneLimits;

const MINUTE: Duration = Duration::from_mins(1);

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(50);

/// How a service counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each minute has a new allowance.
    Window,
    /// A bucket that holds a minute's worth and is refilled gradually.
    Bucket,
    /// The last sixty seconds.
    Sliding,
    /// Counts only the requests being answered at the same time.
    AtOnce,
}

/// The fate of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Refused,
    Chance,
}

struct Service {
    case: Case,
    start: Instant,
    /// Of the last two minutes.
    taken: VecDeque<Instant>,
    level: f64,
    filled: Instant,
    answering: u64,
    refused: Vec<Instant>,
    all: Vec<Instant>,
    rng: fastrand::Rng,
}

impl Service {
    fn new(case: Case) -> Self {
        let start = Instant::now();
        Self {
            case,
            start,
            taken: VecDeque::new(),
            level: case.per_minute as f64,
            filled: start,
            answering: 0,
            refused: Vec::new(),
            all: Vec::new(),
            rng: fastrand::Rng::with_seed(case.seed),
        }
    }

    /// The remaining quota, and the time until it is full.
    fn left(&mut self, now: Instant) -> (u64, Duration) {
        let elapsed = now - self.start;
        let into = Duration::from_millis((elapsed.as_millis() % MINUTE.as_millis()) as u64);
        let since = |from: Instant| {
            (self.taken.len() - self.taken.partition_point(|at| *at <= from)) as u64
        };
        match self.case.kind {
            Kind::Window => {
                let opened = now - into;
                let used =
                    (self.taken.len() - self.taken.partition_point(|at| *at < opened)) as u64;
                (self.case.per_minute.saturating_sub(used), MINUTE - into)
            }
            Kind::Sliding => {
                let used = now.checked_sub(MINUTE).map_or(self.taken.len() as u64, since);
                let first = self.taken.iter().rev().nth(used.saturating_sub(1) as usize);
                let wait = first.map_or(Duration::ZERO, |at| (*at + MINUTE) - now);
                (self.case.per_minute.saturating_sub(used), wait)
            }
            Kind::AtOnce => {
                let most = self.case.per_minute * LATENCY.as_millis() as u64 / 60_000;
                (most.saturating_sub(self.answering), LATENCY)
            }
            Kind::Bucket => {
                let rate = self.case.per_minute as f64 / 60.0;
                let most = self.case.per_minute as f64;
                self.level = (self.level + (now - self.filled).as_secs_f64() * rate).min(most);
                self.filled = now;
                (self.level as u64, Duration::from_secs_f64((most - self.level) / rate))
            }
        }
    }

    /// Whether the request is accepted, refused, or refused by chance, and the headers.
    fn ask(&mut self, now: Instant) -> (Fate, RateLimits) {
        if self.rng.f64() < self.case.noise {
            return (Fate::Chance, RateLimits::default());
        }
        let (left, _) = self.left(now);
        if left == 0 {
            self.refused.push(now);
        } else {
            self.taken.push_back(now);
            self.all.push(now);
            self.answering += 1;
            while self.taken.front().is_some_and(|at| *at + MINUTE * 2 < now) {
                self.taken.pop_front();
            }
            self.level -= 1.0;
        }
        let (remaining, reset) = self.left(now);
        let says = Allowance { limit: self.case.per_minute, remaining, reset };
        let requests = self.case.headers.then_some(says);
        let fate = if left > 0 { Fate::Taken } else { Fate::Refused };
        (fate, RateLimits { requests, tokens: None })
    }

    /// `Retry-After`.
    fn wait(&mut self, now: Instant, fate: Fate) -> Option<Duration> {
        if fate == Fate::Chance {
            return self.case.says_how_long.then_some(Duration::from_secs(1));
        }
        let one = Duration::from_secs_f64(60.0 / self.case.per_minute as f64);
        let wait = if self.case.kind == Kind::Bucket { one } else { self.left(now).1 };
        self.case.says_how_long.then_some(wait)
    }
}

/// Keeps the limiter busy for `minutes`; the service answers 50 ms later.
fn fill(service: &mut Service, minutes: u32) {
    let limits =
        LaneLimits { concurrency: 8, extra: 0, requests_per_minute: 0, tokens_per_minute: 0 };
    let mut limiter = Limiter::new(limits, service.case.seed + 2);
    let mut now = service.start;
    let mut flying = VecDeque::new();
    while now < service.start + MINUTE * minutes {
        limiter.begin_wave();
        while limiter.has_room(now) {
            let sent = limiter.sent(now, 1);
            let (fate, says) = service.ask(now);
            flying.push_back((now + LATENCY, sent, fate, says));
        }
        let next = flying.front().map(|(at, ..)| *at);
        let room = limiter.wait_until(now).filter(|_| limiter.in_flight() < limiter.window());
        now = [next, room].into_iter().flatten().min().unwrap();
        while flying.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, sent, fate, says)) = flying.pop_front() else { break };
            limiter.returned(now, 1, says);
            if fate == Fate::Taken {
                service.answering -= 1;
                limiter.succeeded(now, sent, false);
            } else {
                let wait = service.wait(now, fate);
                limiter.throttled(now, sent, wait, "slow down");
            }
        }
    }
}

/// A service, and the chance that it refuses requests by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) kind: Kind,
    pub(super) per_minute: u64,
    pub(super) headers: bool,
    pub(super) says_how_long: bool,
    pub(super) noise: f64,
    pub(super) seed: u64,
}

impl Case {
    /// Share of the allowance that was used, and share of the requests that were refused other than
    /// by chance, after the first few minutes.
    pub(super) fn shares(self) -> (f64, f64) {
        let (learning, minutes) = (5, 35);
        let mut service = Service::new(self);
        fill(&mut service, minutes);
        let after = service.start + MINUTE * learning;
        let late = |times: &[Instant]| times.iter().filter(|at| **at > after).count() as f64;
        let (taken, refused) = (late(&service.all), late(&service.refused));
        let allowed = self.per_minute as f64 * f64::from(minutes - learning);
        (taken / allowed, refused / (taken + refused))
    }
}

fn shares(kind: Kind, per_minute: u64, headers: bool, says_how_long: bool) -> (f64, f64) {
    Case { kind, per_minute, headers, says_how_long, noise: 0.0, seed: 5 }.shares()
}

/// The same for a service that also refuses a share of the requests by chance.
pub(super) fn noisy_shares(
    kind: Kind,
    per_minute: u64,
    headers: bool,
    says_how_long: bool,
    noise: f64,
) -> (f64, f64) {
    Case { kind, per_minute, headers, says_how_long, noise, seed: 5 }.shares()
}

#[test]
fn a_service_that_tells_its_limits_is_used_up_and_refuses_next_to_nothing() {
    for kind in [Kind::Window, Kind::Bucket, Kind::Sliding] {
        for per_minute in [60, 500, 3_000] {
            let (used, refused) = shares(kind, per_minute, true, true);
            assert!(used >= 0.9, "{kind:?} {per_minute}: {used:.3} used");
            assert!(refused < 0.02, "{kind:?} {per_minute}: {refused:.4} refused");
        }
    }
}

#[test]
fn a_service_that_only_refuses_is_learnt() {
    for kind in [Kind::Window, Kind::Bucket, Kind::Sliding] {
        for per_minute in [60, 500, 3_000] {
            for says_how_long in [true, false] {
                let (used, refused) = shares(kind, per_minute, false, says_how_long);
                let what = format!("{kind:?} {per_minute} {says_how_long}");
                assert!(used >= 0.9, "{what}: {used:.3} used");
                assert!(refused < 0.02, "{what}: {refused:.4} refused");
            }
        }
    }
}

#[test]
fn the_window_finds_how_many_requests_a_service_takes_at_once() {
    for at_once in [1, 2, 4, 7] {
        let (used, refused) = shares(Kind::AtOnce, at_once * 1_200, false, false);
        assert!(used >= 0.9, "{at_once}: {used:.3} used");
        assert!(refused < 0.02, "{at_once}: {refused:.4} refused");
    }
}

#[test]
fn refusals_by_chance_do_not_slow_a_lane_down() {
    // Eight at a time, 50 ms each, make 9,600 per minute.
    let possible = 9_600;
    for (noise, least) in [(0.02, 0.9), (0.1, 0.8), (0.2, 0.7)] {
        for says_how_long in [true, false] {
            let (used, _) = noisy_shares(Kind::AtOnce, possible, false, says_how_long, noise);
            assert!(used >= least, "{noise} {says_how_long}: {used:.3} used");
        }
    }
}

#[test]
fn a_limit_is_found_behind_refusals_by_chance() {
    for kind in [Kind::Window, Kind::Bucket] {
        for per_minute in [500, 3_000] {
            let (used, refused) = noisy_shares(kind, per_minute, true, true, 0.05);
            // Each refusal pauses a lane that sends one request at a time for the second asked for.
            assert!(used >= 0.8, "{kind:?} {per_minute}: {used:.3} used");
            assert!(refused < 0.02, "{kind:?} {per_minute}: {refused:.4} refused");
        }
    }
}
