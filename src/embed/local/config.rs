//! config.json: the network's kind and size. Anything this encoder would compute incorrectly is
//! rejected here.

use std::path::Path;

use crate::embed::local::architecture::Kind;
use crate::embed::local::error::Error;
use crate::embed::local::json_file::Document;

/// The network's kind and sizes, validated. Each size is from 1 to 2^24. BERT base, from its paper,
/// has rows of 768 numbers, 12 layers, 12 heads and 3072 numbers in the feed-forward part.
pub(super) struct Config {
    /// The architecture.
    pub(super) kind: Kind,
    /// Length of a row, and of the vectors that come out. Key: `hidden_size`.
    pub(super) hidden: usize,
    /// Number of layers.
    pub(super) layers: usize,
    /// Divides `hidden`. Each head works on its own `hidden / heads` numbers of a row.
    pub(super) heads: usize,
    /// Length of a row inside the feed-forward part. Key: `intermediate_size`.
    pub(super) inner: usize,
    /// Rows of the word table. The tokenizer's ids should all be below it; one that is not is
    /// `Error::Text` when it occurs.
    pub(super) vocabulary: usize,
    /// Rows of the position table. `MPNet` has two more than tokens in its longest text, since it
    /// counts positions from 2.
    pub(super) positions: usize,
    /// Added to the variance in each `LayerNorm`. It keeps a row of equal numbers from a division
    /// by 0.
    pub(super) epsilon: f32,
}

impl Config {
    /// Reads `config.json` in `dir`.
    ///
    /// `Error::Value` for another `model_type`; for an activation other than exact gelu (`gelu_new`
    /// is an approximation with other results); for positions that are not absolute; and for sizes
    /// that are missing or do not fit together.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let json = Document::open(dir.join("config.json"))?;
        let kind = kind(&json)?;
        only(&json, "hidden_act", "gelu", "gelu")?;
        only(&json, "position_embedding_type", "absolute", "absolute")?;
        let config = Self {
            kind,
            hidden: json.size("hidden_size")?,
            layers: json.size("num_hidden_layers")?,
            heads: json.size("num_attention_heads")?,
            inner: json.size("intermediate_size")?,
            vocabulary: json.size("vocab_size")?,
            positions: json.size("max_position_embeddings")?,
            epsilon: epsilon(&json)?,
        };
        config.check(&json)?;
        Ok(config)
    }

    /// Tokens of the longest text the position table has rows for. At least 1 once `open` has
    /// succeeded. `MPNet` counts positions from 2, so two rows are lost.
    pub(super) fn longest(&self) -> usize {
        match self.kind {
            Kind::Bert { .. } => self.positions,
            Kind::MpNet => self.positions.saturating_sub(super::embedding::PADDING as usize + 1),
        }
    }

    fn check(&self, json: &Document) -> Result<(), Error> {
        if !self.hidden.is_multiple_of(self.heads) {
            let wanted = format!("a divisor of hidden_size, {}", self.hidden);
            return Err(json.refuse("num_attention_heads", &wanted));
        }
        if self.longest() == 0 {
            return Err(json.refuse("max_position_embeddings", "more than 2"));
        }
        Ok(())
    }
}

fn kind(json: &Document) -> Result<Kind, Error> {
    match json.text("model_type")? {
        "bert" => Ok(Kind::Bert { token_types: json.size("type_vocab_size")? }),
        "mpnet" => mpnet(json),
        _ => Err(json.refuse("model_type", "bert, mpnet")),
    }
}

fn mpnet(json: &Document) -> Result<Kind, Error> {
    // transformers itself uses 32 whatever the file says
    let buckets = json.size("relative_attention_num_buckets")?;
    let same = buckets == super::position_bias::BUCKETS;
    same.then_some(Kind::MpNet).ok_or_else(|| json.refuse("relative_attention_num_buckets", "32"))
}

/// Accepts a key that is absent or holds `value`, and nothing else.
fn only(json: &Document, key: &str, value: &str, wanted: &str) -> Result<(), Error> {
    match json.find(key) {
        Some(found) if found.as_str() != Some(value) => Err(json.refuse(key, wanted)),
        _ => Ok(()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
fn epsilon(json: &Document) -> Result<f32, Error> {
    let epsilon = json.number("layer_norm_eps")? as f32;
    let valid = (0.0..1.0).contains(&epsilon);
    valid.then_some(epsilon).ok_or_else(|| json.refuse("layer_norm_eps", "from 0 to 1"))
}
