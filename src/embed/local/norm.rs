//! `LayerNorm`: a layer's result, row by row, back to mean 0 and variance 1.

use crate::embed::local::error::Error;
use crate::embed::local::kernels;
use crate::embed::local::tensors::Tensors;

pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
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

    pub(super) fn apply(&self, rows: &mut [f32]) {
        kernels::layer_norm(rows, &self.weight, &self.bias, self.epsilon);
    }
}
