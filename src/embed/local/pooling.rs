//! Pooling: turns the rows of a text's tokens into one vector.
//!
//! Special tokens count like any other, as in sentence-transformers. No mask is needed, since texts
//! are never padded.

use crate::embed::local::error::Error;

/// The smallest divisor in torch's `normalize`.
const SMALLEST_NORM: f32 = 1e-12;

/// How rows are combined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    /// The mean of all rows.
    Mean,
    /// The first row. It belongs to the token that the tokenizer puts before a text, `[CLS]` in
    /// BERT.
    Cls,
    /// The maximum of each column.
    Max,
}

/// The pooling step of a model.
#[derive(Debug)]
pub(super) struct Pooling {
    /// How rows are combined.
    pub(super) mode: Mode,
    /// Whether the vector is scaled to length 1. Then the dot product of two vectors is their
    /// cosine.
    pub(super) normalize: bool,
}

impl Mode {
    /// All names, for error messages.
    pub(super) const NAMES: &'static str = "mean, cls, max";

    /// The mode with this name in the pooling's config.json. `None` for those that
    /// sentence-transformers knows and we do not, such as `weightedmean`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "mean" => Some(Self::Mean),
            "cls" => Some(Self::Cls),
            "max" => Some(Self::Max),
            _ => None,
        }
    }
}

impl Pooling {
    /// The vector of one text. `rows` holds its token rows, at least one, each `width` long.
    ///
    /// The vector has `width` numbers. `Error::NotFinite` if one of them is NaN or infinite: an
    /// index must never get such a vector. `Error::Shape` without rows.
    pub(super) fn vector(&self, rows: &[f32], width: usize) -> Result<Vec<f32>, Error> {
        let mut rows = rows.chunks_exact(width);
        let first = rows.next().ok_or(Error::Shape { what: "a text without tokens" })?;
        let mut vector = match self.mode {
            Mode::Cls => first.to_vec(),
            Mode::Max => fold(first, rows, f32::max),
            Mode::Mean => mean(first, rows),
        };
        if self.normalize {
            normalize(&mut vector);
        }
        let finite = vector.iter().all(|value| value.is_finite());
        finite.then_some(vector).ok_or(Error::NotFinite)
    }
}

/// Joins the rows column by column; reads memory in order, which a loop over columns would not.
fn fold<'a>(
    first: &[f32],
    rows: impl Iterator<Item = &'a [f32]>,
    join: fn(f32, f32) -> f32,
) -> Vec<f32> {
    rows.fold(first.to_vec(), |mut all, row| {
        all.iter_mut().zip(row).for_each(|(a, b)| *a = join(*a, *b));
        all
    })
}

#[expect(clippy::cast_precision_loss, reason = "a text has at most some thousand tokens")]
fn mean<'a>(first: &[f32], rows: impl ExactSizeIterator<Item = &'a [f32]>) -> Vec<f32> {
    let share = 1.0 / (rows.len() + 1) as f32;
    let mut vector = fold(first, rows, |a, b| a + b);
    for value in &mut vector {
        *value *= share;
    }
    vector
}

/// Scales to Euclidean length 1; a vector of zeros stays as it is.
fn normalize(vector: &mut [f32]) {
    let squares: f32 = vector.iter().map(|value| value * value).sum();
    let norm = squares.sqrt().max(SMALLEST_NORM);
    for value in vector {
        *value /= norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [f32; 6] = [1.0, -2.0, 3.0, 4.0, 5.0, -8.0];

    fn pooled(mode: Mode) -> Vec<f32> {
        Pooling { mode, normalize: false }.vector(&ROWS, 2).unwrap()
    }

    #[test]
    fn each_mode_joins_the_rows_in_its_way() {
        assert_eq!(pooled(Mode::Mean), [3.0, -2.0]);
        assert_eq!(pooled(Mode::Cls), [1.0, -2.0]);
        assert_eq!(pooled(Mode::Max), [5.0, 4.0]);
    }

    #[test]
    fn a_normalized_vector_has_length_one() {
        let vector = Pooling { mode: Mode::Cls, normalize: true }.vector(&[3.0, 4.0], 2).unwrap();
        assert_eq!(vector, [0.6, 0.8]);
    }

    #[test]
    fn nan_never_leaves_as_a_vector() {
        let result = Pooling { mode: Mode::Mean, normalize: true }.vector(&[f32::NAN, 1.0], 2);
        assert!(matches!(result, Err(Error::NotFinite)));
    }
}
