//! The network: a group of texts, packed row after row, through all layers.
//!
//! A layer is `x = norm(x + attention(x))`, then `x = norm(x + feed_forward(x))`: as in BERT, the
//! norm comes after the sum. Most of the arithmetic is in the four products of a layer, with two
//! operations per weight and token.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::embed::local::attention::Attention;
use crate::embed::local::config::Config;
use crate::embed::local::embedding::Embedding;
use crate::embed::local::error::Error;
use crate::embed::local::kernels;
use crate::embed::local::linear::Linear;
use crate::embed::local::norm::Norm;
use crate::embed::local::tensor_names::LayerNames;
use crate::embed::local::tensors::Tensors;

/// All weights of the network. Never changes, so threads share it.
pub(super) struct Encoder {
    embedding: Embedding,
    attention: Attention,
    layers: Vec<Layer>,
    /// Length of a row.
    width: usize,
}

/// Buffers for one group's rows, reused from group to group. Each call needs its own; it grows to
/// the largest group so far.
#[derive(Default)]
pub(super) struct Scratch {
    /// The rows themselves; after `run`, the result. `[tokens × hidden]`.
    rows: Vec<f32>,
    /// Queries, keys and values, `[tokens × 3 · hidden]`.
    qkv: Vec<f32>,
    /// What attention makes of them, `[tokens × hidden]`.
    mixed: Vec<f32>,
    /// Inside the feed-forward part, `[tokens × inner]`.
    wide: Vec<f32>,
    /// One head of one text, so its size depends on the longest text.
    scores: Vec<f32>,
}

/// The weights of one layer, in the order of their use.
struct Layer {
    /// From `hidden` to `3 · hidden`: three projections in one product.
    qkv: Linear,
    /// From `hidden` to `hidden`, over the joined heads.
    output: Linear,
    attention_norm: Norm,
    /// From `hidden` to `inner`, before gelu.
    up_proj: Linear,
    /// From `inner` to `hidden`, after it.
    down_proj: Linear,
    output_norm: Norm,
}

impl Encoder {
    /// Reads the weights of all layers. Fails on the first tensor that is missing or
    /// misshapen; those that are not needed, such as BERT's pooler, are never read.
    pub(super) fn open(tensors: &Tensors, config: &Config) -> Result<Self, Error> {
        let embedding = Embedding::open(tensors, config)?;
        let attention = Attention::open(tensors, config)?;
        let layers = (0..config.layers).map(|layer| Layer::open(tensors, config, layer));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self { embedding, attention, layers, width: config.hidden })
    }

    /// The rows of all tokens, text after text.
    ///
    /// `texts` holds at least one text, each with at least one token id. The result is
    /// `[tokens × hidden]`, in `scratch`. `Error::Text` for an id beyond a table,
    /// `Error::Cancelled` if the flag is raised before the last layer begins.
    pub(super) fn run<'a>(
        &self,
        texts: &[Vec<u32>],
        scratch: &'a mut Scratch,
        cancel: &AtomicBool,
    ) -> Result<&'a [f32], Error> {
        scratch.rows.clear();
        for ids in texts {
            self.embedding.append(ids, &mut scratch.rows)?;
        }
        for layer in &self.layers {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            self.attend(layer, texts, scratch)?;
            layer.feed_forward(scratch)?;
        }
        Ok(&scratch.rows)
    }

    /// The attention half of a layer; the only place where a text's tokens see each other.
    /// Projections run over the rows of all texts at once, only the mixing text by text.
    fn attend(
        &self,
        layer: &Layer,
        texts: &[Vec<u32>],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let Scratch { rows, qkv, mixed, scores, .. } = scratch;
        qkv.resize(3 * rows.len(), 0.0);
        mixed.resize(rows.len(), 0.0);
        layer.qkv.write(rows, qkv)?;
        for span in spans(texts, self.width) {
            let qkv = qkv.get(3 * span.start..3 * span.end).unwrap_or_default();
            let mixed = mixed.get_mut(span).unwrap_or_default();
            self.attention.mix(qkv, mixed, scores)?;
        }
        layer.output.add(mixed, rows)?;
        layer.attention_norm.apply(rows);
        Ok(())
    }
}

impl Layer {
    fn open(tensors: &Tensors, config: &Config, layer: usize) -> Result<Self, Error> {
        let Config { hidden, inner, epsilon, .. } = *config;
        let names = LayerNames::new(config.kind, layer);
        let qkv = [names.query.as_str(), &names.key, &names.value];
        Ok(Self {
            qkv: Linear::side_by_side(tensors, &qkv, hidden, hidden)?,
            output: Linear::open(tensors, &names.output, hidden, hidden)?,
            attention_norm: Norm::open(tensors, &names.attention_norm, hidden, epsilon)?,
            up_proj: Linear::open(tensors, &names.up_proj, hidden, inner)?,
            down_proj: Linear::open(tensors, &names.down_proj, inner, hidden)?,
            output_norm: Norm::open(tensors, &names.output_norm, hidden, epsilon)?,
        })
    }

    /// The other half of a layer; it treats each row on its own.
    fn feed_forward(&self, scratch: &mut Scratch) -> Result<(), Error> {
        let Scratch { rows, wide, .. } = scratch;
        wide.resize(self.up_proj.outputs_for(rows), 0.0);
        self.up_proj.write(rows, wide)?;
        kernels::gelu(wide);
        self.down_proj.add(wide, rows)?;
        self.output_norm.apply(rows);
        Ok(())
    }
}

/// The range of each text's numbers among all rows.
fn spans(texts: &[Vec<u32>], width: usize) -> impl Iterator<Item = Range<usize>> {
    let mut end = 0;
    texts.iter().map(move |ids| {
        let begin = end;
        end += ids.len() * width;
        begin..end
    })
}
