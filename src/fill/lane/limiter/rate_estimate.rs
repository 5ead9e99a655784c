//! The rate of a service that refuses without stating what it allows: learned from what it accepts.
//!
//! A limit that is reached refuses either everything until it is lifted (what was taken from one
//! such moment to the next is what is allowed: [`Cycle`]) or all that is too much. The latter looks
//! like chance, but unlike chance it ends once no more is sent than was accepted. So that is tried
//! ([`Trial`]): if the share of refusals falls, there is a limit, and the rate is kept to; if not,
//! they come by chance, and the rate is as before.
//!
//! A rate that is kept to is raised now and then, each time for so many requests that a limit would
//! be told from chance, and ever faster while it is not met.

use std::time::{Duration, Instant};

use crate::fill::lane::limiter::cycle::{Cycle, ENOUGH};
use crate::fill::lane::limiter::evidence::{Answers, Change, Verdict, is_run_explained};
use crate::fill::lane::limiter::pace::{Pace, Trial, USED, per_second};
use crate::fill::lane::limiter::pacer::Pacer;

/// After this long without a request, what was accepted before means nothing.
const IDLE: Duration = Duration::from_secs(5);
/// Without a rate to keep to, this many answers are judged together.
const SAMPLE: f64 = 1_000.0;
/// Requests per second assumed while no rate is known.
const FAST: f64 = 100.0;

