//! A rate that is kept to, and how it is raised and lowered.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::cycle::MINUTE;
use crate::fill::lane::limiter::evidence::Answers;

/// Share of a learned rate that is used.
pub(super) const USED: f64 = 0.98;
/// Minimum rate, so that a recovered service is noticed; requests per second.
const SLOWEST: f64 = 0.1;
/// By which share a rate is raised at first; doubled each time. The second number applies to one
/// that was found again.
const FIRST_STEP: (f64, f64) = (0.16, 0.04);
/// A step this large means that there is no limit any more.
const LAST_STEP: f64 = 1.0;
/// A step larger than this forgets how often a rate was found again.
const DISTRUSTED: f64 = 0.2;
/// Doublings of the minute until a rate is raised, if it was found again and again.
const MOST_TRUST: u32 = 3;
/// Rates that differ by less are the same.
const SAME: f64 = 0.15;

/// Requests per second.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub(super) per_second: f64,
    /// The rate that has not met a limit: `per_second`, unless that is being tried.
    sustained: f64,
    step: f64,
    /// How often it was found again: it is raised the more seldom.
    trust: u32,
}

impl Pace {
    pub(super) fn new(per_second: f64) -> Self {
        Self::trusted(per_second, 0)
    }

    fn trusted(per_second: f64, trust: u32) -> Self {
        let per_second = per_second.max(SLOWEST);
        let step = if trust == 0 { FIRST_STEP.0 } else { FIRST_STEP.1 };
        Self { per_second, sustained: per_second, step, trust: trust.min(MOST_TRUST) }
    }

    /// Whether it is higher than the rate that has not met a limit.
    pub(super) fn is_raised(&self) -> bool {
        self.per_second > self.sustained
    }

    /// Lowered to this rate, at least a little.
    pub(super) fn lowered(&self, to: f64) -> Self {
        Self::trusted(to.min(self.per_second * USED), self.trust)
    }

    /// A limit was met, which takes `taken` per second; `whole` = that is the whole truth. Otherwise
    /// it is lowered no further than to the rate before, or by half.
    pub(super) fn met(&self, taken: f64, whole: bool) -> Self {
        let most = self.sustained * USED;
        let least = match (self.is_raised(), whole) {
            (true, _) => most,
            (false, true) => 0.0,
            (false, false) => self.sustained / 2.0,
        };
        let found = taken.clamp(least, most);
        let same = found > self.sustained * (1.0 - SAME);
        Self::trusted(found, if same { self.trust + 1 } else { 0 })
    }

    /// How long it is kept to before it is raised.
    pub(super) fn kept(&self) -> Duration {
        if self.is_raised() { MINUTE } else { MINUTE * (1 << self.trust) }
    }

    /// The step to look for among the refusals, of which `more` than usual came. While the rate was
    /// not raised, a larger share must not become the usual one unnoticed.
    pub(super) fn step(&self, more: bool) -> f64 {
        if more && !self.is_raised() { FIRST_STEP.1 } else { self.step }
    }

    /// The next higher rate; `None` = there is no limit.
    pub(super) fn raised(&self) -> Option<Self> {
        let step = if self.is_raised() { self.step * 2.0 } else { self.step };
        let trust = if step > DISTRUSTED { 0 } else { self.trust };
        let (per_second, sustained) = (self.per_second * (1.0 + step), self.per_second);
        (step < LAST_STEP).then_some(Self { per_second, sustained, step, trust })
    }

    /// Time from one request to the next.
    pub(super) fn spacing(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}

/// No more is sent than was accepted, to see whether refusals end.
#[derive(Debug)]
pub(super) struct Trial {
    /// The rate before; `None` = as fast as possible.
    pub(super) before: Option<Pace>,
    /// The answers before.
    pub(super) answers: Answers,
}

/// Answers per second since then.
pub(super) fn per_second(answers: f64, since: Option<Instant>, now: Instant) -> f64 {
    let span = since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
    answers / span.max(0.1)
}
