//! Writes: vectors, quarantine marks, and their removal; vectors and marks are guarded by id and
//! text.

use std::collections::HashMap;

use crate::engine::cypher::{list, string, vector};
use crate::engine::effect::Targets;
use crate::engine::query::{parts, rows};
use crate::engine::value::Value;
use crate::entity::{Entity, EntityId, Text};
use crate::fill::port::store::{Mark, Row};
use crate::rule::Rule;

/// Writes vectors where id **and** text still match and there is no vector yet. Returns the written
/// ids as one list, because rows would be cut off at the engine's `RESULTSET_SIZE`. Flat lists
/// parse faster than a list of maps.
pub(crate) fn vectors(rule: &Rule, rows: &[Row]) -> Vec<u8> {
    if let [row] = rows {
        return one_vector(rule, row);
    }
    let (_, source, target, error) = parts(rule);
    let mut query = guarded_lists(rows.iter().map(|row| (row.entity.id, &row.text)));
    query.extend(b" vectors=");
    list(&mut query, rows.iter(), |out, row| vector(out, &row.vector));
    query.extend(guarded_match(&source));
    query.extend(
        format!(
            " AND n.{target} IS NULL SET n.{target} = vecf32($vectors[k]), n.{error} = NULL \
             RETURN collect(i)"
        )
        .bytes(),
    );
    query
}

/// The same for a single row, with a third of the plan memory per graph: on a server with thousands
/// of graphs, most never see anything else.
fn one_vector(rule: &Rule, row: &Row) -> Vec<u8> {
    let (_, source, target, error) = parts(rule);
    let mut query = format!("CYPHER i={} t=", row.entity.id.0).into_bytes();
    string(&mut query, row.text.bytes());
    query.extend(b" v=");
    vector(&mut query, &row.vector);
    let holds = if row.text.is_cut() {
        format!("n.{source} > '' AND n.{source} STARTS WITH $t")
    } else {
        format!("n.{source} = $t")
    };
    query.extend(
        format!(
            " MATCH (n) WHERE ID(n) = $i AND {holds} AND n.{target} IS NULL \
             SET n.{target} = vecf32($v), n.{error} = NULL RETURN ID(n)"
        )
        .bytes(),
    );
    query
}

/// Reads what is needed to write these rows as an effect: `[id, text, has a vector, is marked]` of
/// each existing node. We compare the texts ourselves ([`targets`]), byte by byte: that is faster
/// than sending them, and the plan takes a seventh of the memory.
pub(crate) fn lookup(rule: &Rule, rows: &[Row]) -> Vec<u8> {
    let (_, source, target, error) = parts(rule);
    let mut query = id_list(rows.iter().map(|row| row.entity.id));
    query.extend(
        format!(
            " UNWIND $ids AS i MATCH (n) WHERE ID(n) = i \
             RETURN i, n.{source}, n.{target} IS NOT NULL, n.{error} IS NOT NULL"
        )
        .bytes(),
    );
    query
}

/// Reads the names of the graph's properties, in the order of the engine's numbers.
pub(crate) const PROPERTIES: &[u8] = b"CALL db.propertyKeys()";

/// The engine's number for the rule's target, from the reply to [`PROPERTIES`].
pub(crate) fn attribute(rule: &Rule, reply: &Value<'_>) -> Option<u16> {
    let target = rule.target.as_str().as_bytes();
    let is_target = |row: &Value<'_>| row.items().first().and_then(Value::bytes) == Some(target);
    u16::try_from(rows(reply).iter().position(is_target)?).ok()
}

/// The rows that may be written according to the reply to [`lookup`], under the same guards as
/// [`vectors`].
pub(crate) fn targets(rows: &[Row], attribute: Option<u16>, reply: &Value<'_>) -> Targets {
    let mut targets = Targets { attribute, ..Targets::default() };
    let places: HashMap<u64, usize> =
        rows.iter().enumerate().map(|(place, row)| (row.entity.id.0, place)).collect();
    for found in super::rows(reply) {
        let [id, text, filled, marked] = found.items() else { continue };
        let place = id.unsigned().and_then(|id| places.get(&id).copied());
        let (Some(place), Some(text)) = (place, text.bytes()) else { continue };
        let holds = rows.get(place).is_some_and(|row| row.text.is_of(text));
        if !holds || truth(filled) {
            continue;
        }
        if truth(marked) { &mut targets.marked } else { &mut targets.plain }.push(place);
    }
    targets
}

/// The engine prints booleans as words.
fn truth(value: &Value<'_>) -> bool {
    value.text() == Some("true") || value.integer() == Some(1)
}

/// Marks nodes with the reason their text was refused, guarded like [`vectors`].
pub(crate) fn quarantine(rule: &Rule, marks: &[Mark]) -> Vec<u8> {
    let (_, source, target, error) = parts(rule);
    let mut query = guarded_lists(marks.iter().map(|mark| (mark.entity.id, &mark.text)));
    query.extend(b" notes=");
    list(&mut query, marks.iter(), |out, mark| string(out, mark.note.as_bytes()));
    query.extend(guarded_match(&source));
    query.extend(
        format!(" AND n.{target} IS NULL SET n.{error} = $notes[k] RETURN collect(i)").bytes(),
    );
    query
}

/// Removes the marks of these nodes; returns the ids of those that had one.
pub(crate) fn lift(rule: &Rule, entities: &[Entity]) -> Vec<u8> {
    let error = rule.error_property.quoted();
    let mut query = id_list(entities.iter().map(|entity| entity.id));
    query.extend(
        format!(
            " UNWIND $ids AS i MATCH (n) WHERE ID(n) = i AND n.{error} IS NOT NULL \
             SET n.{error} = NULL RETURN collect(i)"
        )
        .bytes(),
    );
    query
}

