//! How the entities to be written are found: nodes by id, relationships by their ends and id.

use std::collections::HashSet;

use crate::engine::cypher::list;
use crate::engine::query::shape::Shape;
use crate::engine::query::write::guard::Guard;
use crate::entity::{Ends, Entity};
use crate::rule::{Pattern, Rule};

/// Goes through the parameters.
const EACH: &str = " UNWIND range(0, size($ids) - 1) AS k WITH k, $ids[k] AS i";

/// The rows that can be found and guarded, each entity once: the engine reports one that is given
/// twice as written twice.
pub(super) fn distinct<'a, T>(
    rule: &Rule,
    rows: &'a [T],
    entity: impl Fn(&T) -> &Entity,
) -> Vec<&'a T> {
    let mut seen = HashSet::new();
    let mut fits = |of: &Entity| is_placed(rule, of) && is_guarded(rule, of) && seen.insert(of.id);
    rows.iter().filter(|row| fits(entity(row))).collect()
}

/// The entities that can be found.
pub(super) fn placed<'a>(rule: &Rule, entities: &'a [Entity]) -> Vec<&'a Entity> {
    entities.iter().filter(|entity| is_placed(rule, entity)).collect()
}

fn is_placed(rule: &Rule, entity: &Entity) -> bool {
    entity.ends.is_some() == rule.pattern.is_relationships()
}

/// Whether the values are known that the entity's properties are compared with.
fn is_guarded(rule: &Rule, entity: &Entity) -> bool {
    let known = entity.properties.as_ref().map_or(0, |values| values.len());
    rule.text.bare().is_some() || known == rule.text.properties().len()
}

/// The start of a query: the parameter `ids`, of relationships also `sources` and `targets`.
pub(super) fn ids<'a>(rule: &Rule, entities: impl Iterator<Item = &'a Entity> + Clone) -> Vec<u8> {
    let mut query = b"CYPHER ids=".to_vec();
    numbers(&mut query, entities.clone().map(|entity| entity.id.0));
    if rule.pattern.is_relationships() {
        let ends = entities.filter_map(|entity| entity.ends);
        query.extend(b" sources=");
        numbers(&mut query, ends.clone().map(|Ends { source, .. }| source));
        query.extend(b" targets=");
        numbers(&mut query, ends.map(|Ends { target, .. }| target));
    }
    query
}

fn numbers(query: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    list(query, numbers, |out, number| out.extend(number.to_string().bytes()));
}

/// Finds the entities of [`ids`] that still hold their text.
pub(super) fn guarded(rule: &Rule, guard: &Guard) -> String {
    let found = match rule.pattern {
        Pattern::Nodes(_) => format!("{EACH}{} MATCH (n) WHERE ID(n) = i", guard.names),
        Pattern::Relationships(_) => relationships(rule),
    };
    format!("{found} AND {}", guard.holds)
}

/// Finds the entities of [`ids`].
pub(super) fn by_id(rule: &Rule) -> String {
    match rule.pattern {
        Pattern::Nodes(_) => " UNWIND $ids AS i MATCH (n) WHERE ID(n) = i".into(),
        Pattern::Relationships(_) => relationships(rule),
    }
}

/// With both ends bound, the engine looks only at the relationships between them: that costs the
/// same in the middle of a hub as anywhere else. The `WITH`s keep it from planning another way.
fn relationships(rule: &Rule) -> String {
    let shape = Shape::new(rule);
    format!(
        "{EACH}, $sources[k] AS s, $targets[k] AS d \
         MATCH (n) WHERE ID(n) = s WITH k, i, d, n MATCH (m) WHERE ID(m) = d \
         WITH k, i, n, m MATCH (n)-{}->(m) WHERE ID(r) = i{}",
        shape.known_relationship(),
        shape.is_meant()
    )
}
