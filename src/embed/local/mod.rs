//! A sentence-transformers model in this process: from a directory, as downloaded from a hub, to
//! vectors.
//!
//! Texts are packed without padding: the rows of all texts in a group are contiguous, so the large
//! products (`linear`) see one tall matrix and mixed lengths cost nothing; only `attention` works
//! text by text. Only `pool` knows about threads; a computation checks its `cancel` flag between
//! layers.
//!
//! | file | what it does |
//! |---|---|
//! | `pool` | the threads and their queues |
//! | `model` | opens a directory, embeds texts |
//! | `pipeline`, `config`, `json_file` | the directory's JSON, and what is rejected |
//! | `tensors`, `tensor_names` | the weights, and their names in each architecture |
//! | `tokenizer`, `embedding` | text to ids, ids to the first rows |
//! | `encoder`, `attention`, `position_bias`, `linear`, `norm` | the network |
//! | `kernels`, `matmul` | the arithmetic; `matmul` holds the only unsafe block |
//! | `pooling` | rows to the vector of a text |
//!
//! Every matrix is a flat slice of f32, row after row: a group of texts is `[tokens × hidden]`. All
//! arithmetic is f32, whatever the precision of the file.

mod architecture;
mod attention;
mod config;
mod embedding;
mod encoder;
mod error;
mod json_file;
mod kernels;
mod linear;
mod matmul;
mod model;
mod norm;
mod pipeline;
mod pool;
mod pooling;
mod position_bias;
mod tensor_names;
mod tensors;
mod tokenizer;

#[cfg(test)]
mod tests;

pub(super) use pool::Pool;

use error::Error;
use model::Model;
