//! Whether more requests are refused than chance explains.

use std::time::Instant;

/// Standard deviations above the usual share of refusals that are no chance any more.
const SIGMAS: f64 = 3.5;
/// Number of answers that the share of random refusals is taken to be known from.
const NOISE_SAMPLE: f64 = 500.0;

/// Answers since the rate last changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) since: Option<Instant>,
    pub(super) good: f64,
    pub(super) refused: f64,
}

impl Count {
    /// The share refused beyond the share `noise`, if that is too much for chance.
    pub(super) fn excess(&self, noise: f64) -> Option<f64> {
        let all = self.good + self.refused;
        let expected = noise * all;
        let unsure = (expected * (1.0 + all / NOISE_SAMPLE)).sqrt();
        (self.refused > expected + SIGMAS * unsure + 2.0).then(|| self.refused / all - noise)
    }
}
