//! The first rows of the network: a row for the token plus a row for its position.
//!
//! A lookup and a sum per token: beside the layers, this costs hardly anything.

use crate::embed::local::architecture::Kind;
use crate::embed::local::config::Config;
use crate::embed::local::error::Error;
use crate::embed::local::norm::Norm;
use crate::embed::local::tensor_names::{EMBEDDING_NORM, POSITIONS, TOKEN_TYPES, WORD_EMBEDDINGS};
use crate::embed::local::tensors::Tensors;

/// The padding token of `MPNet`, fixed in its library too. Positions are counted from the number
/// after it.
pub(super) const PADDING: u32 = 1;

/// The word and position tables, and the norm after them.
pub(super) struct Embedding {
    /// `[vocabulary × width]`, row-major.
    words: Vec<f32>,
    /// For BERT, the row of token type 0, the only type in a single text, is already added in.
    /// The shape is `[positions × width]`.
    positions: Vec<f32>,
    norm: Norm,
    width: usize,
    kind: Kind,
}

impl Embedding {
    /// Reads the tables. `Error::Value` if one is missing or its shape is not the one in
    /// config.json.
    pub(super) fn open(tensors: &Tensors, config: &Config) -> Result<Self, Error> {
        let width = config.hidden;
        let words = tensors.values(WORD_EMBEDDINGS, &[config.vocabulary, width])?;
        let mut positions = tensors.values(POSITIONS, &[config.positions, width])?;
        if let Kind::Bert { token_types } = config.kind {
            let types = tensors.values(TOKEN_TYPES, &[token_types, width])?;
            positions.chunks_exact_mut(width).for_each(|row| add(row, &types));
        }
        let norm = Norm::open(tensors, EMBEDDING_NORM, width, config.epsilon)?;
        Ok(Self { words, positions, norm, width, kind: config.kind })
    }

    /// Appends the rows of one text; fails on an id beyond a table.
    ///
    /// Adds `[ids × width]` numbers, normalised row by row, as both architectures do before their
    /// first layer. After an `Error::Text`, `rows` ends with a part of the text.
    pub(super) fn append(&self, ids: &[u32], rows: &mut Vec<f32>) -> Result<(), Error> {
        let begin = rows.len();
        for (id, position) in ids.iter().zip(positions(self.kind, ids)) {
            let (word, position) =
                (row(&self.words, *id, self.width)?, row(&self.positions, position, self.width)?);
            rows.extend(word.iter().zip(position).map(|(word, position)| word + position));
        }
        self.norm.apply(rows.get_mut(begin..).unwrap_or_default());
        Ok(())
    }
}

fn add(row: &mut [f32], other: &[f32]) {
    row.iter_mut().zip(other).for_each(|(value, other)| *value += other);
}

/// One row of a table; an index beyond it means that the tokenizer does not belong to the weights.
fn row(table: &[f32], index: u32, width: usize) -> Result<&[f32], Error> {
    let begin = index as usize * width;
    table.get(begin..begin + width).ok_or_else(|| Error::Text {
        reason: format!("the model has no row {index} (it has {})", table.len() / width),
    })
}

/// BERT counts from 0; `MPNet` from 2, and a padding token spelled out in a text does not count.
fn positions(kind: Kind, ids: &[u32]) -> impl Iterator<Item = u32> {
    let mut next = match kind {
        Kind::Bert { .. } => 0,
        Kind::MpNet => PADDING + 1,
    };
    ids.iter().map(move |id| {
        if kind == Kind::MpNet && *id == PADDING {
            return PADDING;
        }
        next += 1;
        next - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bert_counts_every_token_from_zero() {
        let kind = Kind::Bert { token_types: 2 };
        assert_eq!(positions(kind, &[101, 0, 1, 102]).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn mpnet_counts_from_two_and_leaves_padding_out() {
        assert_eq!(positions(Kind::MpNet, &[0, 9, 1, 2]).collect::<Vec<_>>(), [2, 3, 1, 4]);
    }
}
