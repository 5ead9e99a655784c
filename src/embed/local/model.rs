//! A model directory, opened; texts in, vectors out.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::embed::local::config::Config;
use crate::embed::local::encoder::{Encoder, Scratch};
use crate::embed::local::error::Error;
use crate::embed::local::pipeline::{Recipe, TextRules};
use crate::embed::local::pooling::Pooling;
use crate::embed::local::tensors::Tensors;
use crate::embed::local::tokenizer::Tokenizer;

/// Tokens that go through the network together, unless one text alone is longer. Measured: 128 to
/// 512 are equally fast; fewer need less memory and let a cancelled call end sooner.
const GROUP_TOKENS: usize = 256;

/// An opened model. Read-only, so any number of threads may embed with it at once. Takes 4 bytes
/// per weight, all of them in memory.
pub(crate) struct Model {
    tokenizer: Tokenizer,
    encoder: Encoder,
    pooling: Pooling,
    dimensions: NonZeroUsize,
}

impl Model {
    /// Opens a sentence-transformers directory as downloaded from a hub: `modules.json`,
    /// `config.json`, `tokenizer.json`, `model.safetensors`, the pooling's `config.json`; and where
    /// they exist `sentence_bert_config.json`, `tokenizer_config.json`,
    /// `config_sentence_transformers.json`.
    ///
    /// Reads all weights and blocks meanwhile, so call it from a thread that may wait. Fails on the
    /// first file that is missing, damaged or asks for something this encoder does not compute; the
    /// error names it.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let Recipe { network, pooling } = Recipe::open(dir)?;
        let config = Config::open(&network)?;
        let rules = TextRules::open(&network, &config)?;
        let tokenizer = Tokenizer::open(&network, rules)?;
        let tensors = Tensors::open(network.join("model.safetensors"))?;
        let encoder = Encoder::open(&tensors, &config)?;
        let dimensions = NonZeroUsize::new(config.hidden);
        let dimensions = dimensions.ok_or(Error::Shape { what: "rows without numbers" })?;
        Ok(Self { tokenizer, encoder, pooling, dimensions })
    }

    /// One vector per text, in the same order, and their total number of tokens after truncation. A
    /// raised `cancel` ends the call within one layer of one group.
    ///
    /// Each vector has `hidden_size` numbers, all finite. Runs on the calling thread alone. The
    /// first error ends the call: `Error::Text` for a text that cannot be tokenized,
    /// `Error::NotFinite` for damaged weights, `Error::Cancelled`.
    pub(crate) fn embed(
        &self,
        texts: &[&str],
        cancel: &AtomicBool,
    ) -> Result<(Vec<Vec<f32>>, usize), Error> {
        let ids = self.tokens(texts, cancel)?;
        let mut vectors = Vec::with_capacity(texts.len());
        let mut scratch = Scratch::default();
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            let (group, later) = rest.split_at(group_size(rest));
            self.embed_group(group, &mut scratch, cancel, &mut vectors)?;
            rest = later;
        }
        Ok((vectors, ids.iter().map(Vec::len).sum()))
    }

    /// The ids of all texts, before any of them enters the network: a text that the tokenizer
    /// refuses costs no arithmetic.
    fn tokens(&self, texts: &[&str], cancel: &AtomicBool) -> Result<Vec<Vec<u32>>, Error> {
        let ids = |text: &&str| {
            let cancelled = cancel.load(Ordering::Relaxed);
            if cancelled { Err(Error::Cancelled) } else { self.tokenizer.ids(text) }
        };
        texts.iter().map(ids).collect()
    }

    /// Appends the vectors of one group. The network returns the rows of all texts in one slice,
    /// `[tokens × hidden]`, which is cut at the texts' lengths.
    fn embed_group(
        &self,
        group: &[Vec<u32>],
        scratch: &mut Scratch,
        cancel: &AtomicBool,
        vectors: &mut Vec<Vec<f32>>,
    ) -> Result<(), Error> {
        let width = self.dimensions.get();
        let mut rows = self.encoder.run(group, scratch, cancel)?;
        for ids in group {
            let (text, later) = rows.split_at_checked(ids.len() * width).unwrap_or_default();
            vectors.push(self.pooling.vector(text, width)?);
            rows = later;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Model {
    /// Length of the vectors.
    pub(crate) fn dimensions(&self) -> NonZeroUsize {
        self.dimensions
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("dimensions", &self.dimensions).finish_non_exhaustive()
    }
}

/// How many texts form the next group: as many as the token budget allows, at least one.
fn group_size(texts: &[Vec<u32>]) -> usize {
    let mut tokens = 0;
    let fits = |ids: &&Vec<u32>| {
        tokens += ids.len();
        tokens <= GROUP_TOKENS
    };
    texts.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(lengths: &[usize]) -> usize {
        group_size(&lengths.iter().map(|length| vec![0; *length]).collect::<Vec<_>>())
    }

    #[test]
    fn a_group_is_full_at_the_token_budget() {
        assert_eq!(sizes(&[GROUP_TOKENS, 1]), 1);
        assert_eq!(sizes(&[GROUP_TOKENS - 1, 1, 1]), 2);
        assert_eq!(sizes(&[3]), 1);
    }

    #[test]
    fn a_text_over_the_budget_goes_alone() {
        assert_eq!(sizes(&[GROUP_TOKENS + 1, 1]), 1);
    }
}
