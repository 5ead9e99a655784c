//! The element-wise arithmetic: plain loops that LLVM vectorises, compiled once per instruction
//! set.
//!
//! `Arch::dispatch` picks SSE2, AVX2 or AVX-512 at run time. Whatever a kernel calls must be
//! inlined into it, or it would be compiled for SSE2 only: hence `inline(always)` below.
#![expect(clippy::inline_always, reason = "a kernel's parts must share its instruction set")]

use pulp::{Arch, Simd, WithSimd};

/// Numbers that one AVX-512 register holds; smaller ones take two or four registers per group.
pub(super) const LANES: usize = 16;

/// `x · Φ(x)`, the activation called gelu, with the true erf. Φ is the normal distribution's
/// cumulative function. In place, in any layout; models trained with the tanh approximation
/// (`gelu_new`) are rejected on opening.
pub(super) fn gelu(values: &mut [f32]) {
    Arch::new().dispatch(Gelu(values));
}

/// Turns each row of `step` numbers (a multiple of `LANES`), of which the first `valid` count, into
/// shares of 1.
///
/// Computed as `exp(x - max) / Σ exp(x - max)`, which cannot overflow. `valid` is at least 1; what
/// lies behind it is overwritten.
pub(super) fn softmax(rows: &mut [f32], step: usize, valid: usize) {
    Arch::new().dispatch(Softmax { rows, step, valid });
}

/// Gives each row mean 0 and variance 1, then scales and shifts it by `weight` and `bias`.
///
/// A row is as long as `weight` and `bias`. As in torch, the variance divides by the row's length,
/// not by one less.
pub(super) fn layer_norm(rows: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    Arch::new().dispatch(LayerNorm { rows, weight, bias, epsilon });
}

// Structs rather than closures: a closure's body cannot be forced inline.

struct Gelu<'a>(&'a mut [f32]);

struct Softmax<'a> {
    rows: &'a mut [f32],
    step: usize,
    valid: usize,
}

struct LayerNorm<'a> {
    rows: &'a mut [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
}

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = 0.5 * *value * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact_mut(self.step) {
            softmax_row(row, self.valid);
        }
    }
}

impl WithSimd for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact_mut(self.weight.len()) {
            norm_row(row, self.weight, self.bias, self.epsilon);
        }
    }
}

#[inline(always)]
fn norm_row(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let (mean, scale) = spread(row, epsilon);
    for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *value = (*value - mean) * scale * weight + bias;
    }
}

#[inline(always)]
fn softmax_row(row: &mut [f32], valid: usize) {
    // the tail becomes exp(-87), nothing, so that the loops see whole groups of lanes
    if let Some(tail) = row.get_mut(valid..) {
        tail.fill(f32::NEG_INFINITY);
    }
    let top = fold(row, f32::NEG_INFINITY, |x| x, larger);
    for value in row.iter_mut() {
        *value = exp(*value - top);
    }
    let share = 1.0 / fold(row, 0.0, |x| x, |a, b| a + b);
    for value in row {
        *value *= share;
    }
}

/// Mean, and one over the standard deviation. Two passes: the difference of mean square and squared
/// mean would cancel in f32.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "a row has at most some thousand numbers")]
fn spread(row: &[f32], epsilon: f32) -> (f32, f32) {
    let share = 1.0 / row.len() as f32;
    let mean = fold(row, 0.0, |x| x, |a, b| a + b) * share;
    let squares = fold(row, 0.0, |x| (x - mean) * (x - mean), |a, b| a + b);
    (mean, 1.0 / (squares * share + epsilon).sqrt())
}

/// Joins the terms of all values, `LANES` at a time: in a single chain, each addition would wait
/// for the one before. The order of a sum thus differs from torch's, in the last digits only.
#[inline(always)]
fn fold(
    values: &[f32],
    start: f32,
    term: impl Fn(f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let (groups, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for group in groups {
        for (lane, value) in lanes.iter_mut().zip(group) {
            *lane = join(*lane, term(*value));
        }
    }
    let total = lanes.into_iter().fold(start, &join);
    rest.iter().fold(total, |total, value| join(total, term(*value)))
}

/// `f32::max` without its NaN handling, which costs two more instructions. If a number is NaN,
/// the result is `b`.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Horner's scheme; the coefficient of the highest power comes first.
#[inline(always)]
fn polynomial(x: f32, coefficients: &[f32]) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// Eigen's rational approximation, within 3e-7; beyond ±4 the result is ±1 in f32.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = smaller(larger(x, -4.0), 4.0);
    let square = x * x;
    x * polynomial(square, &ERF_ABOVE) / polynomial(square, &ERF_BELOW)
}

/// e^x for x <= 0: 2^n of the nearest whole n, times a polynomial of the remainder (Cephes).
/// Clamped at -87, because 2^n must be a normal number: n goes straight into its exponent.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = larger(x, -87.0);
    // adding 1.5 * 2^23 leaves the rounded n in the lowest bits
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let rest = x - n * LN_2_HIGH - n * LN_2_LOW;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (polynomial(rest, &EXP) * rest * rest + rest + 1.0) * power
}

/// 1.5 · 2^23: near it, f32 numbers are 1 apart.
const ROUNDER: f32 = 12_582_912.0;
/// 355 / 512, the upper bits of ln 2: its product with n is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
/// ln 2 minus `LN_2_HIGH`.
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// For (e^r - 1 - r) / r², with r up to ln 2 / 2 on either side of 0; from Cephes' `expf`.
const EXP: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];

/// Numerator over x, in powers of x²; from Eigen.
const ERF_ABOVE: [f32; 7] = [
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506_3e-5,
    -7.349_906_4e-4,
    -2.954_6e-3,
    -1.609_603_3e-2,
];

/// Denominator, likewise.
const ERF_BELOW: [f32; 5] =
    [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_is_right_to_six_digits() {
        let known = [(0.0, 0.0), (0.1, 0.112_462_92), (0.5, 0.520_499_9), (1.0, 0.842_700_8)];
        let known = known.into_iter().chain([(2.0, 0.995_322_3), (3.5, 0.999_999_3), (9.0, 1.0)]);
        for (x, value) in known {
            assert!((erf(x) - value).abs() < 5e-7 && (erf(-x) + value).abs() < 5e-7, "erf({x})");
        }
    }

    #[test]
    fn exp_is_right_to_six_digits() {
        for x in (0..870_u16).map(|n| -0.1 * f32::from(n)) {
            assert!((exp(x) / x.exp() - 1.0).abs() < 5e-7, "exp({x})");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn softmax_shares_among_the_valid_numbers_only() {
        let mut rows = [7.0; 2 * LANES];
        rows[..3].copy_from_slice(&[-50.0, -50.0, -50.0 + 2.0_f32.ln()]);
        softmax(&mut rows, LANES, 3);
        for (share, right) in rows.iter().zip([0.25, 0.25, 0.5, 0.0]) {
            assert!((share - right).abs() < 1e-6, "{rows:?}");
        }
    }

    #[test]
    fn a_normed_row_has_mean_zero_and_variance_one() {
        let mut row: Vec<f32> = (0..21_u8).map(|n| 5.0 + f32::from(n)).collect();
        layer_norm(&mut row, &[1.0; 21], &[0.0; 21], 0.0);
        let squares: f32 = row.iter().map(|x| x * x).sum();
        assert!(row.iter().sum::<f32>().abs() < 1e-5 && (squares / 21.0 - 1.0).abs() < 1e-5);
    }
}
