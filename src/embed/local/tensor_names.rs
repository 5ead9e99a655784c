//! The names of each architecture's tensors, without the prefix that some files put before all of
//! them.

use crate::embed::local::architecture::Kind;

/// The tensors of one layer, without `.weight` and `.bias`.
pub(super) struct LayerNames {
    /// Projection to the queries.
    pub(super) query: String,
    /// Projection to the keys.
    pub(super) key: String,
    /// Projection to the values.
    pub(super) value: String,
    /// Projection of the attention's result.
    pub(super) output: String,
    /// `LayerNorm` after the attention.
    pub(super) attention_norm: String,
    /// First half of the feed-forward part.
    pub(super) up_proj: String,
    /// Second half of the feed-forward part.
    pub(super) down_proj: String,
    /// `LayerNorm` after the feed-forward part.
    pub(super) output_norm: String,
}

/// One row per token of the vocabulary.
pub(super) const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// One row per position.
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
/// BERT only: one row per token type.
pub(super) const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
/// `LayerNorm` of the first rows, without `.weight` and `.bias`.
pub(super) const EMBEDDING_NORM: &str = "embeddings.LayerNorm";
/// `MPNet` only: a row of biases, one per head, for each bucket.
pub(super) const DISTANCES: &str = "encoder.relative_attention_bias.weight";

impl LayerNames {
    /// The names for layer number `layer`, counted from 0.
    pub(super) fn new(kind: Kind, layer: usize) -> Self {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let [query, key, value, output, attention_norm] = match kind {
            Kind::Bert { .. } => BERT,
            Kind::MpNet => MPNET,
        };
        Self {
            query: name(query),
            key: name(key),
            value: name(value),
            output: name(output),
            attention_norm: name(attention_norm),
            up_proj: name("intermediate.dense"),
            down_proj: name("output.dense"),
            output_norm: name("output.LayerNorm"),
        }
    }
}

const BERT: [&str; 5] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
];

const MPNET: [&str; 5] = [
    "attention.attn.q",
    "attention.attn.k",
    "attention.attn.v",
    "attention.attn.o",
    "attention.LayerNorm",
];
