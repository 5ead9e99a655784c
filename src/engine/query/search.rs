//! Questions: a client's query with its vector, and the nearest nodes of a label.

use super::super::cypher::{string, vector};
use super::super::value::Value;
use super::rows;
use crate::fill::rule::Rule;

/// A user's query with the vector as its first parameter; what parameters it has of its own follow.
pub(crate) fn with_vector(query: &[u8], numbers: &[f32]) -> Vec<u8> {
    const WORD: &[u8] = b"CYPHER";
    let trimmed = query.trim_ascii_start();
    let own = trimmed.split_at_checked(WORD.len()).filter(|(word, rest)| {
        word.eq_ignore_ascii_case(WORD) && rest.first().is_some_and(u8::is_ascii_whitespace)
    });
    let mut out = b"CYPHER vector=".to_vec();
    vector(&mut out, numbers);
    out.push(b' ');
    out.extend(own.map_or(query, |(_, rest)| rest));
    out
}

/// Finds the `k` nodes of a label that are nearest to `$vector`: rows `[id, score, text]`.
pub(crate) fn search(rule: &Rule, label: &[u8], k: usize) -> Vec<u8> {
    let mut query = b"CALL db.idx.vector.queryNodes(".to_vec();
    string(&mut query, label);
    query.push(b',');
    string(&mut query, rule.target.as_str().as_bytes());
    let source = rule.source.quoted();
    query.extend(
        format!(",{k},vecf32($vector)) YIELD node, score RETURN ID(node), score, node.{source}")
            .bytes(),
    );
    query
}

/// The reply to [`search`]: id, score, text.
pub(crate) fn found(reply: &Value<'_>) -> Vec<(i64, f64, Option<Vec<u8>>)> {
    let found = rows(reply).iter().filter_map(|row| {
        let [id, score, text] = row.items() else { return None };
        Some((id.integer()?, score.text()?.parse().ok()?, text.bytes().map(<[u8]>::to_vec)))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_comes_before_the_parameters_a_query_has() {
        let with =
            |query: &str| String::from_utf8(with_vector(query.as_bytes(), &[0.5, -1.0])).unwrap();
        assert_eq!(with("RETURN 1"), "CYPHER vector=[0.5,-1.0] RETURN 1");
        assert_eq!(with(" cypher a=1 RETURN $a"), "CYPHER vector=[0.5,-1.0]  a=1 RETURN $a");
        assert_eq!(with("CYPHERS"), "CYPHER vector=[0.5,-1.0] CYPHERS");
        assert_eq!(with(""), "CYPHER vector=[0.5,-1.0] ");
    }
}
