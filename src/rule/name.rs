//! Names: of labels and properties, of rules and embedders.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// A label or property name that can be written into Cypher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(String);

impl Name {
    /// Accepts any non-empty name without a backtick or a NUL: Cypher has no way to write those.
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

    /// The property that says why this one could not be filled, unless a setting names another.
    pub(crate) fn error_property(&self) -> Self {
        Self(format!("{}_error", self.0))
    }
}

/// The name that the settings' own rule and embedder have.
pub(crate) const DEFAULT: &str = "default";

/// Longest name of a rule or an embedder, in bytes.
const MAX_NAME: usize = 64;

/// The name of a rule or an embedder: letters, digits, `-`, `_` and `.`.
fn plain(keyword: &str, value: &str) -> Result<Arc<str>, Error> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || value.len() > MAX_NAME || !value.chars().all(allowed) {
        let expected = "a name of letters, digits, - _ and . (at most 64 bytes)";
        return Err(Error::setting(keyword, value, expected));
    }
    Ok(value.into())
}

/// The name of a rule, unique in a graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuleName(Arc<str>);

impl RuleName {
    /// The name of the rule made from the settings.
    pub(crate) fn default_rule() -> Self {
        Self(DEFAULT.into())
    }

    /// Before all names, for ranges.
    pub(crate) fn first() -> Self {
        Self("".into())
    }

    /// Parses a name; `keyword` names it in errors.
    pub(crate) fn parse(keyword: &str, value: &str) -> Result<Self, Error> {
        plain(keyword, value).map(Self)
    }

    /// The bare name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an embedder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EmbedderName(Arc<str>);

impl EmbedderName {
    /// The name of the embedder made from the settings.
    pub(crate) fn default_embedder() -> Self {
        Self(DEFAULT.into())
    }

    /// Parses a name; `keyword` names it in errors.
    pub(crate) fn parse(keyword: &str, value: &str) -> Result<Self, Error> {
        plain(keyword, value).map(Self)
    }

    /// The bare name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmbedderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
}
