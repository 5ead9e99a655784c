//! Pauses that grow while something goes wrong.

use std::time::Duration;

/// More doublings than any pause here needs to reach its limit.
const MOST_DOUBLINGS: u32 = 16;

/// `first`, doubled so many times, and no longer than `most`.
pub(crate) fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(MOST_DOUBLINGS)).min(most)
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