/// The start of a query: the parameter `ids`.
fn id_list(ids: impl Iterator<Item = EntityId>) -> Vec<u8> {
    let mut query = b"CYPHER ids=".to_vec();
    list(&mut query, ids, |out, id| out.extend(id.0.to_string().bytes()));
    query
}

/// The parameters `ids`, `texts` and `cut`, one entry per node.
fn guarded_lists<'a>(nodes: impl Iterator<Item = (EntityId, &'a Text)> + Clone) -> Vec<u8> {
    let mut query = id_list(nodes.clone().map(|(id, _)| id));
    query.extend(b" texts=");
    list(&mut query, nodes.clone(), |out, (_, text)| string(out, text.bytes()));
    query.extend(b" cut=");
    list(&mut query, nodes, |out, (_, text)| out.extend(text.is_cut().to_string().bytes()));
    query
}

/// Finds the nodes of [`guarded_lists`] that still hold the text. If the text was cut, the node's
/// text need only begin with it: its vector covers no more than that.
fn guarded_match(source: &str) -> Vec<u8> {
    format!(
        " UNWIND range(0, size($ids) - 1) AS k \
         WITH k, $ids[k] AS i, $texts[k] AS t, $cut[k] AS c \
         MATCH (n) WHERE ID(n) = i AND n.{source} > '' \
         AND (n.{source} = t OR (c AND n.{source} STARTS WITH t))"
    )
    .into_bytes()
}

/// The ids that [`vectors`], [`quarantine`] or [`lift`] returned.
pub(crate) fn written(reply: &Value<'_>) -> Vec<EntityId> {
    numbers(reply).into_iter().map(EntityId).collect()
}

/// A number, or the numbers of a list printed as `[1, 2]`, in the first row.
fn numbers(reply: &Value<'_>) -> Vec<u64> {
    let Some(cell) = rows(reply).first().and_then(|row| row.items().first()) else { return vec![] };
    let inner = cell.text().and_then(|text| text.strip_prefix('[')?.strip_suffix(']'));
    let list = inner.unwrap_or_default().split(", ").filter_map(|number| number.parse().ok());
    cell.unsigned().into_iter().chain(list).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{reply, rule, text};
    use crate::entity::Entity;

    fn row(id: u64, text: &str) -> Row {
        let entity = Entity::node(id);
        Row { entity, text: Text::new(text.as_bytes(), 3), vector: vec![0.1, -2.0].into() }
    }

    #[test]
    fn a_write_is_guarded_by_id_text_and_missing_vector() {
        let rows = [row(7, "Zoë's"), row(8, "b")];
        let query = String::from_utf8(vectors(&rule(), &rows)).unwrap();
        let params = "CYPHER ids=[7,8] texts=['Zoë','b'] cut=[true,false] \
                      vectors=[[0.1,-2.0],[0.1,-2.0]] UNWIND";
        assert!(query.starts_with(params), "{query}");
        assert!(query.contains("AND n.`embedding` IS NULL SET n.`embedding`"), "{query}");
    }

    #[test]
    fn one_row_is_guarded_as_well() {
        let query = |text| String::from_utf8(vectors(&rule(), &[row(7, text)])).unwrap();
        let cut = "CYPHER i=7 t='Zoë' v=[0.1,-2.0] MATCH (n) WHERE ID(n) = $i AND n.`text` > '' \
                   AND n.`text` STARTS WITH $t AND n.`embedding` IS NULL SET";
        assert!(query("Zoë's").starts_with(cut), "{}", query("Zoë's"));
        assert!(query("b").contains("AND n.`text` = $t AND n.`embedding` IS NULL SET"));
    }

    #[test]
    fn only_nodes_that_still_hold_the_text_and_no_vector_are_targets() {
        let rows = [row(1, "a"), row(2, "b"), row(3, "c"), row(4, "Zoë's"), row(5, "gone")];
        let node = |id: u64, text: &str, filled: &str, marked: &str| {
            [
                format!(":{id}\r\n"),
                self::text(text),
                format!("+{filled}\r\n"),
                format!("+{marked}\r\n"),
            ]
        };
        let found = [
            node(1, "a", "false", "false"),
            node(2, "other", "false", "false"),
            node(3, "c", "true", "false"),
            node(4, "Zoë has gone", "false", "true"),
        ];
        let found: Vec<Vec<&str>> =
            found.iter().map(|n| n.iter().map(String::as_str).collect()).collect();
        let found: Vec<&[&str]> = found.iter().map(Vec::as_slice).collect();
        let targets = targets(&rows, Some(3), &Value::parse(&reply(&found)).unwrap());
        assert_eq!(targets, Targets { attribute: Some(3), plain: vec![0], marked: vec![3] });
    }

    #[test]
    fn the_number_of_a_property_is_its_place_among_the_names() {
        let names = reply(&[&[&text("text")], &[&text("embedding")]]);
        assert_eq!(attribute(&rule(), &Value::parse(&names).unwrap()), Some(1));
        assert_eq!(attribute(&rule(), &Value::parse(&reply(&[])).unwrap()), None);
    }

    #[test]
    fn the_ids_of_a_write_are_read_from_one_printed_list() {
        let ids = |list: &str| written(&Value::parse(&reply(&[&[&text(list)]])).unwrap());
        assert_eq!(ids("[7, 12]"), [EntityId(7), EntityId(12)]);
        assert_eq!(ids("[]"), []);
        let one =
            Value::parse(b"*3\r\n*0\r\n*1\r\n*1\r\n:7\r\n*0\r\n").map(|reply| written(&reply));
        assert_eq!(one, Some(vec![EntityId(7)]));
    }
}
