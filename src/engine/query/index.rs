//! Vector indexes: listing them, sampling a label's vector length, creating one.

use crate::engine::cypher::string;
use crate::engine::query::rows;
use crate::engine::value::Value;
use crate::fill::port::store::{Index, NewIndex};
use crate::rule::Rule;
use crate::rule::name::Name;

/// Lists all indexes: rows `[label, dimension, status, kind]`, with a dimension only for vector
/// indexes on the target.
pub(crate) fn list(rule: &Rule) -> Vec<u8> {
    let mut query = b"CYPHER p=".to_vec();
    string(&mut query, rule.target.as_str().as_bytes());
    query.extend(
        b" CALL db.indexes() YIELD label, options, status, entitytype \
          RETURN label, options[$p].dimension, status, entitytype",
    );
    query
}

/// The reply to [`list`]. Several rows for one label mean that its index is being rebuilt: it is
/// ready when all of them are.
pub(crate) fn listed(reply: &Value<'_>) -> Vec<Index> {
    let index = |row: &Value<'_>| {
        let [label, dimension, status, kind] = row.items() else { return None };
        if kind.text() != Some("NODE") {
            return None;
        }
        let dimension = usize::try_from(dimension.integer()?).ok()?;
        let ready = status.text() == Some("OPERATIONAL");
        Some(Index { label: label.text()?.to_owned(), dimension, ready })
    };
    rows(reply).iter().filter_map(index).collect()
}

/// Reads one vector of a label: the length of the stored vectors is the index's dimension.
pub(crate) fn sample(rule: &Rule, label: &Name) -> Vec<u8> {
    let (label, target) = (label.quoted(), rule.target.quoted());
    format!("MATCH (n:{label}) WHERE n.{target} IS NOT NULL RETURN n.{target} LIMIT 1").into_bytes()
}

/// The reply to [`sample`]. A vector prints as `<0.5, -2.0>`; `None` = the value is not a vector.
pub(crate) fn sampled(reply: &Value<'_>) -> Option<usize> {
    let text = rows(reply).first()?.items().first()?.text()?;
    let numbers = text.strip_prefix('<')?.strip_suffix('>')?;
    Some(numbers.split(',').count())
}

/// Creates a vector index on the target.
pub(crate) fn create(rule: &Rule, index: &NewIndex) -> Vec<u8> {
    let (label, target) = (index.label.quoted(), rule.target.quoted());
    let (dimensions, similarity) = (index.dimensions, index.similarity.as_str());
    format!(
        "CREATE VECTOR INDEX FOR (n:{label}) ON (n.{target}) \
         OPTIONS {{dimension: {dimensions}, similarityFunction: '{similarity}'}}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{reply, text};

    #[test]
    fn only_vector_indexes_of_nodes_are_listed() {
        let row = |label: &str, dimension: &str, status: &str, kind: &str| {
            [text(label), dimension.to_owned(), text(status), text(kind)]
        };
        let rows = [
            row("Doc", ":8\r\n", "OPERATIONAL", "NODE"),
            row("Doc", ":8\r\n", "[Indexing] 1/6: UNDER CONSTRUCTION", "NODE"),
            row("Name", "$-1\r\n", "OPERATIONAL", "NODE"),
            row("KNOWS", ":8\r\n", "OPERATIONAL", "RELATIONSHIP"),
        ];
        let rows: Vec<Vec<&str>> =
            rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        let found = listed(&Value::parse(&reply(&rows)).unwrap());
        let index = |ready| Index { label: "Doc".into(), dimension: 8, ready };
        assert_eq!(found, [index(true), index(false)]);
    }
}
