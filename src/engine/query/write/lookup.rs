//! What is needed to write rows as an effect, and must hold in the hold of the server in which it
//! is written.

use std::collections::HashMap;

use crate::engine::effect::{Place, Targets};
use crate::engine::query::shape::Shape;
use crate::engine::query::sweep::is_typed;
use crate::engine::query::write::find::{self, distinct};
use crate::engine::query::{rows, typed};
use crate::engine::value::Value;
use crate::fill::port::store::Row;
use crate::rule::Rule;

/// Reads what is needed to write these rows as an effect: `[id, text, has a vector, is marked]` of
/// each existing entity, of relationships also the type. We compare the texts ourselves
/// ([`targets`]), byte by byte: that is faster than sending them, and the plan takes a seventh of
/// the memory. A template's properties are read with their types.
pub(crate) fn lookup(rule: &Rule, rows: &[Row]) -> Vec<u8> {
    let shape = Shape::new(rule);
    let Shape { target, error, .. } = &shape;
    let rows = distinct(rule, rows, |row| &row.entity);
    let mut query = find::ids(rule, rows.iter().map(|row| &row.entity));
    query.extend(find::by_id(rule).bytes());
    let kind = if rule.pattern.is_relationships() { ", type(r)" } else { "" };
    let source = shape.source();
    query.extend(
        format!(" RETURN i, {source}, {target} IS NOT NULL, {error} IS NOT NULL{kind}").bytes(),
    );
    query
}

/// Reads the names of the graph's properties, in the order of the engine's numbers.
pub(crate) const PROPERTIES: &[u8] = b"CALL db.propertyKeys()";

/// Reads the names of the graph's relationship types, in the order of the engine's numbers.
pub(crate) const RELATIONS: &[u8] = b"CALL db.relationshipTypes()";

/// The engine's numbers for the names in an effect.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Of the rule's target; `None` = no entity of the graph ever had it.
    attribute: Option<u16>,
    /// Of relationship types.
    relations: HashMap<Vec<u8>, i32>,
}

impl Numbers {
    /// From the replies to [`PROPERTIES`] and, for relationships, to [`RELATIONS`].
    pub(crate) fn read(rule: &Rule, properties: &Value<'_>, relations: Option<&Value<'_>>) -> Self {
        let target = rule.target.as_str().as_bytes();
        let attribute = names(properties).position(|name| name == Some(target));
        let relations = relations.into_iter().flat_map(|reply| names(reply).enumerate());
        Self {
            attribute: attribute.and_then(|place| u16::try_from(place).ok()),
            relations: relations
                .filter_map(|(place, name)| Some((name?.to_vec(), i32::try_from(place).ok()?)))
                .collect(),
        }
    }
}

fn names<'a>(reply: &Value<'a>) -> impl Iterator<Item = Option<&'a [u8]>> {
    rows(reply).iter().map(|row| row.items().first().and_then(Value::bytes))
}

/// The rows that may be written according to the reply to [`lookup`], under the same guards as
/// [`vectors`](super::vectors).
pub(crate) fn targets(rule: &Rule, rows: &[Row], numbers: &Numbers, reply: &Value<'_>) -> Targets {
    let mut targets = Targets { attribute: numbers.attribute, ..Targets::default() };
    let mut places: HashMap<u64, usize> =
        rows.iter().enumerate().map(|(place, row)| (row.entity.id.0, place)).collect();
    for found in super::rows(reply) {
        let cells = typed::cells(found, is_typed(rule));
        let [id, text, filled, marked, kind @ ..] = cells.as_slice() else { continue };
        // Taken out, so that no row is written twice.
        let place = id.unsigned().and_then(|id| places.remove(&id));
        let holds =
            place.and_then(|place| rows.get(place)).is_some_and(|row| holds(rule, row, text));
        let (Some(row), true, false) = (place, holds, truth(filled)) else { continue };
        let relation = kind.first().and_then(|kind| numbers.relations.get(kind.bytes()?).copied());
        if truth(marked) {
            targets.marked.push(row);
        } else {
            targets.plain.push(Place { row, relation });
        }
    }
    targets
}

/// Whether the entity still holds the row's text, or the properties it was made of.
fn holds(rule: &Rule, row: &Row, found: &Value<'_>) -> bool {
    if !is_typed(rule) {
        return found.bytes().is_some_and(|text| row.text.is_of(text));
    }
    row.entity.properties.as_deref().is_some_and(|known| typed::properties(found) == known)
}

