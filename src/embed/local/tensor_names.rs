//! The names of each architecture's tensors, without the prefix that some files put before all of
//! them.
//!
//! The names are those of transformers' modules, since torch names a tensor after its place in
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

/// One row per token of the vocabulary. Shape `[vocabulary, hidden]`.
pub(super) const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// One row per position. Shape `[positions, hidden]`.
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
/// BERT only: one row per token type. Shape `[token_types, hidden]`.
pub(super) const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
/// `LayerNorm` of the first rows, without `.weight` and `.bias`.
pub(super) const EMBEDDING_NORM: &str = "embeddings.LayerNorm";
/// `MPNet` only: a row of biases, one per head, for each bucket. Shape `[32, heads]`; all layers
/// share it.
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

/// Query, key, value, output and norm of the attention, in the order of `LayerNames::new`.
const BERT: [&str; 5] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
];

/// The same five parts. The feed-forward part has the same names in both architectures.
const MPNET: [&str; 5] = [
    "attention.attn.q",
    "attention.attn.k",
    "attention.attn.v",
    "attention.attn.o",
    "attention.LayerNorm",
];
