//! Whether refusals are more than chance explains.

/// Chance is mistaken for a limit less than once in this many seconds.
const RARE: f64 = 6_000.0;
/// A limit that is looked for refuses twice as much as chance, but at least this share more.
const BEYOND: f64 = 0.05;
/// Logarithm of the odds that decide between two hypotheses: a hundred to one.
const ODDS: f64 = 4.6;
/// Number of successes in a trial, at least, before it is taken to have failed.
const TRIED: f64 = 20.0;
/// Shares are compared as if at least this share was refused.
const LEAST: f64 = 0.005;
/// A larger share is not believed to be chance.
const MOST: f64 = 0.25;
/// Refusals and answers that are enough to speak of chance.
const ENOUGH: (f64, f64) = (2.0, 20.0);
/// Older answers count less: as if there had been this many.
const REMEMBERED: f64 = 2_000.0;

/// How a comparison turns out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As many are refused as before.
    Same,
    Fewer,
    /// Neither, or more than is believed to be chance.
    Between,
    Unclear,
}

/// How large the odds have to be that something is no chance, at this many requests per second;
/// their logarithm.
fn certain(per_second: f64) -> f64 {
    (per_second.max(1.0) * RARE).ln()
}

/// Whether chance that refuses the share `noise` explains this many refusals in a row.
pub(super) fn is_run_explained(run: u32, noise: f64, per_second: f64) -> bool {
    noise > 0.0 && f64::from(run) * (1.0 / noise).ln() < certain(per_second)
}

/// Looks for the moment from which more is refused than chance explains (CUSUM).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    odds: f64,
    since: Answers,
}

impl Change {
    /// Whether nothing points to one.
    pub(super) fn is_none(self) -> bool {
        self.since.total() == 0.0
    }

    /// The answers since that moment.
    pub(super) fn answers(self) -> Answers {
        self.since
    }

    /// Whether this answer makes it certain.
    pub(super) fn observe(&mut self, good: bool, noise: f64, per_second: f64) -> bool {
        let few = noise.max(LEAST);
        let many = (2.0 * few).max(few + BEYOND);
        let odds = if good { (1.0 - many) / (1.0 - few) } else { many / few };
        self.odds += odds.ln();
        self.since.count(good);
        if self.odds <= 0.0 {
            *self = Self::default();
        }
        self.odds > certain(per_second)
    }
}

/// Numbers of answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answers {
    pub(super) good: f64,
    pub(super) bad: f64,
}

impl Answers {
    pub(super) fn count(&mut self, good: bool) {
        *if good { &mut self.good } else { &mut self.bad } += 1.0;
    }

    pub(super) fn total(self) -> f64 {
        self.good + self.bad
    }

    /// Share that was refused.
    pub(super) fn share(self) -> f64 {
        self.bad / self.total().max(1.0)
    }

    /// The share of refusals by chance, if these are such; 0 = not known.
    pub(super) fn noise(self) -> f64 {
        let enough = self.bad >= ENOUGH.0 && self.total() >= ENOUGH.1;
        if enough { self.share().min(MOST) } else { 0.0 }
    }

    /// These and others, the older ones with less weight.
    pub(super) fn and(self, others: Self) -> Self {
        let kept = (REMEMBERED / (self.total() + others.total())).min(1.0);
        Self { good: (self.good + others.good) * kept, bad: (self.bad + others.bad) * kept }
    }

    /// Whether these are enough to tell a limit exceeded by the share `step` from chance.
    pub(super) fn tell(self, noise: f64, step: f64) -> bool {
        self.total() >= (3.0 / step).max(9.0 * noise * (1.0 - noise) / (step * step))
    }

    /// Wald's sequential test: whether as large a share is refused as before, or only `noise`.
    pub(super) fn compare(self, noise: f64, before: Self) -> Verdict {
        let (few, many) = (noise.max(LEAST), before.share().max(noise + LEAST).max(LEAST * 2.0));
        let odds = self.good * ((1.0 - few) / (1.0 - many)).ln() + self.bad * (few / many).ln();
        let odds_needed = if self.tell(many, many - few) { 0.0 } else { ODDS };
        if odds > odds_needed {
            Verdict::Fewer
        } else if odds < -odds_needed && self.good >= TRIED {
            let sure = (many * (1.0 - many) / self.total()).sqrt();
            let same = (self.share() - many).abs() < sure * 1.5 && many <= MOST;
            if same { Verdict::Same } else { Verdict::Between }
        } else {
            Verdict::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One in `every` is refused.
    fn answers(total: u32, every: u32) -> Answers {
        let mut answers = Answers::default();
        (1..=total).for_each(|number| answers.count(number % every != 0));
        answers
    }

    #[test]
    fn chance_goes_on_at_a_lower_rate_and_a_limit_does_not() {
        let before = answers(100, 10);
        assert_eq!(answers(100, 10).compare(0.0, before), Verdict::Same);
        assert_eq!(answers(100, 1_000).compare(0.0, before), Verdict::Fewer);
        assert_eq!(answers(10, 1_000).compare(0.0, before), Verdict::Unclear);
    }

    #[test]
    fn a_larger_share_of_refusals_is_noticed_and_the_usual_one_is_not() {
        let noticed = |every: u32| {
            let mut change = Change::default();
            (1..=1_000).any(|number| change.observe(number % every != 0, 0.05, 10.0))
        };
        assert!(noticed(4) && !noticed(20));
    }

    #[test]
    fn the_more_is_refused_by_chance_the_longer_a_run_is_explained() {
        assert!(is_run_explained(2, 0.05, 1.0) && !is_run_explained(3, 0.05, 1.0));
        assert!(is_run_explained(3, 0.1, 1.0) && !is_run_explained(1, 0.0, 1.0));
    }
}
