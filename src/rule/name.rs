//! A name that can be written into Cypher.

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
