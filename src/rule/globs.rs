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

/// What matches every name.
const ALL: &str = "*";

impl Globs {
    /// All graphs.
    pub(crate) fn all() -> Self {
        let one = |glob| GlobSet::new([glob]).unwrap_or_default();
        let included = Glob::new(ALL).map(one).unwrap_or_default();
        Self { source: ALL.into(), included, excluded: GlobSet::empty() }
    }

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

impl Globs {
    /// As the user wrote them.
    pub(crate) fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether they match every graph.
    pub(crate) fn is_all(&self) -> bool {
        self.source.split_ascii_whitespace().eq([ALL])
    }

    /// Whether they match no graph, for want of one that includes any.
    pub(crate) fn include_none(&self) -> bool {
        self.included.is_empty()
    }

    /// Whether some name is matched by both, as far as can be decided: `false` also means that
    /// nobody knows.
    pub(crate) fn surely_overlap(&self, other: &Self) -> bool {
        let (ours, theirs) =
            (self.source.split_ascii_whitespace(), other.source.split_ascii_whitespace());
        self.is_all() || other.is_all() || ours.clone().eq(theirs.clone()) || {
            let mut names = ours.chain(theirs).filter(|glob| is_name(glob)).map(GraphName::new);
            names.any(|name| self.matches(&name) && other.matches(&name))
        }
    }
}

/// Whether a glob matches its own text only.
fn is_name(glob: &str) -> bool {
    !glob.contains(['*', '?', '[', ']', '{', '}', '!', '\\'])
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
    #[test]
    fn globs_overlap_where_that_can_be_decided() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (Globs::parse("graphs", a).unwrap(), Globs::parse("graphs", b).unwrap());
            assert_eq!(a.surely_overlap(&b), b.surely_overlap(&a));
            a.surely_overlap(&b)
        };
        assert!(overlap("*", "kb") && overlap("a*  b", "a* b") && overlap("x kb", "k*"));
        assert!(!overlap("a*", "b*") && !overlap("kb", "k* !kb") && !overlap("k", "b"));
        assert!(Globs::all() == Globs::parse("graphs", "*").unwrap() && Globs::all().is_all());
        assert!(Globs::all().matches(&GraphName::new("x/{y}")));
        assert!(Globs::parse("graphs", " !a").unwrap().include_none());
    }
}
