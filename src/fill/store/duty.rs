//! Our share of the main thread.

use std::time::{Duration, Instant};

/// Keeps our share of the main thread at half while others use it.
#[derive(Debug, Default, Clone)]
pub(crate) struct DutyCycle {
    not_before: Option<Instant>,
}

impl DutyCycle {
    /// Notes a hold that has just ended; `contended` = other clients were served in the meantime.
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
    fn others_get_as_much_time_as_we_took() {
        let (mut duty, now) = (DutyCycle::default(), Instant::now());
        duty.held(now, BUDGET, true);
        assert_eq!(duty.wait_until(now), Some(now + BUDGET));
        assert_eq!(duty.wait_until(now + BUDGET), None);
        duty.held(now, BUDGET, false);
        assert_eq!(duty.wait_until(now), None);
    }
}
