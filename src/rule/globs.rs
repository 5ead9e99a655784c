//! Globs over graph names.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::entity::GraphName;
use crate::error::Error;

/// Space-separated globs over graph names. One that begins with `!` excludes what it matches.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    source: String,
    included: GlobSet,
    excluded: GlobSet,
}

impl Globs {
    /// Parses patterns such as `kb-* notes` or `* !kg-*`; use `?` for a space inside a name.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        let refused = |e: globset::Error| Error::setting(setting, value, e.to_string());
        let mut included = GlobSetBuilder::new();
        let mut excluded = GlobSetBuilder::new();
        for pattern in value.split_ascii_whitespace() {
            match pattern.strip_prefix('!') {
                Some(pattern) => excluded.add(Glob::new(pattern).map_err(refused)?),
                None => included.add(Glob::new(pattern).map_err(refused)?),
            };
        }
        Ok(Self {
            source: value.to_owned(),
            included: included.build().map_err(refused)?,
            excluded: excluded.build().map_err(refused)?,
        })
    }

    /// Whether any of the patterns matches, and none excludes it.
    pub(crate) fn matches(&self, graph: &GraphName) -> bool {
        self.included.is_match(graph.as_str()) && !self.excluded.is_match(graph.as_str())
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

    #[test]
    fn what_is_excluded_does_not_match() {
        let globs = Globs::parse("graphs", "!kg-* * !tmp").unwrap();
        let matches = |name: &str| globs.matches(&GraphName::new(name));
        assert!(matches("kb") && !matches("kg-1") && !matches("tmp"));
    }
}
