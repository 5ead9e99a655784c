//! Self-attention of one text: every token's row becomes a mixture of all rows, head by head.
//!
//! Per head, as in "Attention Is All You Need": `softmax(Q · Kᵀ / √width [+ bias]) · V`. Time and
//! scratch space grow with the square of a text's tokens.
//!
//! The rows of `scores` are padded to whole groups of `LANES`, which lets softmax run without a
//! remainder. Products never read the padding.

use crate::embed::local::architecture::Kind;
use crate::embed::local::config::Config;
use crate::embed::local::error::Error;
use crate::embed::local::kernels;
use crate::embed::local::kernels::LANES;
use crate::embed::local::matmul::{Before, View, ViewMut};
use crate::embed::local::position_bias::Distances;
use crate::embed::local::tensors::Tensors;

/// Multi-head attention; it has no weights but `MPNet`'s distance biases.
pub(super) struct Attention {
    heads: usize,
    /// Numbers of a row that belong to one head.
    width: usize,
    /// `None` for BERT, whose positions are in the first rows only.
    distances: Option<Distances>,
}

impl Attention {
    /// Reads the distance biases, where the architecture has them.
    pub(super) fn open(tensors: &Tensors, config: &Config) -> Result<Self, Error> {
        let distances = match config.kind {
            Kind::Bert { .. } => None,
            Kind::MpNet => Some(Distances::open(tensors, config)?),
        };
        Ok(Self { heads: config.heads, width: config.hidden / config.heads, distances })
    }

    /// `qkv` holds a row of queries, keys and values for each token of the text, `mixed` gets the
    /// mixtures, one row per token; `scores` is scratch space.
    ///
    /// Shapes: `qkv` is `[tokens × 3 · hidden]`, `mixed` is `[tokens × hidden]`, with at least one
    /// token. `scores` holds one head at a time, `[tokens × step]`. There is no mask: without
    /// padding, every token may look at every other.
    pub(super) fn mix(
        &self,
        qkv: &[f32],
        mixed: &mut [f32],
        scores: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let tokens = mixed.len() / (self.heads * self.width);
        let step = tokens.next_multiple_of(LANES);
        scores.resize(tokens * step, 0.0);
        for head in 0..self.heads {
            self.score(head, qkv, scores, step)?;
            kernels::softmax(scores, step, tokens);
            self.blend(head, qkv, scores, mixed)?;
        }
        Ok(())
    }

    /// How much each token, a row, looks at each other token. Writes `[tokens × tokens]` of
    /// `scores`. The biases are written first and the product is added to them, so that they cost
    /// no further pass.
    fn score(
        &self,
        head: usize,
        qkv: &[f32],
        scores: &mut [f32],
        step: usize,
    ) -> Result<(), Error> {
        let queries = self.part(qkv, head)?;
        let keys = self.part(qkv, self.heads + head)?.transposed();
        let tokens = qkv.len() / self.row();
        let mut before = Before::Overwrite;
        if let Some(distances) = &self.distances {
            distances.write(head, tokens, scores, step);
            before = Before::Add;
        }
        let out = ViewMut::new(scores, tokens, tokens, step)?;
        out.multiply(before, self.scale(), &queries, &keys)
    }

    /// Multiplies the shares by the head's values. The result goes to the head's columns of
    /// `mixed`, so that heads need not be joined afterwards.
    fn blend(
        &self,
        head: usize,
        qkv: &[f32],
        scores: &[f32],
        mixed: &mut [f32],
    ) -> Result<(), Error> {
        let values = self.part(qkv, 2 * self.heads + head)?;
        let tokens = qkv.len() / self.row();
        let shares = View::new(scores, tokens, tokens, tokens.next_multiple_of(LANES))?;
        let place = mixed.get_mut(head * self.width..).unwrap_or_default();
        let out = ViewMut::new(place, tokens, self.width, self.heads * self.width)?;
        out.multiply(Before::Overwrite, 1.0, &shares, &values)
    }

    /// The columns of one head, counted across queries, keys and values. Queries come first, then
    /// keys, then values, as `Linear::side_by_side` leaves them.
    fn part<'a>(&self, qkv: &'a [f32], index: usize) -> Result<View<'a>, Error> {
        let place = qkv.get(index * self.width..).unwrap_or_default();
        View::new(place, qkv.len() / self.row(), self.width, self.row())
    }

    /// Length of a row of queries, keys and values.
    fn row(&self) -> usize {
        3 * self.heads * self.width
    }

    /// Keeps the variance of the products independent of `width`; without it, softmax would
    /// saturate.
    #[expect(clippy::cast_precision_loss, reason = "a head is some dozen numbers wide")]
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}
