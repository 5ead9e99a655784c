//! Medians, spreads, and how numbers are written.

use std::time::Duration;

/// The same figure, measured in several rounds.
#[derive(Default, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn median(&self) -> f64 {
        // The lower of two in the middle: no figure that was not measured.
        self.0.get(self.0.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    pub fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The median, and where half of many rounds lie: the outermost say little of them.
    pub fn show_half(&self) -> String {
        let at = |part: usize| self.0.get(self.0.len() * part / 4).copied().unwrap_or(f64::NAN);
        format!("{} ({}–{})", number(self.median()), number(at(1)), number(at(3)))
    }

    /// The median, and from where to where the rounds went.
    pub fn show(&self) -> String {
        match self.0.len() {
            0 => "–".to_owned(),
            1 => number(self.median()),
            _ => format!(
                "{} ({}–{})",
                number(self.median()),
                number(self.least()),
                number(self.most())
            ),
        }
    }
}

/// The value that so many thousandths of all are not above.
pub fn quantile(sorted: &[Duration], thousandths: usize) -> Duration {
    let at = (sorted.len() * thousandths).div_ceil(1_000).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Three digits that count, and no fraction from a hundred on.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    let fraction = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else if value.abs() >= 0.1 {
        2
    } else {
        3
    };
    let text = format!("{value:.fraction$}");
    let whole = text.split('.').next().unwrap_or_default().len();
    let mut grouped = String::new();
    for (at, digit) in text.char_indices() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

pub fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "–".to_owned() }
}
