//! What a service takes from one time that it refuses everything to the next.

use std::time::{Duration, Instant};

/// A service that asks for a pause of at least this length limits the rate.
const LONG: Duration = Duration::from_secs(5);
/// This many pauses in a row, without a success in between, are due to the rate: fewer requests at
/// once would have helped before. The second number applies while a rate is kept to.
const ROW: (u32, u32) = (4, 3);
/// Number of successes needed to learn a rate, unless they took the time that limits are about.
pub(super) const ENOUGH: f64 = 10.0;
/// The time that most limits are about.
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// From the first success after a refusal to the first one after the next refusal.
#[derive(Debug)]
pub(super) struct Cycle {
    since: Instant,
    taken: f64,
    /// When the refusals that end it began.
    refused: Option<Instant>,
    /// Pauses since the last success.
    row: u32,
    /// The service asked for a long one.
    long: bool,
}

impl Cycle {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, taken: 0.0, refused: None, row: 0, long: false }
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether it lasts long enough to have met any limit.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        now >= self.since + MINUTE
    }

    pub(super) fn took(&mut self) {
        self.taken += 1.0;
    }

    /// Refused, and a pause follows; `certain` = not by chance.
    pub(super) fn refused(&mut self, now: Instant, wait: Option<Duration>, certain: bool) {
        self.refused.get_or_insert(now);
        self.row += if certain { ROW.1 } else { 1 };
        self.long |= wait.is_some_and(|wait| wait >= LONG);
    }

    /// The service has said that it is about the rate.
    pub(super) fn used_up(&mut self) {
        self.long = true;
    }

    /// The refusals were not about the rate.
    pub(super) fn go_on(&mut self) {
        (self.refused, self.row) = (None, 0);
    }

    /// What was taken per second, if the refusals are about the rate; `known` = one is kept to.
    pub(super) fn rate(&self, now: Instant, known: bool) -> Option<f64> {
        let row = if known { ROW.1 } else { ROW.0 };
        let refused = self.refused.filter(|_| self.long || self.row >= row)?;
        let whole = now.duration_since(self.since);
        // Our own pause may have been too long.
        let most = refused.duration_since(self.since).max(MINUTE);
        let span = if self.long { whole } else { whole.min(most) };
        let enough = self.taken >= ENOUGH || (whole >= MINUTE && !known);
        enough.then(|| self.taken / span.as_secs_f64().max(0.1))
    }
}