/// What has been learned.
#[derive(Debug, Default)]
pub(crate) struct RateEstimate {
    cycle: Option<Cycle>,
    pace: Option<Pace>,
    /// Answers since the rate last changed.
    answers: Answers,
    since: Option<Instant>,
    /// Since when more seem to be refused, and the rate then.
    change: Change,
    changed: Option<Instant>,
    before: Option<Pace>,
    trial: Option<Trial>,
    /// Answers at rates that do not exceed a limit: what they tell is the share refused by chance.
    noise: Answers,
    /// Requests accepted per second before the rate last changed.
    served: Option<f64>,
    spacing: Pacer,
    last_sent: Option<Instant>,
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
        if idle && !self.cycle.as_ref().is_some_and(Cycle::is_refusing) {
            self.cycle = Some(Cycle::new(now));
        }
        if let Some(pace) = &self.pace {
            self.spacing.take_punctually(now, pace.spacing());
        }
    }

    /// Whether chance explains this many refusals in a row; `least` = share refused at least.
    pub(crate) fn explains_run(&self, run: u32, least: f64) -> bool {
        is_run_explained(run, self.suspected_noise().max(least), self.per_second())
    }

    /// A request was answered that cannot exceed the rate: the service reports a remaining quota.
    pub(crate) fn within_quota(&mut self, now: Instant, good: bool) {
        if self.pace.is_some() {
            self.answers.count(good);
            return self.judge(now, false);
        }
        let mut answer = Answers::default();
        answer.count(good);
        self.noise = self.noise.and(answer);
    }

    /// The service answered 429, and a pause follows; `used_up` = it reports that nothing is left.
    pub(crate) fn refused(&mut self, now: Instant, wait: Option<Duration>, used_up: bool) {
        // Chance would have explained it.
        let certain = self.noise.noise() > 0.0 || self.trial.is_some();
        let cycle = self.cycle.get_or_insert_with(|| Cycle::new(now));
        cycle.refused(now, wait, certain);
        if used_up {
            cycle.used_up();
        }
    }

    /// A request was refused, by chance as it seems. If it turns out to be more, the rate is
    /// lowered.
    pub(crate) fn refused_by_chance(&mut self, now: Instant) {
        self.count(now, false);
    }

    /// `reported` = the service reports what is left, so that refusals need not be interpreted.
    pub(crate) fn succeeded(&mut self, now: Instant, reported: bool) {
        self.since.get_or_insert(now);
        let known = self.pace.is_some();
        let cycle = self.cycle.get_or_insert_with(|| Cycle::new(now));
        if let Some(taken) = cycle.rate(now, known) {
            let whole = cycle.is_whole(now);
            *cycle = Cycle::new(now);
            cycle.took();
            self.cut_off(now, taken, whole);
        } else {
            let refused = cycle.is_refusing();
            cycle.go_on();
            cycle.took();
            if refused && !reported {
                self.count(now, false);
            }
        }
        if reported { self.within_quota(now, true) } else { self.count(now, true) }
    }

    fn per_second(&self) -> f64 {
        self.pace.as_ref().map_or(FAST, |pace| pace.per_second)
    }

    /// The share refused by chance, if the trial under way fails.
    fn suspected_noise(&self) -> f64 {
        let trial = self.trial.as_ref().map_or(0.0, |trial| trial.answers.share());
        self.noise.noise().max(trial)
    }

    /// What may be sent if this many are accepted per second: some are refused by chance, and those
    /// do not count.
    fn usable(&self, accepted: f64) -> f64 {
        accepted / (1.0 - self.noise.noise()) * USED
    }

    fn keep_to(&mut self, now: Instant, pace: Option<Pace>) {
        if pace.is_none() {
            self.spacing = Pacer::default();
        }
        self.pace = pace;
        (self.answers, self.change) = (Answers::default(), Change::default());
        self.since = Some(now);
    }

    /// Everything was refused for a while; before, `taken` requests were accepted per second.
    fn cut_off(&mut self, now: Instant, taken: f64, whole: bool) {
        let rate = self.usable(taken);
        let pace = self.pace.as_ref();
        let pace = pace.map_or_else(|| Pace::new(rate), |pace| pace.met(rate, whole));
        self.trial = None;
        self.keep_to(now, Some(pace));
    }

    fn count(&mut self, now: Instant, good: bool) {
        if self.change.is_none() {
            (self.changed, self.before) = (Some(now), self.pace.clone());
        }
        self.answers.count(good);
        let certain = self.change.observe(good, self.suspected_noise(), self.per_second());
        self.judge(now, certain);
    }

    fn judge(&mut self, now: Instant, more_refused: bool) {
        if let Some(trial) = self.trial.take() {
            match self.answers.compare(self.noise.noise(), trial.answers) {
                Verdict::Same => {
                    self.noise = self.answers.and(trial.answers);
                    return self.keep_to(now, trial.before);
                }
                Verdict::Between => return self.try_less(now, trial.before),
                Verdict::Fewer => self.answers = Answers::default(),
                Verdict::Unclear => self.trial = Some(trial),
            }
        }
        if more_refused {
            return self.lower(now);
        }
        match self.pace.clone() {
            _ if self.trial.is_some() => {}
            Some(pace) => self.raise(now, &pace),
            None if self.answers.total() >= SAMPLE => {
                self.noise = self.noise.and(std::mem::take(&mut self.answers));
                self.since = Some(now);
            }
            None => {}
        }
    }

    /// The rate that was tried was still too high, or the sample before was unusual.
    fn try_less(&mut self, now: Instant, before: Option<Pace>) {
        let rate = self.usable(per_second(self.answers.good, self.since, now));
        let lowered = self.per_second().min(rate / USED);
        let trial = Trial { before, answers: self.answers };
        self.keep_to(now, Some(Pace::new(lowered * USED)));
        self.trial = Some(trial);
    }

    /// More is refused than chance explains.
    fn lower(&mut self, now: Instant) {
        let answers = self.change.answers();
        if answers.good < ENOUGH {
            return;
        }
        let rate = self.usable(per_second(answers.good, self.changed, now));
        // Pauses are not the service's fault: it accepts at least what it did just before.
        let rate = rate.max(self.served.take().unwrap_or(0.0));
        match &self.pace {
            Some(pace) if pace.is_raised() => {
                let lowered = pace.met(rate, false);
                self.keep_to(now, Some(lowered));
            }
            Some(pace) => self.attempt(now, pace.lowered(rate), answers),
            None => self.attempt(now, Pace::new(rate), answers),
        }
    }

    fn attempt(&mut self, now: Instant, pace: Pace, answers: Answers) {
        let fresh = Trial { before: self.before.clone(), answers };
        let trial = self.trial.take().unwrap_or(fresh);
        self.keep_to(now, Some(pace));
        self.trial = Some(trial);
    }

    /// Raises the rate once it is known to be taken; otherwise it is lowered.
    fn raise(&mut self, now: Instant, pace: &Pace) {
        let (noise, share) = (self.noise.noise(), self.answers.share());
        let step = pace.step(share > noise);
        let long = self.since.is_some_and(|since| now >= since + pace.kept());
        if !long || !self.answers.tell(noise, step) {
            return;
        }
        let served = self.usable(per_second(self.answers.good, self.since, now));
        let before = self.served.replace(served).unwrap_or(0.0);
        let in_vain = pace.is_raised() && share > noise && served < before * (1.0 + step / 2.0);
        let refused = share - noise > step / 2.0;
        if pace.is_raised() && (in_vain || refused) {
            self.keep_to(now, Some(pace.met(0.0, false)));
        } else if refused {
            let lowered = pace.lowered(pace.per_second * (1.0 - share) / (1.0 - noise));
            self.before = Some(pace.clone());
            self.attempt(now, lowered, self.answers);
        } else {
            if !pace.is_raised() {
                self.noise = self.noise.and(self.answers);
            }
            self.keep_to(now, pace.raised());
        }
    }
}
