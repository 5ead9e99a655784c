//! A sentence-transformers model in this process: from a directory as a hub serves it to vectors.
//!
//! Texts are packed without padding: the rows of all texts of a group follow each other, so the
//! large products (`linear`) see one tall matrix and mixed lengths cost nothing; only `attention`
//! goes text by text. Only `pool` knows of threads; a computation looks at its `cancel` flag between
//! layers.
//!
//! | file | what it answers |
//! |---|---|
//! | `pool` | the threads and their queue |
//! | `model` | open a directory, embed texts |
//! | `recipe`, `config`, `document` | what the directory's JSON says, and what is refused |
//! | `tensors`, `names` | the weights, and what each architecture calls them |
//! | `tokenizer`, `embedding` | text to ids, ids to the first rows |
//! | `encoder`, `attention`, `distance`, `linear`, `norm` | the network |
//! | `kernels`, `matmul` | the arithmetic; `matmul` holds the only unsafe block |
//! | `pooling` | rows to the vector of a text |

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
