//! A linear layer: `x · W + b` for every row at once.
//!
//! The bias is written first and the product added to it: gemm can add to its output, which saves a
//! second pass over it.

use crate::embed::local::error::Error;
use crate::embed::local::matmul::{Before, View, ViewMut};
use crate::embed::local::tensors::Tensors;

/// Outputs that gemm's AVX-512 kernel computes at once (AVX2: a quarter). Against one wide matrix
/// it is 1.5 times as fast for a text of 30 tokens, 2.5 times for one of 8.
const PANEL: usize = 64;

/// The weights of one layer, repacked for gemm.
pub(super) struct Linear {
    /// The file's matrix transposed and cut into panels of `PANEL` outputs (the last may be
    /// narrower), each `[inputs, PANEL]`: gemm's kernel then reads memory in one stream and repacks
    /// nothing. Repacking happens once, when the model is opened.
    weights: Vec<f32>,
    /// One number per output, so its length is the number of outputs.
    bias: Vec<f32>,
    inputs: usize,
}

impl Linear {
    /// Reads `name.weight` and `name.bias` as torch saves them, `[outputs, inputs]` and
    /// `[outputs]`. Any other shape is `Error::Value`.
    pub(super) fn open(
        tensors: &Tensors,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Error> {
        Self::side_by_side(tensors, &[name], inputs, outputs)
    }

    /// Several layers over the same input as one; their outputs follow each other in a row. Each
    /// layer has `outputs` of them. Queries, keys and values are computed this way.
    pub(super) fn side_by_side(
        tensors: &Tensors,
        names: &[&str],
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Error> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(tensors.values(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(tensors.values(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(Self { weights: panels(&weights, inputs), bias, inputs })
    }

    /// How many numbers come out for `rows`. The output must have exactly this length.
    pub(super) fn outputs_for(&self, rows: &[f32]) -> usize {
        rows.len() / self.inputs * self.bias.len()
    }

    /// `out = rows · W + b`, where `rows` is `[n × inputs]` and `out` becomes `[n × outputs]`, n
    /// at least 1. `Error::Shape` if `out` is too short.
    pub(super) fn write(&self, rows: &[f32], out: &mut [f32]) -> Result<(), Error> {
        out.chunks_exact_mut(self.bias.len()).for_each(|row| row.copy_from_slice(&self.bias));
        self.add_product(rows, out)
    }

    /// `out = out + rows · W + b`, for a residual sum: `out` already holds the layer's input.
    /// Shapes and errors as in `write`.
    pub(super) fn add(&self, rows: &[f32], out: &mut [f32]) -> Result<(), Error> {
        for row in out.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
        }
        self.add_product(rows, out)
    }

    /// One product per panel. Each writes a strip of columns of `out`, whose rows stay `outputs`
    /// apart.
    fn add_product(&self, rows: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        let count = rows.len() / inputs;
        let rows = View::new(rows, count, inputs, inputs)?;
        let begins = (0..outputs).step_by(PANEL);
        for (panel, begin) in self.weights.chunks(PANEL * inputs).zip(begins) {
            let width = panel.len() / inputs;
            let panel = View::new(panel, inputs, width, width)?;
            let place = out.get_mut(begin..).unwrap_or_default();
            let place = ViewMut::new(place, count, width, outputs)?;
            place.multiply(Before::Add, 1.0, &rows, &panel)?;
        }
        Ok(())
    }
}

/// From `[outputs, inputs]` to panels. Element (i, o) of a panel is element (o, i) of the file's
/// matrix.
fn panels(weights: &[f32], inputs: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(weights.len());
    for panel in weights.chunks(PANEL * inputs) {
        for input in 0..inputs {
            all.extend(panel.iter().skip(input).step_by(inputs));
        }
    }
    all
}
