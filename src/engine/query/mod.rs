//! The queries, each next to the reader of its reply.
//!
//! Three properties of the engine shape these queries:
//! - `size()`, `left()` and `substring()` walk a text as UTF-8 without validating it: a single node
//!   with invalid bytes makes them loop forever or crash the server. So texts are read whole and
//!   compared whole; `=`, `>` and `STARTS WITH` work on bytes.
//! - `n.text > ''` is true for exactly the non-empty strings, at two thirds of the cost of
//!   `typeOf()`. It must come before `STARTS WITH`, which fails the whole query on a number.
//! - A lookup by id is direct only if the id is a plain variable or parameter.
//!
//! And it caches one plan per distinct query text and graph. So whatever changes from call to call
//! is a parameter, and each graph sees few distinct texts.

pub(crate) mod index;
pub(crate) mod lists;
pub(crate) mod preview;
pub(crate) mod search;
mod shape;
pub(crate) mod sweep;
mod typed;
pub(crate) mod write;

use std::time::Duration;

use crate::engine::value::Value;

/// The start of every sweep query.
const SWEEP: &str = "CYPHER vectorfill=1 ";
/// The label before the time in a reply's statistics.
const TOOK: &str = "Query internal execution time: ";

/// Whether a query listed in GRAPH.INFO is one of our sweeps: no user's query begins like one.
pub(crate) fn is_sweep(query: &[u8]) -> bool {
    query.starts_with(SWEEP.as_bytes())
}

/// A reply is `[header, rows, statistics]`, or `[statistics]` alone.
fn rows<'v, 'a>(reply: &'v Value<'a>) -> &'v [Value<'a>] {
    if let [_, rows, _] = reply.items() { rows.items() } else { &[] }
}

/// How long the query took, as the engine reports it.
fn took(reply: &Value<'_>) -> Duration {
    let lines = reply.items().last().map(Value::items).unwrap_or_default();
    let ms = lines
        .iter()
        .find_map(|line| line.text()?.strip_prefix(TOOK)?.split(' ').next()?.parse::<f64>().ok());
    ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod testing {
    //! Replies and rules for the tests of the readers.

    use crate::rule::name::Name;
    use crate::rule::template::Template;
    use crate::rule::{Pattern, Rule};

    /// The protocol of a reply with these rows; each cell is protocol already.
    pub(crate) fn reply(rows: &[&[&str]]) -> Vec<u8> {
        let row = |cells: &&[&str]| format!("*{}\r\n{}", cells.len(), cells.concat());
        let list: String = rows.iter().map(row).collect();
        let mut proto = format!("*3\r\n*0\r\n*{}\r\n{list}", rows.len());
        proto.push_str("*1\r\n+Query internal execution time: 1.500000 milliseconds\r\n");
        proto.into_bytes()
    }

    /// A bulk string.
    pub(crate) fn text(text: &str) -> String {
        format!("${}\r\n{text}\r\n", text.len())
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::parse("NODE", name).unwrap()).collect()
    }

    /// A rule for nodes with one of these labels.
    pub(crate) fn nodes(labels: &[&str], text: &str) -> Rule {
        let text = Template::parse("TEXT", text).unwrap();
        Rule { pattern: Pattern::Nodes(names(labels)), text, ..crate::rule::testing::rule() }
    }

    /// A rule for relationships of one of these types.
    pub(crate) fn relationships(types: &[&str], text: &str) -> Rule {
        Rule { pattern: Pattern::Relationships(names(types)), ..nodes(&[], text) }
    }

    pub(crate) fn rule() -> Rule {
        Rule {
            pattern: Pattern::Nodes(vec![Name::parse("label", "My 'Doc'").unwrap()]),
            max_text_chars: 10,
            ..crate::rule::testing::rule()
        }
    }
}
