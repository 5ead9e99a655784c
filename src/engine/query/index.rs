//! Vector indexes: listing them, sampling a label's vector length, creating one.

use crate::engine::cypher::string;
use crate::engine::query::rows;
use crate::engine::query::shape::Shape;
use crate::engine::value::Value;
use crate::fill::port::store::{Index, NewIndex};
use crate::rule::Rule;
use crate::rule::name::Name;

/// How many nodes are visited at a time to find a relationship.
const VISITED: usize = 500;

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

/// The reply to [`list`]: the indexes of nodes or of relationships, whichever the rule fills. Several rows for one label mean that its index is being rebuilt: it is
/// ready when all of them are.
pub(crate) fn listed(rule: &Rule, reply: &Value<'_>) -> Vec<Index> {
    let wanted = if rule.pattern.is_relationships() { "RELATIONSHIP" } else { "NODE" };
    let index = |row: &Value<'_>| {
        let [label, dimension, status, kind] = row.items() else { return None };
        if kind.text() != Some(wanted) {
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
    let (label, Shape { target, .. }) = (label.quoted(), Shape::new(rule));
    if rule.pattern.is_relationships() {
        // A limit also sets how many nodes the engine visits at a time: with 1 it takes ten times
        // as long to find the first relationship.
        return format!(
            "MATCH ()-[r:{label}]->() WHERE {target} IS NOT NULL \
             WITH r LIMIT {VISITED} WITH r LIMIT 1 RETURN {target}"
        )
        .into_bytes();
    }
    format!("MATCH (n:{label}) WHERE {target} IS NOT NULL RETURN {target} LIMIT 1").into_bytes()
}

/// The reply to [`sample`]. A vector prints as `<0.5, -2.0>`; `None` = the value is not a vector.
pub(crate) fn sampled(reply: &Value<'_>) -> Option<usize> {
    let text = rows(reply).first()?.items().first()?.text()?;
    let numbers = text.strip_prefix('<')?.strip_suffix('>')?;
    Some(numbers.split(',').count())
}

/// Creates a vector index on the target.
pub(crate) fn create(rule: &Rule, index: &NewIndex) -> Vec<u8> {
    let (label, Shape { target, .. }) = (index.label.quoted(), Shape::new(rule));
    let pattern = if rule.pattern.is_relationships() {
        format!("()-[r:{label}]-()")
    } else {
        format!("(n:{label})")
    };
    let (dimensions, similarity) = (index.dimensions, index.similarity.as_str());
    format!(
        "CREATE VECTOR INDEX FOR {pattern} ON ({target}) \
         OPTIONS {{dimension: {dimensions}, similarityFunction: '{similarity}'}}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{relationships, reply, rule, text};

    #[test]
    fn only_vector_indexes_on_what_the_rule_fills_are_listed() {
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
        let proto = reply(&rows);
        let value = Value::parse(&proto).unwrap();
        let found = listed(&rule(), &value);
        let index = |ready| Index { label: "Doc".into(), dimension: 8, ready };
        assert_eq!(found, [index(true), index(false)]);
        let knows = Index { label: "KNOWS".into(), dimension: 8, ready: true };
        assert_eq!(listed(&relationships(&["KNOWS"], "fact"), &value), [knows]);
    }
}
