//! How many rows one write may hold, and when the next write may begin.

use std::collections::VecDeque;
use std::time::Duration;

/// Initial size before anything has been measured: a row of 1,536 dimensions. The first write to a
/// graph is expensive: the engine plans its queries and adds the property.
const FIRST_BYTES: usize = 16 * 1024;
/// Beyond this many rows, the engine's own bookkeeping per query grows faster than the rows.
const MAX_ROWS: usize = 64;
/// Share of the budget that is planned; the rest is for rows that cost more than the last ones.
const PLANNED: f64 = 0.8;

/// Sizes the writes to one graph by how long the last ones took. It counts bytes of query text:
/// parsing them is most of a query's cost, and a long text weighs as much as a vector. For a write
/// that sends vectors as effects, they are a usable measure too.
#[derive(Debug, Clone)]
pub(crate) struct WriteSizer {
    rows: usize,
    bytes: usize,
    cost: Option<f64>,
}

impl Default for WriteSizer {
    fn default() -> Self {
        Self { rows: MAX_ROWS, bytes: FIRST_BYTES, cost: None }
    }
}

impl WriteSizer {
    /// Takes the next slice off the front of `queue`: at least one item, if there is one.
    pub(crate) fn take<T>(
        &self,
        queue: &mut VecDeque<T>,
        bytes_of: impl Fn(&T) -> usize,
    ) -> Vec<T> {
        let mut slice = Vec::new();
        let mut bytes = 0;
        while let Some(item) = queue.front() {
            bytes += bytes_of(item);
            if !slice.is_empty() && (slice.len() >= self.rows || bytes > self.bytes) {
                break;
            }
            slice.extend(queue.pop_front());
        }
        slice
    }

    /// Learns from a hold of the server for a query of this many bytes.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "megabytes at most, and a float-to-integer cast saturates"
    )]
    pub(crate) fn observe(&mut self, bytes: usize, held: Duration, budget: Duration) {
        let measured = held.as_secs_f64() / bytes.max(1) as f64;
        // An expensive slice counts at once, a cheap one gradually: the budget is a promise.
        let cost = self.cost.map_or(measured, |cost| measured.max(cost * 0.75 + measured * 0.25));
        self.cost = Some(cost);
        let fitting = (budget.as_secs_f64() * PLANNED / cost.max(1e-12)) as usize;
        self.bytes = fitting.clamp(1, self.bytes.saturating_mul(2));
        self.rows = (self.rows * 2).min(MAX_ROWS);
    }

    /// After a write ended by the engine's TIMEOUT.
    pub(crate) fn halve(&mut self) {
        self.rows = (self.rows / 2).max(1);
        self.bytes = (self.bytes / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_millis(5);

    fn next(sizer: &WriteSizer, bytes: &[usize]) -> usize {
        sizer.take(&mut bytes.iter().copied().collect(), |bytes| *bytes).len()
    }

    #[test]
    fn slices_grow_towards_the_budget_and_not_beyond() {
        let (mut sizer, queue) = (WriteSizer::default(), [20_000; 100]);
        for _ in 0..20 {
            let rows = next(&sizer, &queue);
            sizer.observe(
                rows * 20_000,
                Duration::from_micros(400) * u32::try_from(rows).unwrap(),
                BUDGET,
            );
        }
        assert_eq!(next(&sizer, &queue), 10);
    }

    #[test]
    fn a_hold_over_the_budget_shrinks_the_next_at_once() {
        let mut sizer = WriteSizer::default();
        sizer.observe(80_000, BUDGET * 10, BUDGET);
        assert_eq!(next(&sizer, &[1_000; 100]), 6);
        sizer.observe(1_000, Duration::from_secs(1), BUDGET);
        assert_eq!(next(&sizer, &[1_000; 100]), 1, "never none");
    }

    #[test]
    fn a_long_text_makes_a_slice_short() {
        assert_eq!(next(&WriteSizer::default(), &[1_000, 1_000, 500_000, 1_000]), 2);
    }
}
