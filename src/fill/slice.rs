//! How many rows one write may hold, and when the next write may begin.

use std::time::{Duration, Instant};

/// A first guess for rows nobody has measured yet.
const FIRST_ROWS: usize = 4;
/// Beyond this many the engine's own bookkeeping for one query grows faster than the rows.
const MOST_ROWS: usize = 64;
/// Share of the budget that is planned for; the rest is for rows that cost more than the last.
const PLANNED: f64 = 0.8;

/// Sizes the writes of one graph by what the last ones took.
#[derive(Debug, Clone)]
pub(crate) struct Slicer {
    rows: usize,
    cost: Option<f64>,
}

impl Default for Slicer {
    fn default() -> Self {
        Self { rows: FIRST_ROWS, cost: None }
    }
}

impl Slicer {
    /// Rows of the next write.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Learns from a hold of the server that wrote `rows` rows.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "at most 64 rows, and a float-to-integer cast saturates"
    )]
    pub(crate) fn learn(&mut self, rows: usize, held: Duration, budget: Duration) {
        if rows == 0 {
            return;
        }
        let measured = held.as_secs_f64() / rows as f64;
        // A dear row is believed at once, a cheap one slowly: the budget is a promise.
        let cost = self.cost.map_or(measured, |cost| measured.max(cost * 0.75 + measured * 0.25));
        self.cost = Some(cost);
        let fitting = budget.as_secs_f64() * PLANNED / cost.max(1e-9);
        self.rows = (fitting as usize).clamp(1, (self.rows * 2).min(MOST_ROWS));
    }

    /// After a write the engine's TIMEOUT ended.
    pub(crate) fn halve(&mut self) {
        self.rows = (self.rows / 2).max(1);
    }
}

/// Keeps our share of the main thread at half while others use it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Duty {
    not_before: Option<Instant>,
}

impl Duty {
    /// Notes a hold that has just ended; `contended` = other clients were served meanwhile.
    pub(crate) fn held(&mut self, now: Instant, held: Duration, contended: bool) {
        self.not_before = contended.then(|| now + held);
    }

    /// When the next hold may begin; `None` = at once.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_millis(5);

    #[test]
    fn slices_grow_towards_the_budget_and_not_beyond() {
        let mut slicer = Slicer::default();
        for _ in 0..20 {
            let rows = u32::try_from(slicer.rows()).unwrap();
            slicer.learn(slicer.rows(), Duration::from_micros(400) * rows, BUDGET);
        }
        assert_eq!(slicer.rows(), 10);
    }

    #[test]
    fn a_hold_over_the_budget_shrinks_the_next_at_once() {
        let mut slicer = Slicer { rows: 50, cost: Some(0.000_1) };
        slicer.learn(50, BUDGET * 10, BUDGET);
        assert_eq!(slicer.rows(), 4);
        slicer.learn(1, Duration::from_secs(1), BUDGET);
        assert_eq!(slicer.rows(), 1);
    }

    #[test]
    fn others_get_as_much_time_as_we_took() {
        let (mut duty, now) = (Duty::default(), Instant::now());
        duty.held(now, BUDGET, true);
        assert_eq!(duty.wait_until(now), Some(now + BUDGET));
        assert_eq!(duty.wait_until(now + BUDGET), None);
        duty.held(now, BUDGET, false);
        assert_eq!(duty.wait_until(now), None);
    }
}
