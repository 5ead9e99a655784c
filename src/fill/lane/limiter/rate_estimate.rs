//! The rate of a service that refuses without stating what it allows: learned from what it
//! accepted.
//!
//! From one refusal to the next, a service has accepted exactly what it allows in that time, pauses
//! included. That rate is kept to, and raised ever faster while nothing is refused. Refusals cured
//! by a smaller window teach nothing about the rate: they were about too many requests at once.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::count::Count;
use crate::fill::lane::limiter::pacer::Pacer;

/// A service that asks for a pause of at least this length limits the rate.
const LONG: Duration = Duration::from_secs(5);
/// This many refusals, and one in `OFTEN` requests, mean more than a window finding its size or a
/// service with transient faults. The second number of each pair applies while a rate is kept to.
/// Chance refusals must not slow us down for good.
const MANY: (u32, u32) = (5, 2);
const OFTEN: (u32, u32) = (20, 50);
/// This many in a row, without a success in between, are not due to chance either.
const ROW: (u32, u32) = (4, 2);
/// Number of successes needed to learn a rate.
const ENOUGH: u32 = 10;
/// After this long without a request, what was accepted before means nothing.
const IDLE: Duration = Duration::from_secs(5);
/// Share of the learned rate that is used.
const USED: f64 = 0.98;
/// Factor applied to the rate after a single refusal.
const EASED: f64 = 0.99;
/// Minimum rate, so that a recovered service is noticed; requests per second.
const SLOWEST: f64 = 0.1;
/// How often a rate without refusals is raised, and by which share at first.
const RAISE: Duration = Duration::from_mins(1);
const FIRST_STEP: f64 = 0.02;
/// A rate is raised only after this many successes, unless fewer than this share are refused by
/// chance: otherwise it would not be noticed that more are refused.
const SAMPLE: f64 = 300.0;
const SILENT: f64 = 0.015;
/// Without a rate, more refusals than chance explains are due to one if there are many more, among
/// at least and at most this many answers.
const EXCESS: f64 = 0.08;
const FIRST_SAMPLE: f64 = 100.0;
const LONGEST_SAMPLE: f64 = 1_000.0;
/// A larger share of refusals is not believed to be due to chance.
const MOST_NOISE: f64 = 0.2;
/// Share by which a rate is lowered at most, beyond the step before.
const MOST_LOWERED: f64 = 0.05;
/// Rates that differ by less are the same.
const SAME: f64 = 0.15;
/// Doublings of the time until a rate is raised, if it was found to be the same again and again.
const MOST_TRUST: u32 = 3;
/// A step larger than this forgets that.
const DISTRUSTED: f64 = 0.1;
/// This many limits met within a hundred answers are in doubt.
/// Below this rate, in requests per second, doubts have to be recent: a block takes many minutes.
const SLOW: f64 = 2.0;
const DOUBTS: f64 = 3.2;
/// A step this large means that there is no limit any more.
const LAST_STEP: f64 = 1.0;

/// What has been learned.
#[derive(Debug, Default)]
pub(crate) struct RateEstimate {
    cycle: Option<Cycle>,
    pace: Option<Pace>,
    count: Count,
    /// Limits met lately.
    doubts: f64,
    /// They were met too often for true ones.
    doubted: bool,
    spacing: Pacer,
    last_sent: Option<Instant>,
}

/// From the first success after a refusal to the first one after the next refusal.
#[derive(Debug)]
struct Cycle {
    since: Instant,
    taken: u32,
    refusals: u32,
    /// When the service started to refuse.
    refused: Option<Instant>,
    /// Refusals although only one request at a time was sent.
    alone: u32,
    /// Refusals since the last success.
    row: u32,
    /// The service asked for a long pause.
    long: bool,
}

impl Cycle {
    fn new(since: Instant) -> Self {
        Self { since, taken: 0, refusals: 0, refused: None, alone: 0, row: 0, long: false }
    }

    /// Whether the refusals are about the rate; `known` = a rate is being kept to.
    fn is_about_the_rate(&self, known: bool) -> bool {
        let (many, one_in, row) =
            if known { (MANY.1, OFTEN.1, ROW.1) } else { (MANY.0, OFTEN.0, ROW.0) };
        let often =
            self.refusals.max(self.alone * 2) >= many && self.refusals * one_in > self.taken;
        self.long || self.row >= row || (self.taken >= ENOUGH && often)
    }
}

#[derive(Debug)]
struct Pace {
    per_second: f64,
    raised: Instant,
    step: f64,
    /// The step last taken; 0 = it was lowered since.
    last_step: f64,
    /// How often it was lowered to about the same: it is raised the more seldom.
    trust: u32,
}

impl Pace {
    fn lowered(&mut self, now: Instant) {
        (self.raised, self.step, self.last_step) = (now, FIRST_STEP, 0.0);
        self.trust = (self.trust + 1).min(MOST_TRUST);
    }
}

