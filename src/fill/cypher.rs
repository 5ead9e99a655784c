//! All query text, and the only place that quotes.
//!
//! Three rules of the engine shape what is here:
//! - `size()`, `left()` and `substring()` walk a text as UTF-8 without checking it: on one node with
//!   broken bytes they never return, or end the server. So a text is read whole and compared whole;
//!   `=`, `>` and `STARTS WITH` look at bytes only.
//! - `n.text > ''` holds for exactly the non-empty strings, at two thirds of the cost of asking
//!   `typeOf()`, and it has to stand before `STARTS WITH`, which fails the whole query on a number.
//! - A node is found by its id at once only where the id is a plain variable or parameter.

use std::fmt::Write as _;

use super::node::{NodeId, Row, Text};
use super::rule::{Name, Rule};
use super::scan::Window;
use super::store::{Mark, NewIndex};

/// Marks the row that names the first id behind the window.
pub(crate) const BEYOND: i64 = 0;
/// Marks a row with a count of nodes that have a text, or a selected node.
pub(crate) const FOUND: i64 = 1;
/// Marks a row with counts of nodes that have a text and no vector.
pub(crate) const UNFILLED: i64 = 2;
/// Marks a row with a label some node with a vector has.
pub(crate) const LABEL: i64 = 3;

/// How every sweep begins.
const SWEEP: &str = "CYPHER vectorfill=1 ";

/// How vectors are compared, as the engine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Similarity {
    /// By angle.
    Cosine,
    /// By distance.
    Euclidean,
}

impl Similarity {
    /// The engine's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
        }
    }
}

/// Selects pending nodes of a window: rows `[1, id, text, label]`, and `[0, id, …]` for what lies
/// beyond.
pub(crate) fn select(rule: &Rule, window: Window) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let rows = window.rows;
    format!(
        "{} MATCH {node} WHERE ID(n) >= $hi \
         RETURN {BEYOND} AS k, ID(n) AS a, NULL AS b, NULL AS c LIMIT 1 \
         UNION ALL MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi \
         AND n.{target} IS NULL AND n.{error} IS NULL AND n.{source} > '' \
         RETURN {FOUND} AS k, ID(n) AS a, n.{source} AS b, labels(n)[0] AS c LIMIT {rows}",
        bounds(window)
    )
    .into_bytes()
}

/// Lists quarantined nodes of a window: rows `[1, id, error, text, label]`, the text only if `texts`,
/// and `[0, id, …]` for what lies beyond.
pub(crate) fn marked(rule: &Rule, window: Window, texts: bool) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let (text, rows) = (if texts { format!("n.{source}") } else { "NULL".into() }, window.rows);
    format!(
        "{} MATCH {node} WHERE ID(n) >= $hi \
         RETURN {BEYOND} AS k, ID(n) AS a, NULL AS b, NULL AS c, NULL AS d LIMIT 1 \
         UNION ALL MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi \
         AND n.{error} IS NOT NULL AND n.{target} IS NULL AND n.{source} > '' \
         RETURN {FOUND} AS k, ID(n) AS a, n.{error} AS b, {text} AS c, labels(n)[0] AS d LIMIT {rows}",
        bounds(window)
    )
    .into_bytes()
}

/// Counts a window: `[1, with text, …]`, `[2, without vector, of these quarantined]`, with `labels`
/// also `[3, label, …]`, and `[0, id, …]` for what lies beyond.
pub(crate) fn count(rule: &Rule, window: Window, labels: bool) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let inside = format!("MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi AND");
    let mut query = format!(
        "{} MATCH {node} WHERE ID(n) >= $hi RETURN {BEYOND} AS k, ID(n) AS a, NULL AS b LIMIT 1 \
         UNION ALL {inside} n.{source} > '' RETURN {FOUND} AS k, count(n) AS a, NULL AS b \
         UNION ALL {inside} n.{target} IS NULL AND n.{source} > '' \
         RETURN {UNFILLED} AS k, count(n) AS a, count(n.{error}) AS b",
        bounds(window)
    );
    if labels {
        // Writing to a String cannot fail.
        write!(
            query,
            " UNION ALL {inside} n.{target} IS NOT NULL \
             RETURN DISTINCT {LABEL} AS k, labels(n)[0] AS a, NULL AS b"
        )
        .ok();
    }
    query.into_bytes()
}

/// Lists the vector indexes on the target: rows `[label, dimension, status]`.
pub(crate) fn indexes(rule: &Rule) -> Vec<u8> {
    let mut key = Vec::new();
    string(&mut key, rule.target.as_str().as_bytes());
    let mut query = b"CALL db.indexes() YIELD label, types, options, status, entitytype \
        WHERE entitytype = 'NODE' AND 'VECTOR' IN types["
        .to_vec();
    query.extend(&key);
    query.extend(b"] RETURN label, options[");
    query.extend(&key);
    query.extend(b"].dimension, status");
    query
}

