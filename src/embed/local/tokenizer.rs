//! tokenizer.json: turns a text into token ids, cut to the model's limit and never padded.

use std::borrow::Cow;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokenizers::TruncationParams;

use crate::embed::local::error::Error;
use crate::embed::local::pipeline::TextRules;

/// More than most languages need, so that the first try nearly always fills the limit. If it does
/// not, the next try reads eight times as much.
const BYTES_PER_TOKEN: usize = 16;

/// A tokenizer with the model's limit. Read-only once open, so threads share it.
pub(super) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    rules: TextRules,
}

impl Tokenizer {
    /// Reads `tokenizer.json` in `network`.
    ///
    /// `Error::Io` if it cannot be read. `Error::Format` if the library does not accept it, or if
    /// the limit leaves no room between the tokens that it puts around a text (two in BERT and
    /// `MPNet`).
    pub(super) fn open(network: &Path, rules: TextRules) -> Result<Self, Error> {
        let file = network.join("tokenizer.json");
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Error::Io { file, source }),
        };
        // some damage to the file makes the library panic instead of returning its error
        let parsed = catch_unwind(AssertUnwindSafe(|| Self::parse(&bytes, rules)));
        let parsed = parsed.unwrap_or_else(|_| Err("the tokenizers library panics on it".into()));
        parsed.map_err(|error| Error::Format { file, reason: error.to_string() })
    }

    /// The token ids of a text: at least one, at most `most_tokens`.
    ///
    /// Only as much of a long text is read as fills the limit: tokenizing a whole megabyte takes a
    /// second and 170 MB (measured), to keep 256 ids of it.
    ///
    /// An empty text has ids, too: those put around it. `Error::Text` if the library fails.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut bytes = self.rules.most_tokens.saturating_mul(BYTES_PER_TOKEN);
        loop {
            let start = start(text, bytes);
            let ids = self.all_ids(start)?;
            if start.len() == text.len() || ids.len() >= self.rules.most_tokens {
                return Ok(ids);
            }
            bytes = bytes.saturating_mul(8);
        }
    }

    /// The library reads all of `text` before it cuts the ids to the limit.
    fn all_ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let lower = self.rules.lower_case;
        let text = if lower { text.to_lowercase().into() } else { Cow::Borrowed(text) };
        let encoding = self.inner.encode_fast(text, true);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Error::Text { reason: error.to_string() })
    }

    /// Replaces the file's truncation and padding, which are left over from a training run. Without
    /// padding, `tokenizers` never starts rayon's global thread pool. At least one token must
    /// surround a text: an empty one would otherwise have no row to pool.
    fn parse(bytes: &[u8], rules: TextRules) -> tokenizers::Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes)?;
        inner.with_padding(None).with_truncation(None)?;
        let (frame, max_length) = (inner.encode_fast("", true)?.len(), rules.most_tokens);
        // `with_truncation` would underflow
        if frame == 0 || frame >= max_length {
            return Err(
                format!("puts {frame} tokens around a text; the limit is {max_length}").into()
            );
        }
        inner.with_truncation(Some(TruncationParams { max_length, ..Default::default() }))?;
        Ok(Self { inner, rules })
    }
}

/// The first `bytes` of a text, without the word that would be cut: no token spans white space. All
/// of the text if its first `bytes` have no white space.
fn start(text: &str, bytes: usize) -> &str {
    let head = text.get(..text.floor_char_boundary(bytes)).unwrap_or(text);
    let whole = head.len() == text.len();
    let words = head.rsplit_once(char::is_whitespace).filter(|_| !whole);
    words.map_or(if whole { head } else { text }, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(most_tokens: usize) -> Tokenizer {
        let network = super::super::tests::golden::folder().join("mpnet");
        Tokenizer::open(&network, TextRules { most_tokens, lower_case: false }).unwrap()
    }

    #[test]
    fn the_start_of_a_long_text_gives_the_ids_of_the_whole() {
        let words = "the gräph holds 東京\tvectors; ";
        let sparse = format!("{} a {}", "x".repeat(700), " ".repeat(9000));
        let texts = [words.repeat(300), sparse.repeat(20), "x".repeat(5000), "東".repeat(3000)];
        for (text, most) in texts.iter().flat_map(|text| [(text, 3), (text, 40), (text, 160)]) {
            let tokenizer = tokenizer(most);
            assert_eq!(
                tokenizer.ids(text).unwrap(),
                tokenizer.all_ids(text).unwrap(),
                "{text:.40}"
            );
        }
    }

    #[test]
    fn a_start_ends_between_words() {
        assert_eq!(start("one two three", 9), "one two");
        assert_eq!(start("one two", 7), "one two");
        assert_eq!(start("ä東ö", 4), "ä東ö");
    }

    #[test]
    fn a_limit_that_leaves_no_room_for_a_text_is_refused() {
        let network = super::super::tests::golden::folder().join("mpnet");
        let rules = TextRules { most_tokens: 2, lower_case: false };
        let error = Tokenizer::open(&network, rules).err().unwrap().to_string();
        assert!(error.contains("tokenizer.json: puts 2 tokens around a text"), "{error}");
    }
}
