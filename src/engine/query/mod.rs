//! The queries, each beside the reader of its reply.
//!
//! Three rules of the engine shape what is here:
//! - `size()`, `left()` and `substring()` walk a text as UTF-8 without checking it: on one node with
//!   broken bytes they never return, or end the server. So a text is read whole and compared whole;
//!   `=`, `>` and `STARTS WITH` look at bytes only.
//! - `n.text > ''` holds for exactly the non-empty strings, at two thirds of the cost of asking
//!   `typeOf()`, and it has to stand before `STARTS WITH`, which fails the whole query on a number.
//! - A node is found by its id at once only where the id is a plain variable or parameter.
//!
//! And one of its habits: a plan is kept for each distinct text and graph. So whatever changes from
//! call to call is a parameter, and a graph has few texts.

pub(crate) mod index;
pub(crate) mod search;
pub(crate) mod sweep;
pub(crate) mod write;

use std::time::Duration;

use crate::engine::value::Value;
use crate::rule::Rule;

/// How every sweep begins.
const SWEEP: &str = "CYPHER vectorfill=1 ";
/// What stands before the time in a reply's statistics.
const TOOK: &str = "Query internal execution time: ";

/// Whether a query that GRAPH.INFO names is a sweep of ours: no user's query begins like one.
pub(crate) fn is_sweep(query: &[u8]) -> bool {
    query.starts_with(SWEEP.as_bytes())
}

/// The names of a rule, quoted: the node's pattern, source, target, error property.
fn parts(rule: &Rule) -> (String, String, String, String) {
    let node = rule.label.as_ref().map_or_else(|| "(n)".into(), |l| format!("(n:{})", l.quoted()));
    (node, rule.source.quoted(), rule.target.quoted(), rule.error_property.quoted())
}

/// A reply is `[header, rows, statistics]`, or `[statistics]` alone.
fn rows<'v, 'a>(reply: &'v Value<'a>) -> &'v [Value<'a>] {
    if let [_, rows, _] = reply.items() { rows.items() } else { &[] }
}

/// What the engine says the query took.
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

    use crate::rule::Rule;
    use crate::rule::globs::Globs;
    use crate::rule::name::Name;

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

    pub(crate) fn rule() -> Rule {
        Rule {
            graphs: Globs::parse("graphs", "*").unwrap(),
            label: Some(Name::parse("label", "My 'Doc'").unwrap()),
            source: Name::parse("source", "text").unwrap(),
            target: Name::parse("target", "embedding").unwrap(),
            error_property: Name::parse("error-property", "embedding_error").unwrap(),
            max_text_chars: 10,
        }
    }
}
