//! The queries of a search.

use crate::engine::cypher::string;
use crate::engine::query::search::{Search, Step, with_vector};
use crate::engine::query::shape::Shape;
use crate::rule::Similarity;
use crate::rule::name::Name;

impl Search {
    /// The query to run now.
    pub(super) fn cypher(&self) -> Vec<u8> {
        let mut query = b"CYPHER label=".to_vec();
        string(&mut query, self.label.as_bytes());
        query.extend(b" p=");
        string(&mut query, self.rule.target.as_str().as_bytes());
        let body = match (self.step, self.rule.pattern.is_relationships()) {
            (Step::Look { .. }, relationships) => self.look(relationships),
            (Step::Index { asked, .. }, false) => self.neighbours(asked),
            (Step::Index { asked, .. }, true) => self.neighbouring_relationships(asked),
            (Step::Compare(similarity), false) => self.compare(similarity),
            (Step::Compare(similarity), true) => self.compare_relationships(similarity),
        };
        query.extend(body.bytes());
        with_vector(&query, &self.vector)
    }

    /// The engine answers the count from its metadata.
    fn look(&self, relationships: bool) -> String {
        let label = self.quotable_label();
        let (kind, pattern, entity) = if relationships {
            ("RELATIONSHIP", format!("()-[r:`{label}`]->()"), "r")
        } else {
            ("NODE", format!("(n:`{label}`)"), "n")
        };
        format!(
            " CALL db.indexes() YIELD label, types, options, entitytype \
             WHERE entitytype = '{kind}' AND label = $label AND 'VECTOR' IN types[$p] \
             OPTIONAL MATCH {pattern} RETURN options[$p].similarityFunction, count({entity})"
        )
    }

    fn neighbours(&self, asked: usize) -> String {
        let (k, source) = (self.k, self.source("node"));
        format!(
            " asked={asked} k={k} CALL db.idx.vector.queryNodes($label, $p, $asked, \
             vecf32($vector)) YIELD node, score WITH node, min(score) AS score \
             ORDER BY score LIMIT $k RETURN ID(node), score, {source}"
        )
    }

    /// Not their types: in the results of this procedure, the engine tells wrong ones.
    fn neighbouring_relationships(&self, asked: usize) -> String {
        let (k, source) = (self.k, self.source("relationship"));
        format!(
            " asked={asked} k={k} CALL db.idx.vector.queryRelationships($label, $p, $asked, \
             vecf32($vector)) YIELD relationship, score \
             WITH relationship, min(score) AS score ORDER BY score LIMIT $k \
             RETURN ID(relationship), score, {source}, ID(startNode(relationship)), \
             ID(endNode(relationship))"
        )
    }

    fn compare(&self, similarity: Similarity) -> String {
        let (label, k, source) = (self.quotable_label(), self.k, self.source("n"));
        let (Shape { target, .. }, distance) = (Shape::new(&self.rule), similarity.as_str());
        format!(
            " k={k} MATCH (n:`{label}`) WHERE typeOf({target}) = 'Vectorf32' \
             WITH n, vec.{distance}Distance({target}, vecf32($vector)) AS score \
             ORDER BY score LIMIT $k RETURN ID(n), score, {source}"
        )
    }

    fn compare_relationships(&self, similarity: Similarity) -> String {
        let (label, k, source) = (self.quotable_label(), self.k, self.source("r"));
        let (Shape { target, .. }, distance) = (Shape::new(&self.rule), similarity.as_str());
        format!(
            " k={k} MATCH (n)-[r:`{label}`]->(m) WHERE typeOf({target}) = 'Vectorf32' \
             WITH n, r, m, vec.{distance}Distance({target}, vecf32($vector)) AS score \
             ORDER BY score LIMIT $k RETURN ID(r), score, {source}, ID(n), ID(m)"
        )
    }

    /// What the text of this variable is made of.
    fn source(&self, variable: &str) -> String {
        let of = |name: &Name| format!("{variable}.{}", name.quoted());
        if let Some(source) = self.rule.text.bare() {
            return of(source);
        }
        let all: Vec<_> = self.rule.text.properties().iter().map(of).collect();
        format!("[{}]", all.join(", "))
    }

    /// The label, to stand between backticks. One that cannot be quoted has no index.
    fn quotable_label(&self) -> String {
        self.label.replace(['`', '\0'], "")
    }
}
