//! Writes a rule back as its definition: in one order, without what is at its default.

use std::fmt;

use crate::rule::definition::rule::ANY;
use crate::rule::name::EmbedderName;
use crate::rule::{Order, Pattern, Rule, Similarity};

/// The line that defines a rule. Parsed again, it gives the same rule, save for what no definition
/// can say: the number of characters, and another error property.
#[derive(Debug)]
pub(crate) struct Definition<'a>(pub(crate) &'a Rule);

impl fmt::Display for Definition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rule) = self;
        write!(f, "RULE {}", Quoted(rule.name.as_str()))?;
        if !rule.graphs.is_all() {
            write!(f, " GRAPHS {}", Quoted(rule.graphs.as_str()))?;
        }
        write!(f, " {}", Body(rule))
    }
}

/// What a graph's own rule is set to: the definition without `RULE`, name and `GRAPHS`.
#[derive(Debug)]
pub(crate) struct Body<'a>(pub(crate) &'a Rule);

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rule) = self;
        pattern(&rule.pattern, f)?;
        write!(f, "TEXT {} ", Quoted(rule.text.as_str()))?;
        write!(f, "INTO {}", Quoted(rule.target.as_str()))?;
        if rule.embedder != EmbedderName::default_embedder() {
            write!(f, " EMBEDDER {}", Quoted(rule.embedder.as_str()))?;
        }
        if let Some(dimensions) = rule.dimensions {
            write!(f, " DIMENSIONS {dimensions}")?;
        }
        match rule.index {
            Some(Similarity::Cosine) => {}
            Some(other) => write!(f, " INDEX {}", other.as_str())?,
            None => f.write_str(" INDEX no")?,
        }
        if rule.refresh {
            f.write_str(" REFRESH yes")?;
        }
        if let Some(condition) = &rule.condition {
            write!(f, " WHERE {}", Quoted(condition.as_str()))?;
        }
        if rule.order == Order::Oldest {
            f.write_str(" ORDER oldest")?;
        }
        if rule.priority != 0 {
            write!(f, " PRIORITY {}", rule.priority)?;
        }
        Ok(())
    }
}

fn pattern(pattern: &Pattern, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let keyword = if pattern.is_relationships() { "REL" } else { "NODE" };
    if pattern.names().is_empty() {
        return write!(f, "{keyword} {ANY} ");
    }
    pattern.names().iter().try_for_each(|name| write!(f, "{keyword} {} ", Quoted(name.as_str())))
}

/// A word, between quotes if it needs them.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(word) = self;
        let special =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\');
        if !word.is_empty() && !word.starts_with('#') && !word.contains(special) {
            return f.write_str(word);
        }
        f.write_str("\"")?;
        for c in word.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}
