//! A graph's own rules, as they are kept beside it: in a hash, each in a field of its own.

use std::sync::Arc;

use crate::entity::GraphName;
use crate::error::Error;
use crate::rule::Rule;
use crate::rule::definition::rule::Scope;
use crate::rule::definition::word::{Place, Word, refusal};
use crate::rule::definition::{RuleDefinition, lines, rule};
use crate::rule::name::RuleName;

/// Begins the name of each such hash.
const PREFIX: &str = "vectorfill:";
/// Begins the field of a rule.
const FIELD: &str = "rule:";

/// The key of the hash of a graph's own rules. In a cluster it lies in the graph's slot, by the hash
/// tag of the name or else by the whole name as a hash tag.
pub(crate) fn key(graph: &GraphName) -> Result<String, Error> {
    let name = graph.as_str();
    let expected = "a graph whose name does not end a hash tag (}) that it does not begin, and is \
                    not a hash tag as a whole, can have rules of its own";
    match name.split_once('{').map(|(_, rest)| rest.split_once('}')) {
        Some(Some((tag, rest))) if !tag.is_empty() => {
            // The name of another graph between braces would be the same key.
            let whole = name.starts_with('{') && rest.is_empty();
            if whole { Err(refused(name, expected)) } else { Ok(format!("{PREFIX}{name}")) }
        }
        _ if name.contains('}') => Err(refused(name, expected)),
        _ => Ok(format!("{PREFIX}{{{name}}}")),
    }
}

fn refused(name: &str, expected: &str) -> Error {
    Error::setting("RULE", name, expected)
}

/// The graph whose own rules this key holds, if it is such a key.
pub(crate) fn graph_of(key: &[u8]) -> Option<GraphName> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?;
    let inner = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let name = inner.filter(|inner| !inner.contains('}')).unwrap_or(rest);
    let graph = GraphName::new(name);
    (self::key(&graph).ok()?.as_bytes() == key).then_some(graph)
}

/// The field of a rule.
pub(crate) fn field(name: &RuleName) -> String {
    format!("{FIELD}{name}")
}

/// The name of the rule that a field holds.
pub(crate) fn rule_of(field: &str) -> Option<&str> {
    field.strip_prefix(FIELD)
}

/// Parses the arguments of a command: the rule's name and what follows it. `first` is the number of
/// the name among the arguments.
pub(crate) fn of_arguments(
    arguments: &[&[u8]],
    first: usize,
    max_text_chars: usize,
) -> Result<RuleDefinition, Error> {
    let word = |(at, bytes): (usize, &&[u8])| Word::parse(bytes, Place::Argument(first + at));
    let words = arguments.iter().enumerate().map(word).collect::<Result<Vec<_>, _>>()?;
    match words.as_slice() {
        [name, rest @ ..] => rule::parse(name, rest, Scope::Graph, max_text_chars),
        [] => Err(refusal(&Place::Argument(first), "", "the name of a rule, and what it is")),
    }
}

/// Reads a rule as it is kept.
pub(crate) fn kept(name: &str, body: &str, max_text_chars: usize) -> Result<Arc<Rule>, Error> {
    let place = Place::Text { source: FIELD.into(), line: 1, column: 1 };
    let name = Word::parse(name.as_bytes(), place)?;
    let mut lines = lines::lines(&format!("{FIELD}{}", name.as_str()), body).into_iter();
    match (lines.next(), lines.next()) {
        (Some(words), None) => {
            let defined = rule::parse(&name, &words?, Scope::Graph, max_text_chars)?;
            Ok(Arc::new(defined.rule))
        }
        _ => name.refuse("a rule is one line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_lies_in_the_slot_of_its_graph_and_leads_back_to_it() {
        for (graph, expected) in [
            ("kb", "vectorfill:{kb}"),
            ("a{b}c", "vectorfill:a{b}c"),
            ("{a}b", "vectorfill:{a}b"),
            ("a{b", "vectorfill:{a{b}"),
            ("a b:c", "vectorfill:{a b:c}"),
            ("{a}}", "vectorfill:{a}}"),
        ] {
            let graph = GraphName::new(graph);
            assert_eq!(key(&graph).unwrap(), expected);
            assert_eq!(graph_of(expected.as_bytes()), Some(graph));
        }
        for graph in ["a}b", "{a}", "a{}b"] {
            assert!(key(&GraphName::new(graph)).is_err(), "{graph}");
        }
        for other in [&b"vectorfill:"[..], b"vectorfill:kb", b"x", b"\xff"] {
            assert_eq!(graph_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_kept_rule_is_read_back() {
        let arguments: [&[u8]; 7] =
            [b"facts", b"REL", b"KNOWS", b"TEXT", b"{a}\n[ ({b})]", b"INTO", b"vec"];
        let rule = of_arguments(&arguments, 3, 100).unwrap().rule;
        let body = crate::rule::definition::Body(&rule).to_string();
        assert_eq!(*kept("facts", &body, 100).unwrap(), rule);
        let error = of_arguments(&arguments[..5], 3, 100).unwrap_err().to_string();
        assert!(error.starts_with("argument 3: 'facts'") && error.contains("INTO"), "{error}");
    }
}
