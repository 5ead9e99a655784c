//! Globs over graph names.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::entity::GraphName;
use crate::error::Error;

/// Space-separated globs over graph names.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    source: String,
    set: GlobSet,
}

impl Globs {
    /// Parses patterns such as `kb-* notes`; use `?` for a space inside a name.
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

#[cfg(test)]
mod tests {
    use super::*;

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