impl RateEstimate {
    /// Whether there is a rate to keep to.
    pub(crate) fn is_known(&self) -> bool {
        self.pace.is_some()
    }

    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.spacing.wait_until(now)
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        let idle = self.last_sent.replace(now).is_none_or(|last| now > last + IDLE);
        let refusing = self.cycle.as_ref().is_some_and(|cycle| cycle.refused.is_some());
        if idle && !refusing {
            self.cycle = Some(Cycle::new(now));
        }
        if let Some(pace) = &self.pace {
            self.spacing.take_punctually(now, Duration::from_secs_f64(1.0 / pace.per_second));
        }
    }

    /// The service answered 429; `alone` = only one request at a time was sent.
    pub(crate) fn refused(&mut self, now: Instant, alone: bool, wait: Option<Duration>) {
        if self.cycle.as_ref().is_none_or(|cycle| cycle.row == 0) {
            self.doubts += 1.0;
            self.doubted |= self.doubts >= DOUBTS;
        }
        let cycle = self.cycle.get_or_insert_with(|| Cycle::new(now));
        cycle.refusals += 1;
        cycle.refused.get_or_insert(now);
        cycle.row += 1;
        cycle.alone += u32::from(alone);
        cycle.long |= wait.is_some_and(|wait| wait >= LONG);
    }

    pub(crate) fn succeeded(&mut self, now: Instant, noise: f64) {
        self.doubts *= 0.99;
        let Some(cycle) = &mut self.cycle else { return };
        if cycle.refused.is_none() {
            cycle.taken += 1;
            return self.raise(now, noise);
        }
        if cycle.is_about_the_rate(self.pace.is_some()) {
            let span = now.duration_since(cycle.since).as_secs_f64().max(0.1);
            let per_second = (f64::from(cycle.taken.max(1)) / span * USED).max(SLOWEST);
            // Some of what is sent will be refused by chance, and is not counted by the service.
            let noise = if self.doubted { noise.min(MOST_NOISE) / 2.0 } else { 0.0 };
            self.learn(now, per_second / (1.0 - noise));
            self.cycle = Some(Cycle { taken: 1, ..Cycle::new(now) });
        } else {
            (cycle.refused, cycle.row) = (None, 0);
            if let Some(pace) = &mut self.pace {
                // Either by chance or because the rate was raised: slow down a little, raise less.
                pace.per_second = (pace.per_second * EASED).max(SLOWEST);
                (pace.raised, pace.step, pace.last_step) = (now, FIRST_STEP, 0.0);
            }
            cycle.taken += 1;
        }
    }

    /// Whether limits were met too often for true ones.
    pub(crate) fn is_doubted(&self) -> bool {
        let slow = self.pace.as_ref().is_some_and(|pace| pace.per_second < SLOW);
        self.doubted && (!slow || self.doubts >= DOUBTS)
    }

    /// A request was refused, by chance as it seems; `noise` = share of such requests as known
    /// so far. If it turns out to be more, the rate is lowered.
    pub(crate) fn refused_by_chance(&mut self, now: Instant, noise: f64) {
        self.count.refused += 1.0;
        let Some(excess) = self.count.excess(noise) else { return };
        if self.pace.is_none()
            && (excess < EXCESS || noise <= 0.0 || self.count.good < FIRST_SAMPLE)
        {
            return;
        }
        let count = std::mem::take(&mut self.count);
        if let Some(pace) = &mut self.pace {
            let undone = 1.0 / (1.0 + pace.last_step);
            let lowered = (1.0 - excess).clamp(undone - MOST_LOWERED, undone) * EASED;
            pace.per_second = (pace.per_second * lowered).max(SLOWEST);
            pace.lowered(now);
        } else if let Some(since) = count.since {
            let span = now.duration_since(since).as_secs_f64().max(0.1);
            self.learn(now, (count.good.max(1.0) / span * USED).max(SLOWEST));
        }
    }

    fn learn(&mut self, now: Instant, per_second: f64) {
        let before = self.pace.as_ref();
        let same = before.filter(|pace| (pace.per_second / per_second - 1.0).abs() < SAME);
        let trust = same.map_or(0, |pace| pace.trust);
        let mut pace = Pace { per_second, raised: now, step: FIRST_STEP, last_step: 0.0, trust };
        if same.is_some() {
            pace.lowered(now);
        }
        self.pace = Some(pace);
        self.count = Count::default();
    }

    fn raise(&mut self, now: Instant, noise: f64) {
        self.count.since.get_or_insert(now);
        self.count.good += 1.0;
        if self.pace.is_none() && self.count.good + self.count.refused > LONGEST_SAMPLE {
            self.count = Count::default();
        }
        let Some(pace) = &mut self.pace else { return };
        let enough = noise < SILENT || self.count.good > SAMPLE;
        if now < pace.raised + RAISE * (1 << pace.trust) || !enough {
            return;
        }
        if pace.step > DISTRUSTED {
            pace.trust = 0;
        }
        self.count = Count::default();
        pace.per_second *= 1.0 + pace.step;
        pace.last_step = pace.step;
        pace.step *= 2.0;
        pace.raised = now;
        if pace.step > LAST_STEP {
            self.pace = None;
            self.spacing = Pacer::default();
        }
    }
}
