//! The parts of a graph we work with: its name, its nodes, their texts.

pub(crate) mod property;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::entity::property::Property;

/// Bytes a node adds to a query besides its text and its vector.
const BYTES_PER_NODE: usize = 32;

/// The name of a graph, which is its key in Redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GraphName(Arc<str>);

impl GraphName {
    /// Any UTF-8 key name.
    pub(crate) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The key as Redis knows it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GraphName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine's id of a node or relationship. It reuses the ids of deleted ones, so nothing is ever
/// matched by id alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntityId(pub u64);

/// The bytes of a text that are embedded: the whole text, or its beginning if it is too long.
///
/// Bytes rather than `str`, because the engine stores whatever a client sent, and the write-back
/// must compare exactly that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    bytes: Arc<[u8]>,
    cut: bool,
}

impl Text {
    /// Keeps the first `max_chars` characters.
    pub(crate) fn new(bytes: &[u8], max_chars: usize) -> Self {
        let end = end_of_char(bytes, max_chars);
        let kept = bytes.get(..end).unwrap_or(bytes);
        Self { bytes: kept.into(), cut: end < bytes.len() }
    }

    /// What the node's text must equal, or begin with if it [was cut](Self::is_cut).
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the node's text goes on after these bytes.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether `whole` is this text, or begins with it if it was cut.
    pub(crate) fn is_of(&self, whole: &[u8]) -> bool {
        if self.cut { whole.starts_with(&self.bytes) } else { *whole == *self.bytes }
    }

    /// What is sent to the embedder; invalid UTF-8 becomes U+FFFD.
    pub(crate) fn to_utf8(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Roughly how many bytes a node with this text adds to a query.
    pub(crate) fn query_bytes(&self) -> usize {
        self.bytes.len() + BYTES_PER_NODE
    }

    /// Its length in characters.
    pub(crate) fn chars(&self) -> usize {
        self.bytes.iter().filter(|byte| begins_char(**byte)).count()
    }

    /// Its beginning: the fraction `keep` of its characters, at least one.
    pub(crate) fn shortened(&self, keep: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share of a number of characters; the cast saturates"
        )]
        let chars = (self.chars() as f64 * keep.clamp(0.0, 1.0)) as usize;
        let end = end_of_char(&self.bytes, chars.max(1));
        let cut = self.cut || end < self.bytes.len();
        Self { bytes: self.bytes.get(..end).unwrap_or(&self.bytes).into(), cut }
    }

    /// Roughly how many tokens it has: one per four Latin letters, and one per character of scripts
    /// such as Chinese, whose characters take three bytes.
    pub(crate) fn tokens(&self) -> usize {
        let wide = self.bytes.iter().filter(|byte| **byte >= 0xe0).count();
        wide + (self.bytes.len() - 3 * wide.min(self.bytes.len() / 3)) / 4 + 1
    }

    /// About four bytes per token, the rule of thumb in the services' own documentation.
    pub(crate) fn estimated_tokens(&self) -> usize {
        self.bytes.len() / 4 + 1
    }
}

/// Byte offset after the first `chars` characters. Counting the bytes that begin a character works
/// on invalid UTF-8 too, and cannot split a valid character.
fn end_of_char(bytes: &[u8], chars: usize) -> usize {
    if bytes.len() <= chars {
        return bytes.len();
    }
    let begins = |(_, byte): &(usize, &u8)| begins_char(**byte);
    bytes.iter().enumerate().filter(begins).nth(chars).map_or(bytes.len(), |(at, _)| at)
}

fn begins_char(byte: u8) -> bool {
    (byte & 0b1100_0000) != 0b1000_0000
}

/// A node or relationship whose vector is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entity {
    /// Its id at the time of selection.
    pub id: EntityId,
    /// Its type, or the label that decides the index the vector goes to.
    pub label: Option<Arc<str>>,
    /// The nodes at its ends, if it is a relationship.
    pub ends: Option<Ends>,
    /// The properties its text was made of, if a template made it; otherwise the text itself is the
    /// value of its one property.
    pub properties: Option<Arc<[Property]>>,
}

impl Entity {
    /// A node whose text is the value of one property.
    #[cfg(test)]
    pub(crate) fn node(id: u64) -> Self {
        Self { id: EntityId(id), label: None, ends: None, properties: None }
    }
}

/// The nodes a relationship connects. The engine finds a relationship by them, and not by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ends {
    /// Where it begins.
    pub source: u64,
    /// Where it ends.
    pub target: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_text_ends_between_characters_and_is_cut() {
        let text = Text::new("äöüß".as_bytes(), 9);
        assert!(!text.is_cut());
        let half = text.shortened(0.5);
        assert_eq!((half.bytes(), half.is_cut()), ("äö".as_bytes(), true));
        assert_eq!(half.shortened(0.0).bytes(), "ä".as_bytes(), "never nothing");
        assert!(half.is_of("äöüß".as_bytes()) && !half.is_of("äo".as_bytes()));
    }

    #[test]
    fn tokens_are_estimated_by_script() {
        assert_eq!(Text::new(b"word word word w", 99).tokens(), 5);
        assert_eq!(Text::new("漢字仮名".as_bytes(), 99).tokens(), 5);
    }
}
