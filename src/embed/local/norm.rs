//! `LayerNorm`: scales each row of a layer's result back to mean 0 and variance 1. Then each column
//! gets the scale and the shift that were learnt for it.

use crate::embed::local::error::Error;
use crate::embed::local::kernels;
use crate::embed::local::tensors::Tensors;

/// The weights of one `LayerNorm`.
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    /// Reads `name.weight` and `name.bias`, both of length `width`. `Error::Value` if either is
    /// missing or has another length.
    pub(super) fn open(
        tensors: &Tensors,
        name: &str,
        width: usize,
        epsilon: f32,
    ) -> Result<Self, Error> {
        let weight = tensors.values(&format!("{name}.weight"), &[width])?;
        let bias = tensors.values(&format!("{name}.bias"), &[width])?;
        Ok(Self { weight, bias, epsilon })
    }

    /// Normalises rows in place. Their number follows from the length of `rows`, which must be a
    /// multiple of `width`.
    pub(super) fn apply(&self, rows: &mut [f32]) {
        kernels::layer_norm(rows, &self.weight, &self.bias, self.epsilon);
    }
}