fn truth(value: &Value<'_>) -> bool {
    typed::boolean(value) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, relationships, reply, rule, text};
    use crate::entity::property::Property;
    use crate::entity::{Ends, Entity, Text};

    fn row(id: u64, text: &str) -> Row {
        let entity = Entity::node(id);
        Row { entity, text: Text::new(text.as_bytes(), 3), vector: vec![0.1, -2.0].into() }
    }

    fn found(rule: &Rule, rows: &[Row], numbers: &Numbers, cells: &[Vec<String>]) -> Targets {
        let cells: Vec<Vec<&str>> =
            cells.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let cells: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
        targets(rule, rows, numbers, &Value::parse(&reply(&cells)).unwrap())
    }

    fn line(word: &str) -> String {
        format!("+{word}\r\n")
    }

    #[test]
    fn only_nodes_that_still_hold_the_text_and_no_vector_are_targets() {
        let rows = [row(1, "a"), row(2, "b"), row(3, "c"), row(4, "Zoë's"), row(5, "gone")];
        let node = |id: u64, text: &str, filled: &str, marked: &str| {
            vec![format!(":{id}\r\n"), self::text(text), line(filled), line(marked)]
        };
        let cells = [
            node(1, "a", "false", "false"),
            node(1, "a", "false", "false"),
            node(2, "other", "false", "false"),
            node(3, "c", "true", "false"),
            node(4, "Zoë has gone", "false", "true"),
        ];
        let numbers = Numbers { attribute: Some(3), ..Numbers::default() };
        let plain = vec![Place { row: 0, relation: None }];
        let expected = Targets { attribute: Some(3), plain, marked: vec![3] };
        assert_eq!(found(&rule(), &rows, &numbers, &cells), expected);
    }

    #[test]
    fn a_template_holds_if_each_of_its_properties_does() {
        let rule = nodes(&["Doc"], "{a} {b}");
        let properties = [Property::Float("0.1".into()), Property::Absent];
        let entity =
            |id| Entity { properties: Some(properties.clone().into()), ..Entity::node(id) };
        let rows = [1, 2].map(|id| Row { entity: entity(id), ..row(id, "0.1") });
        let typed = |code: u32, value: &str| format!("*2\r\n:{code}\r\n{value}");
        let node = |id: u64, digits: &str| {
            let list = format!("*2\r\n{}{}", typed(5, &line(digits)), typed(1, "$-1\r\n"));
            let no = typed(4, &line("false"));
            vec![typed(3, &format!(":{id}\r\n")), typed(6, &list), no.clone(), no]
        };
        let cells = [node(1, "0.1"), node(2, "0.2")];
        let targets = found(&rule, &rows, &Numbers::default(), &cells);
        assert_eq!(targets.plain, [Place { row: 0, relation: None }]);
    }

    #[test]
    fn the_type_of_a_relationship_has_a_number() {
        let names = |names: &[&str]| {
            let cells: Vec<String> = names.iter().map(|name| text(name)).collect();
            let rows: Vec<[&str; 1]> = cells.iter().map(|cell| [cell.as_str()]).collect();
            let rows: Vec<&[&str]> = rows.iter().map(<[&str; 1]>::as_slice).collect();
            reply(&rows)
        };
        let (properties, types) = (names(&["fact", "embedding"]), names(&["A", "B"]));
        let rule = relationships(&[], "fact");
        let types = Value::parse(&types).unwrap();
        let numbers = Numbers::read(&rule, &Value::parse(&properties).unwrap(), Some(&types));
        assert_eq!(numbers.attribute, Some(1));
        let ends = Some(Ends { source: 1, target: 2 });
        let rows = [Row { entity: Entity { ends, ..Entity::node(7) }, ..row(7, "x") }];
        let no = line("false");
        let cells = [vec![":7\r\n".into(), text("x"), no.clone(), no, text("B")]];
        let targets = found(&rule, &rows, &numbers, &cells);
        assert_eq!(targets.plain, [Place { row: 0, relation: Some(1) }]);
    }

    #[test]
    fn a_property_that_no_entity_has_has_no_number() {
        let none = reply(&[]);
        let numbers = Numbers::read(&rule(), &Value::parse(&none).unwrap(), None);
        assert_eq!(numbers.attribute, None);
    }
}