/// Reads one vector of a label: how long the stored vectors are decides what the index holds.
pub(crate) fn sample(rule: &Rule, label: &Name) -> Vec<u8> {
    let (label, target) = (label.quoted(), rule.target.quoted());
    format!("MATCH (n:{label}) WHERE n.{target} IS NOT NULL RETURN n.{target} LIMIT 1").into_bytes()
}

/// Writes vectors where id **and** text still match and there is no vector yet; returns one list
/// of the ids that did: rows would be cut off at the engine's `RESULTSET_SIZE`. Flat lists parse
/// faster than a list of maps.
pub(crate) fn vectors(rule: &Rule, rows: &[Row]) -> Vec<u8> {
    let (_, source, target, error) = parts(rule);
    let mut query = guarded_lists(rows.iter().map(|row| (row.node.id, &row.text)));
    query.extend(b" vectors=");
    list(&mut query, rows.iter(), |out, row| vector(out, &row.vector));
    query.extend(guarded_match(&source, ""));
    query.extend(
        format!(
            " AND n.{target} IS NULL SET n.{target} = vecf32($vectors[k]), n.{error} = NULL \
             RETURN collect(i)"
        )
        .bytes(),
    );
    query
}

/// Looks for the rows that [`vectors`] would write, with the same guards: `[the target's number among
/// the graph's properties, places of rows, places of rows whose node is marked]`, each a list, or no
/// answer at all. Of a graph with very many properties only the first are looked at: it is done in a
/// hold of the server.
pub(crate) fn targets(rule: &Rule, rows: &[Row]) -> Vec<u8> {
    let (_, source, target, error) = parts(rule);
    let mut query = guarded_lists(rows.iter().map(|row| (row.node.id, &row.text)));
    query.extend(
        b" CALL db.propertyKeys() YIELD propertyKey WITH propertyKey AS p LIMIT 1000 \
          WITH collect(p) AS p WITH [x IN range(0, size(p) - 1) WHERE p[x] = ",
    );
    string(&mut query, rule.target.as_str().as_bytes());
    query.extend(b"] AS p");
    query.extend(guarded_match(&source, "p, "));
    query.extend(
        format!(
            " AND n.{target} IS NULL RETURN p, collect(CASE WHEN n.{error} IS NULL THEN k END), \
             collect(CASE WHEN n.{error} IS NULL THEN NULL ELSE k END)"
        )
        .bytes(),
    );
    query
}

/// Marks nodes with the reason why their text is refused, guarded like [`vectors`].
pub(crate) fn quarantine(rule: &Rule, marks: &[Mark]) -> Vec<u8> {
    let (_, source, target, error) = parts(rule);
    let mut query = guarded_lists(marks.iter().map(|mark| (mark.id, &mark.text)));
    query.extend(b" notes=");
    list(&mut query, marks.iter(), |out, mark| string(out, mark.note.as_bytes()));
    query.extend(guarded_match(&source, ""));
    query.extend(
        format!(" AND n.{target} IS NULL SET n.{error} = $notes[k] RETURN collect(i)").bytes(),
    );
    query
}

/// Takes the marks of these nodes away; returns the ids of those that had one.
pub(crate) fn lift(rule: &Rule, ids: &[NodeId]) -> Vec<u8> {
    let error = rule.error_property.quoted();
    let mut query = b"CYPHER ids=".to_vec();
    list(&mut query, ids.iter(), |out, id| out.extend(id.0.to_string().bytes()));
    query.extend(
        format!(
            " UNWIND $ids AS i MATCH (n) WHERE ID(n) = i AND n.{error} IS NOT NULL \
             SET n.{error} = NULL RETURN collect(i)"
        )
        .bytes(),
    );
    query
}

/// Creates a vector index on the target.
pub(crate) fn create_index(rule: &Rule, index: &NewIndex) -> Vec<u8> {
    let (label, target) = (index.label.quoted(), rule.target.quoted());
    let (dimensions, similarity) = (index.dimensions, index.similarity.as_str());
    format!(
        "CREATE VECTOR INDEX FOR (n:{label}) ON (n.{target}) \
         OPTIONS {{dimension: {dimensions}, similarityFunction: '{similarity}'}}"
    )
    .into_bytes()
}

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

/// Whether a query that GRAPH.INFO names is a sweep of ours: no user's query begins like one.
pub(crate) fn is_sweep(query: &[u8]) -> bool {
    query.starts_with(SWEEP.as_bytes())
}

fn parts(rule: &Rule) -> (String, String, String, String) {
    let node = rule.label.as_ref().map_or_else(|| "(n)".into(), |l| format!("(n:{})", l.quoted()));
    (node, rule.source.quoted(), rule.target.quoted(), rule.error_property.quoted())
}

