//! The rule that says which nodes are filled from which text: validated names, ready to be quoted.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::node::GraphName;
use crate::error::Error;

/// A label or property name that can be written into Cypher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(String);

impl Name {
    /// Takes any non-empty name without a backtick or a NUL: the engine knows no way to write those.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        if value.is_empty() {
            return Err(Error::setting(setting, value, "a name must not be empty"));
        }
        if value.contains(['`', '\0']) {
            let expected = "a name must hold no backtick and no NUL (Cypher cannot quote them)";
            return Err(Error::setting(setting, value, expected));
        }
        Ok(Self(value.to_owned()))
    }

    /// The name between backticks, as Cypher reads it.
    pub(crate) fn quoted(&self) -> String {
        format!("`{}`", self.0)
    }

    /// The bare name, for people.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Space-separated globs over graph names.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    source: String,
    set: GlobSet,
}

impl Globs {
    /// Reads patterns such as `kb-* notes`; a `?` stands for a space inside a name.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        let refused = |e: globset::Error| Error::setting(setting, value, e.to_string());
        let mut builder = GlobSetBuilder::new();
        for pattern in value.split_ascii_whitespace() {
            builder.add(Glob::new(pattern).map_err(refused)?);
        }
        Ok(Self { source: value.to_owned(), set: builder.build().map_err(refused)? })
    }

    /// Whether any of the patterns matches.
    pub(crate) fn matches(&self, graph: &GraphName) -> bool {
        self.set.is_match(graph.as_str())
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// How vectors are compared, as the engine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Similarity {
    /// By angle.
    Cosine,
    /// By distance.
    Euclidean,
}

impl Similarity {
    /// Reads the engine's word.
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
    /// Graphs the rule speaks of.
    pub graphs: Globs,
    /// Only nodes with this label; `None` = any node.
    pub label: Option<Name>,
    /// The property that holds the text.
    pub source: Name,
    /// The property that receives the vector.
    pub target: Name,
    /// The property that marks a quarantined node, holding the reason.
    pub error_property: Name,
    /// Characters of a text that are embedded; the rest is cut off.
    pub max_text_chars: usize,
}

impl Rule {
    /// Refuses a rule whose properties would overwrite each other.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_backtick_is_refused_and_named() {
        let error = Name::parse("source", "te`xt").unwrap_err().to_string();
        assert!(error.contains("vectorfill.source") && error.contains("te`xt"), "{error}");
        assert!(Name::parse("source", "").is_err());
        assert_eq!(Name::parse("source", "näme 'x'").unwrap().quoted(), "`näme 'x'`");
    }

    #[test]
    fn globs_are_separated_by_spaces() {
        let globs = Globs::parse("graphs", "kb-* my?graph h[ae]llo").unwrap();
        let matches = |name: &str| globs.matches(&GraphName::new(name));
        assert!(matches("kb-1") && matches("my graph") && matches("hallo"));
        assert!(!matches("KB-1") && !matches("hillo") && !matches(""));
        assert!(Globs::parse("graphs", "*").unwrap().matches(&GraphName::new("a/b:{c}")));
        assert!(Globs::parse("graphs", "a[").is_err());
    }
}
