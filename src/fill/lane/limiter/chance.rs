//! Whether refusals depend on chance, on how many requests are in flight, or on the rate.
//!
//! A service whose limit is reached refuses everything in flight together; one that is overloaded,
//! or shares its quota with others, refuses one request and answers the next. And one with a
//! concurrency limit refuses the requests above that number and no others. So two things are
//! counted: how the requests in flight beside a refused one fare, and how requests fare by the
//! number in flight when they were sent.

use crate::fill::port::id::Wave;

/// Weight an answer keeps with each further answer.
const KEPT: f64 = 0.99;
/// Minimum weight of evidence about the requests beside refused ones.
const ENOUGH: f64 = 3.0;
/// Share of them that succeeds if refusals come by chance.
const CHANCE: f64 = 0.6;
/// Share of refusals at and above a number of requests in flight that makes the number a limit.
const LIMIT: f64 = 0.6;
/// More than the requests that can be in flight.
const LEVELS: usize = 72;

#[derive(Debug, Default, Clone, Copy)]
struct Share {
    good: f64,
    bad: f64,
}

impl Share {
    fn count(&mut self, good: bool) {
        *if good { &mut self.good } else { &mut self.bad } += 1.0;
    }

    fn fade(&mut self) {
        self.good *= KEPT;
        self.bad *= KEPT;
    }
}

/// How requests have fared.
#[derive(Debug)]
pub(super) struct Chance {
    /// By the number of requests in flight, including the request itself.
    levels: Vec<Share>,
    /// Requests that were in flight when another was refused.
    beside: Share,
    /// Refusals since the last success.
    run: u32,
    /// The wave of the last refused request, and the wave being sent when it was refused.
    refused: Option<(Wave, Wave)>,
}

impl Default for Chance {
    fn default() -> Self {
        Self {
            levels: vec![Share::default(); LEVELS],
            beside: Share::default(),
            run: 0,
            refused: None,
        }
    }
}

impl Chance {
    /// A request of this wave, sent as the `level`th in flight, was answered.
    pub(super) fn observe(&mut self, sent: Wave, level: usize, good: bool) {
        self.run = if good { 0 } else { self.run.saturating_add(1) };
        self.levels.iter_mut().for_each(Share::fade);
        if let Some(share) = self.levels.get_mut(level.min(LEVELS - 1)) {
            share.count(good);
        }
        if self.refused.is_some_and(|(first, last)| first <= sent && sent <= last) {
            self.beside.fade();
            self.beside.count(good);
        }
    }

    /// A request of this wave was refused while the wave `now` is being sent.
    pub(super) fn refuse(&mut self, sent: Wave, now: Wave) {
        self.refused = Some((sent, now));
    }

    /// Number of requests refused since the last success.
    pub(super) fn run(&self) -> u32 {
        self.run
    }

    /// Whether refusals come by chance.
    pub(super) fn is_chance(&self) -> bool {
        let Share { good, bad } = self.beside;
        good + bad >= ENOUGH && good >= CHANCE * (good + bad)
    }

    /// Whether a request sent as the `level`th in flight is mostly refused, and those below are
    /// not.
    pub(super) fn is_limit(&self, level: usize) -> bool {
        let share = |levels: &[Share]| {
            let (good, bad) =
                levels.iter().fold((0.0, 0.0), |(g, b), share| (g + share.good, b + share.bad));
            if good + bad > 0.0 { bad / (good + bad) } else { 0.0 }
        };
        let (below, above) = self.levels.split_at(level.min(LEVELS));
        level > 1 && share(above) >= LIMIT && share(below) < LIMIT / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waves of eight requests; `good` tells how the `nth` of a wave fares.
    fn waves(good: impl Fn(usize, usize) -> bool) -> Chance {
        let (mut chance, mut wave) = (Chance::default(), Wave::default());
        for number in 0..40 {
            wave = wave.next();
            for level in 1..=8 {
                let good = good(number, level);
                chance.observe(wave, level, good);
                if !good {
                    chance.refuse(wave, wave);
                }
            }
        }
        chance
    }

    #[test]
    fn one_refusal_in_a_wave_is_chance() {
        let chance = waves(|wave, level| (wave * 8 + level) % 10 != 0);
        assert!(chance.is_chance());
        assert!((2..=8).all(|level| !chance.is_limit(level)));
    }

    #[test]
    fn a_wave_that_is_refused_is_no_chance() {
        let chance = waves(|wave, _| wave % 4 != 0);
        assert!(!chance.is_chance());
    }

    #[test]
    fn what_is_refused_above_a_number_is_a_limit() {
        let chance = waves(|_, level| level <= 7);
        assert!(chance.is_limit(8) && !chance.is_limit(7));
    }
}
