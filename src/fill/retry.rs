//! Pauses between two attempts.

use std::time::Duration;

use crate::fill::port::fault::StoreFault;

/// More doublings than any pause here needs to reach its limit.
const MAX_DOUBLINGS: u32 = 16;

/// `first`, doubled `times` times, capped at `max`.
pub(crate) fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << times.min(MAX_DOUBLINGS)).min(max)
}

/// Pauses between two attempts at the store: the more failures, the longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StorePause {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
}

impl StorePause {
    /// The pause for this fault.
    pub(crate) fn after(fault: &StoreFault) -> Self {
        let first = Duration::from_millis(4);
        let max = if *fault == StoreFault::Readers {
            // A gap between two readers is short, and checking for one costs a tenth of a
            // millisecond.
            Duration::from_millis(20)
        } else if *fault == StoreFault::Begun {
            // A query that has just begun is soon over, or turns out to be a long one.
            first
        } else {
            Duration::from_millis(500)
        };
        Self { first, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_limit() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(30));
        let pauses = [0, 1, 3, 9, u32::MAX].map(|times| doubled(first, times, most).as_millis());
        assert_eq!(pauses, [100, 200, 800, 30_000, 30_000]);
    }
}
