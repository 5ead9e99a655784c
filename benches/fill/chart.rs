//! Bar charts as SVG.

use std::fmt::Write as _;

use crate::stats::{Samples, number};

const WIDTH: f64 = 880.0;
const LABELS: f64 = 400.0;
const VALUES: f64 = 90.0;
const BAR: f64 = 20.0;
const STEP: f64 = 28.0;
const TOP: f64 = 44.0;

/// How a value becomes a length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// For values that differ by more than the eye can compare.
    Logarithmic,
}

/// Bars under each other, each with the spread of its rounds.
pub struct Chart {
    pub title: String,
    unit: &'static str,
    scale: Scale,
    bars: Vec<(String, Samples)>,
}

impl Chart {
    pub fn new(title: impl Into<String>, unit: &'static str, scale: Scale) -> Self {
        Self { title: title.into(), unit, scale, bars: Vec::new() }
    }

    /// A bar; one that begins with `vectorfill` stands out.
    pub fn bar(&mut self, label: impl Into<String>, samples: &Samples) {
        if samples.median().is_finite() {
            self.bars.push((label.into(), samples.clone()));
        }
    }

    pub fn svg(&self) -> String {
        let height = TOP + STEP * self.bars.len() as f64 + 12.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"12\" y=\"24\" font-size=\"15\" fill=\"#222\">{}, {}{}</text>\n",
            escape(&self.title),
            self.unit,
            if self.scale == Scale::Logarithmic { " (logarithmic)" } else { "" },
        );
        for (at, (label, samples)) in self.bars.iter().enumerate() {
            self.draw(&mut svg, TOP + STEP * at as f64, label, samples);
        }
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String, y: f64, label: &str, samples: &Samples) {
        let colour = if label.starts_with("vectorfill") { "#2563a8" } else { "#a9b4c0" };
        let (middle, text) = (y + BAR / 2.0, y + BAR / 2.0 + 4.5);
        let end = LABELS + self.length(samples.median());
        let (low, high) = (self.length(samples.least()), self.length(samples.most()));
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\" fill=\"#222\">{}</text>\n\
             <rect x=\"{LABELS}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#222\"/>\n\
             <text x=\"{:.1}\" y=\"{text}\" fill=\"#222\">{}</text>",
            LABELS - 8.0,
            escape(label),
            end - LABELS,
            LABELS + low,
            LABELS + high,
            LABELS + high.max(end - LABELS) + 6.0,
            number(samples.median()),
        )
        .unwrap();
    }

    fn length(&self, value: f64) -> f64 {
        let most = self.bars.iter().map(|(_, samples)| samples.most()).fold(0.0, f64::max);
        let least = self.bars.iter().map(|(_, samples)| samples.least()).fold(most, f64::min);
        let share = match self.scale {
            Scale::Linear => value / most,
            // The shortest bar is still seen: the axis begins at half of it.
            Scale::Logarithmic => (value / (least / 2.0)).ln() / (most / (least / 2.0)).ln(),
        };
        share.clamp(0.0, 1.0) * (WIDTH - LABELS - VALUES)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
