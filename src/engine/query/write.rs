//! Writes: vectors, marks of quarantine, and what takes marks away; each guarded by id and text.

use super::super::cypher::{list, string, vector};
use super::super::effect::Targets;
use super::super::value::Value;
use super::{parts, rows};
use crate::fill::node::{NodeId, Row, Text};
use crate::fill::rule::Rule;
use crate::fill::store::Mark;

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

/// The ids that [`vectors`], [`quarantine`] or [`lift`] returned.
pub(crate) fn written(reply: &Value<'_>) -> Vec<NodeId> {
    numbers(reply, 0).into_iter().map(NodeId).collect()
}

/// The rows that [`targets`] found.
pub(crate) fn targeted(reply: &Value<'_>) -> Targets {
    let places =
        |column| numbers(reply, column).into_iter().filter_map(|k| k.try_into().ok()).collect();
    let attribute = numbers(reply, 0).first().and_then(|number| u16::try_from(*number).ok());
    Targets { attribute, plain: places(1), marked: places(2) }
}

/// The list in a column of the first row, printed as `[1, 2]`.
fn numbers(reply: &Value<'_>, column: usize) -> Vec<u64> {
    let list = rows(reply).first().and_then(|row| row.items().get(column)).and_then(Value::text);
    let inner = list.and_then(|text| text.strip_prefix('[')?.strip_suffix(']'));
    inner.unwrap_or_default().split(", ").filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{reply, rule, text};
    use super::*;
    use crate::fill::node::Node;

    #[test]
    fn a_write_is_guarded_by_id_text_and_missing_vector() {
        let rows = [Row {
            node: Node { id: NodeId(7), label: None },
            text: Text::new("Zoë's".as_bytes(), 3),
            vector: vec![0.1, -2.0].into(),
        }];
        let query = String::from_utf8(vectors(&rule(), &rows)).unwrap();
        let params = "CYPHER ids=[7] texts=['Zoë'] cut=[true] vectors=[[0.1,-2.0]] UNWIND";
        assert!(query.starts_with(params), "{query}");
        assert!(query.contains("AND n.`embedding` IS NULL SET n.`embedding`"), "{query}");
    }

    #[test]
    fn the_ids_of_a_write_are_read_from_one_printed_list() {
        let ids = |list: &str| written(&Value::parse(&reply(&[&[&text(list)]])).unwrap());
        assert_eq!(ids("[7, 12]"), [NodeId(7), NodeId(12)]);
        assert_eq!(ids("[]"), []);
    }
}
