//! Vector indexes: which there are, how long the vectors of a label are, and a new one.

use super::super::cypher::string;
use super::super::value::Value;
use super::rows;
use crate::fill::rule::{Name, Rule};
use crate::fill::store::{Index, NewIndex};

/// Lists the vector indexes on the target: rows `[label, dimension, status]`.
pub(crate) fn list(rule: &Rule) -> Vec<u8> {
    let mut query = b"CYPHER p=".to_vec();
    string(&mut query, rule.target.as_str().as_bytes());
    query.extend(
        b" CALL db.indexes() YIELD label, types, options, status, entitytype \
          WHERE entitytype = 'NODE' AND 'VECTOR' IN types[$p] \
          RETURN label, options[$p].dimension, status",
    );
    query
}

/// The reply to [`list`]. Several rows of a label tell of an index that is being rebuilt: it is
/// ready when all are.
pub(crate) fn listed(reply: &Value<'_>) -> Vec<Index> {
    let index = |row: &Value<'_>| {
        let [label, dimension, status] = row.items() else { return None };
        let dimension = usize::try_from(dimension.integer()?).ok()?;
        let ready = status.text() == Some("OPERATIONAL");
        Some(Index { label: label.text()?.to_owned(), dimension, ready })
    };
    rows(reply).iter().filter_map(index).collect()
}

/// Reads one vector of a label: how long the stored vectors are decides what the index holds.
pub(crate) fn sample(rule: &Rule, label: &Name) -> Vec<u8> {
    let (label, target) = (label.quoted(), rule.target.quoted());
    format!("MATCH (n:{label}) WHERE n.{target} IS NOT NULL RETURN n.{target} LIMIT 1").into_bytes()
}

/// The reply to [`sample`]. A vector prints as `<0.5, -2.0>`; what is no vector has no length.
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
