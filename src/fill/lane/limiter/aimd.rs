//! How many requests may be in flight: additive increase, multiplicative decrease.
//!
//! Every success widens the window by a fraction, a refusal halves it. Near a width that was
//! refused before it grows carefully, so that few requests are spent on finding out the same thing
//! again.

/// Factor by which the window grows more slowly once it is as wide as one that was refused.
const CAREFUL: f64 = 0.01;

/// The window.
#[derive(Debug)]
pub(crate) struct Aimd {
    width: f64,
    max: f64,
    /// How wide it was at the last refusal.
    refused: f64,
}

impl Aimd {
    /// A window that starts at its maximum: a service that can take that much need not wait for it.
    pub(crate) fn new(max: usize) -> Self {
        let max = u32::try_from(max.max(1)).map_or(f64::from(u32::MAX), f64::from);
        Self { width: max, max, refused: f64::INFINITY }
    }

    /// Number of requests that may be in flight.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the setting `concurrency`"
    )]
    pub(crate) fn width(&self) -> usize {
        self.width as usize
    }

    /// Widens the window after a success.
    pub(crate) fn widen(&mut self) {
        if self.width > self.refused + 1.0 {
            self.refused = f64::INFINITY;
        }
        let wide = self.width.floor() + 1.0 >= self.refused;
        let step = if wide { CAREFUL } else { 1.0 } / self.width;
        self.width = (self.width + step).min(self.max);
    }

    /// Caps the window at this width, as more are refused. From there on it grows carefully.
    pub(super) fn cap(&mut self, width: usize) {
        let width = u32::try_from(width.max(1)).map_or(self.max, f64::from);
        if width < self.width {
            self.refused = width + 1.0;
            self.width = width;
        }
    }

    /// Narrows the window to one request at a time.
    pub(super) fn narrow(&mut self) {
        self.width = 1.0;
    }

    /// Restores the window to its maximum.
    pub(super) fn restore(&mut self) {
        (self.width, self.refused) = (self.max, f64::INFINITY);
    }

    /// Halves the window after a refusal.
    pub(crate) fn halve(&mut self) {
        self.refused = self.width.floor();
        self.width = (self.width / 2.0).max(1.0);
    }
}
