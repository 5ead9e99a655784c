//! The names of each architecture's tensors.

use crate::embed::local::architecture::Kind;

/// The tensors of one layer, without `.weight` and `.bias`.
pub(super) struct LayerNames {
    pub(super) query: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) output: String,
    pub(super) attention_norm: String,
    pub(super) up_proj: String,
    pub(super) down_proj: String,
    pub(super) output_norm: String,
}

pub(super) const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
pub(super) const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
pub(super) const EMBEDDING_NORM: &str = "embeddings.LayerNorm";
pub(super) const DISTANCES: &str = "encoder.relative_attention_bias.weight";

impl LayerNames {
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
