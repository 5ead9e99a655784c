//! The rule that decides which nodes are filled from which text: validated names, ready to quote.

pub(crate) mod globs;
pub(crate) mod name;

use crate::error::Error;
use crate::rule::globs::Globs;
use crate::rule::name::Name;

/// How vectors are compared, as the engine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Similarity {
    /// By angle.
    Cosine,
    /// By distance.
    Euclidean,
}

impl Similarity {
    /// Parses the engine's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Cosine, Self::Euclidean].into_iter().find(|known| known.as_str() == word)
    }

    /// The engine's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
        }
    }
}

/// Which nodes of which graphs are filled, from which text, into which property.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// Graphs the rule applies to.
    pub graphs: Globs,
    /// Only nodes with this label; `None` = any node.
    pub label: Option<Name>,
    /// The property that holds the text.
    pub source: Name,
    /// The property that receives the vector.
    pub target: Name,
    /// The property that marks a quarantined node; it holds the reason.
    pub error_property: Name,
    /// Characters of a text that are embedded; the rest is cut off.
    pub max_text_chars: usize,
}

impl Rule {
    /// Rejects a rule whose properties would overwrite each other.
    pub(crate) fn check(self) -> Result<Self, Error> {
        let clash = "source, target and error-property must be three different properties";
        if self.target == self.source {
            return Err(Error::setting("target", self.target.as_str(), clash));
        }
        if self.error_property == self.source || self.error_property == self.target {
            return Err(Error::setting("error-property", self.error_property.as_str(), clash));
        }
        Ok(self)
    }
}