/// Parameters and not literals, so that the engine's plan cache knows the query again.
fn bounds(window: Window) -> String {
    format!("{SWEEP}lo={} hi={}", window.lo, window.hi)
}

/// The parameters `ids`, `texts` and `cut`, one entry a node.
fn guarded_lists<'a>(nodes: impl Iterator<Item = (NodeId, &'a Text)> + Clone) -> Vec<u8> {
    let mut query = b"CYPHER ids=".to_vec();
    list(&mut query, nodes.clone(), |out, (id, _)| out.extend(id.0.to_string().bytes()));
    query.extend(b" texts=");
    list(&mut query, nodes.clone(), |out, (_, text)| string(out, text.bytes()));
    query.extend(b" cut=");
    list(&mut query, nodes, |out, (_, text)| out.extend(text.is_cut().to_string().bytes()));
    query
}

/// Finds the nodes of [`guarded_lists`] that still hold the text. A text that was cut only has to
/// begin with what was embedded: its vector says no more than that. `carried` = names from before that
/// are needed after it.
fn guarded_match(source: &str, carried: &str) -> Vec<u8> {
    format!(
        " UNWIND range(0, size($ids) - 1) AS k \
         WITH {carried}k, $ids[k] AS i, $texts[k] AS t, $cut[k] AS c \
         MATCH (n) WHERE ID(n) = i AND n.{source} > '' \
         AND (n.{source} = t OR (c AND n.{source} STARTS WITH t))"
    )
    .into_bytes()
}

fn list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// A string literal. Backslash and quote are escaped, every other byte passes as it is; a NUL
/// cannot be sent, and the engine cannot hold one.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\'');
    for byte in bytes.iter().copied().filter(|byte| *byte != 0) {
        if matches!(byte, b'\\' | b'\'') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'\'');
}

/// The shortest decimals that read back as the same `f32`.
fn vector(out: &mut Vec<u8>, numbers: &[f32]) {
    let mut buffer = zmij::Buffer::new();
    list(out, numbers.iter(), |out, number| out.extend(buffer.format_finite(*number).bytes()));
}

/// A text for people: one line, at most `most` characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        let gap = if line.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        write!(line, "{gap}{word}").ok();
    }
    line.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::node::Node;
    use crate::fill::rule::Globs;

    fn rule() -> Rule {
        Rule {
            graphs: Globs::parse("graphs", "*").unwrap(),
            label: Some(Name::parse("label", "My 'Doc'").unwrap()),
            source: Name::parse("source", "text").unwrap(),
            target: Name::parse("target", "embedding").unwrap(),
            error_property: Name::parse("error-property", "embedding_error").unwrap(),
            max_text_chars: 10,
        }
    }

    fn text(query: Vec<u8>) -> String {
        String::from_utf8(query).unwrap()
    }

    #[test]
    fn a_text_cannot_leave_its_quotes() {
        let mut out = Vec::new();
        string(&mut out, b"a'b\\c\0'] RETURN 1 //");
        assert_eq!(text(out), r"'a\'b\\c\'] RETURN 1 //'");
    }

    #[test]
    fn names_stand_between_backticks() {
        let query = text(select(&rule(), Window { lo: 3, hi: 7, rows: 5 }));
        assert!(query.starts_with("CYPHER vectorfill=1 lo=3 hi=7 MATCH (n:`My 'Doc'`)"), "{query}");
        assert!(query.ends_with("LIMIT 5"), "{query}");
    }

    #[test]
    fn a_write_is_guarded_by_id_text_and_missing_vector() {
        let rows = [Row {
            node: Node { id: NodeId(7), label: None },
            text: Text::new("Zoë's".as_bytes(), 3),
            vector: vec![0.1, -2.0].into(),
        }];
        let query = text(vectors(&rule(), &rows));
        let params = "CYPHER ids=[7] texts=['Zoë'] cut=[true] vectors=[[0.1,-2.0]] UNWIND";
        assert!(query.starts_with(params), "{query}");
        assert!(query.contains("AND n.`embedding` IS NULL SET n.`embedding`"), "{query}");
    }

    #[test]
    fn a_vector_comes_before_the_parameters_a_query_has() {
        let with = |query: &str| text(with_vector(query.as_bytes(), &[0.5, -1.0]));
        assert_eq!(with("RETURN 1"), "CYPHER vector=[0.5,-1.0] RETURN 1");
        assert_eq!(with(" cypher a=1 RETURN $a"), "CYPHER vector=[0.5,-1.0]  a=1 RETURN $a");
        assert_eq!(with("CYPHERS"), "CYPHER vector=[0.5,-1.0] CYPHERS");
        assert_eq!(with(""), "CYPHER vector=[0.5,-1.0] ");
    }

    #[test]
    fn a_line_for_people_holds_no_line_break() {
        assert_eq!(one_line("a\r\nb\t c\u{7}d", 100), "a b c d");
        assert_eq!(one_line("äöü", 2), "äö");
    }
}
