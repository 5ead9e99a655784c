//! Writes: vectors, quarantine marks, and their removal; vectors and marks are guarded by id and
//! text.

mod find;
mod guard;
mod lookup;

pub(crate) use lookup::{Numbers, PROPERTIES, RELATIONS, lookup, targets};

use crate::engine::cypher::{list, string, vector};
use crate::engine::query::rows;
use crate::engine::query::shape::Shape;
use crate::engine::value::Value;
use crate::entity::{Entity, EntityId};
use crate::fill::port::store::{Mark, Row};
use crate::rule::Rule;
use find::distinct;

/// Writes vectors where id **and** text still match and there is no vector yet. Returns the written
/// ids as one list, because rows would be cut off at the engine's `RESULTSET_SIZE`. Flat lists
/// parse faster than a list of maps.
pub(crate) fn vectors(rule: &Rule, rows: &[Row]) -> Vec<u8> {
    let rows = distinct(rule, rows, |row| &row.entity);
    if let [row] = rows.as_slice()
        && rule.text.bare().is_some()
        && !rule.pattern.is_relationships()
    {
        return one_vector(rule, row);
    }
    let (shape, guarded) = (Shape::new(rule), guard::of_rows(rule, &rows));
    let mut query = find::ids(rule, rows.iter().map(|row| &row.entity));
    query.extend(&guarded.parameters);
    query.extend(b" vectors=");
    list(&mut query, rows.iter(), |out, row| vector(out, &row.vector));
    let Shape { target, error, .. } = &shape;
    query.extend(find::guarded(rule, &guarded).bytes());
    query.extend(
        format!(
            " AND {target} IS NULL SET {target} = vecf32($vectors[k]), {error} = NULL \
             RETURN collect(i)"
        )
        .bytes(),
    );
    query
}

/// The same for a single node and property, with a third of the plan memory per graph: on a server
/// with thousands of graphs, most never see anything else.
fn one_vector(rule: &Rule, row: &Row) -> Vec<u8> {
    let shape = Shape::new(rule);
    let mut query = format!("CYPHER i={} t=", row.entity.id.0).into_bytes();
    string(&mut query, row.text.bytes());
    query.extend(b" v=");
    vector(&mut query, &row.vector);
    let source = shape.source();
    let holds = if row.text.is_cut() {
        format!("{source} > '' AND {source} STARTS WITH $t")
    } else {
        format!("{source} = $t")
    };
    let Shape { target, error, .. } = &shape;
    query.extend(
        format!(
            " MATCH (n) WHERE ID(n) = $i AND {holds} AND {target} IS NULL \
             SET {target} = vecf32($v), {error} = NULL RETURN ID(n)"
        )
        .bytes(),
    );
    query
}

/// Marks entities with the reason their text was refused, guarded like [`vectors`].
pub(crate) fn quarantine(rule: &Rule, marks: &[Mark]) -> Vec<u8> {
    let marks = distinct(rule, marks, |mark| &mark.entity);
    let (shape, guarded) = (Shape::new(rule), guard::of_marks(rule, &marks));
    let mut query = find::ids(rule, marks.iter().map(|mark| &mark.entity));
    query.extend(&guarded.parameters);
    query.extend(b" notes=");
    list(&mut query, marks.iter(), |out, mark| string(out, mark.note.as_bytes()));
    let Shape { target, error, .. } = &shape;
    query.extend(find::guarded(rule, &guarded).bytes());
    query
        .extend(format!(" AND {target} IS NULL SET {error} = $notes[k] RETURN collect(i)").bytes());
    query
}

/// Removes the marks of these entities; returns the ids of those that had one.
pub(crate) fn lift(rule: &Rule, entities: &[Entity]) -> Vec<u8> {
    let Shape { error, .. } = Shape::new(rule);
    let entities = find::placed(rule, entities);
    let mut query = find::ids(rule, entities.iter().copied());
    query.extend(find::by_id(rule).bytes());
    query.extend(format!(" AND {error} IS NOT NULL SET {error} = NULL RETURN collect(i)").bytes());
    query
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
    use crate::engine::query::testing::{nodes, relationships, reply, rule, text};
    use crate::entity::property::Property;
    use crate::entity::{Ends, Text};

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
    fn the_ids_of_a_write_are_read_from_one_printed_list() {
        let ids = |list: &str| written(&Value::parse(&reply(&[&[&text(list)]])).unwrap());
        assert_eq!(ids("[7, 12]"), [EntityId(7), EntityId(12)]);
        assert_eq!(ids("[]"), []);
        let one =
            Value::parse(b"*3\r\n*0\r\n*1\r\n*1\r\n:7\r\n*0\r\n").map(|reply| written(&reply));
        assert_eq!(one, Some(vec![EntityId(7)]));
    }

    const FIND: &str = " UNWIND range(0, size($ids) - 1) AS k WITH k, $ids[k] AS i";

    #[test]
    fn a_relationship_is_found_by_its_ends() {
        let ends = Some(Ends { source: 3, target: 4 });
        let edge = |id| Row { entity: Entity { ends, ..Entity::node(id) }, ..row(id, "b") };
        // One without ends cannot be found, and one that is given twice is written once.
        let rows = [edge(7), row(8, "b"), edge(7)];
        let rule = relationships(&["T"], "fact");
        let query = String::from_utf8(vectors(&rule, &rows)).unwrap();
        let expected = format!(
            "CYPHER ids=[7] sources=[3] targets=[4] texts=['b'] cut=[false] \
             vectors=[[0.1,-2.0]]{FIND}, $sources[k] AS s, $targets[k] AS d \
             MATCH (n) WHERE ID(n) = s WITH k, i, d, n MATCH (m) WHERE ID(m) = d \
             WITH k, i, n, m MATCH (n)-[r:`T`]->(m) WHERE ID(r) = i AND r.`fact` > '' \
             AND (r.`fact` = $texts[k] OR ($cut[k] AND r.`fact` STARTS WITH $texts[k])) \
             AND r.`embedding` IS NULL SET r.`embedding` = vecf32($vectors[k]), \
             r.`embedding_error` = NULL RETURN collect(i)"
        );
        assert_eq!(query, expected);
    }

    #[test]
    fn a_template_is_guarded_by_all_its_properties() {
        let made = |id, properties: [Property; 2]| {
            let entity = Entity { properties: Some(properties.into()), ..Entity::node(id) };
            Row { entity, ..row(id, "cut off") }
        };
        let rule = nodes(&["Doc"], "{a}: {b}");
        let text = |text: &str| Property::Text(text.into());
        let rows = [
            made(1, [text("x'"), Property::Absent]),
            made(
                2,
                [Property::Boolean(true), Property::List(vec![text("y"), Property::Integer(3)])],
            ),
            row(3, "has no properties"),
        ];
        let query = String::from_utf8(vectors(&rule, &rows)).unwrap();
        let expected = format!(
            "CYPHER ids=[1,2] w0=['x\\'',true] w1=[NULL,['y',3]] \
             vectors=[[0.1,-2.0],[0.1,-2.0]]{FIND} MATCH (n) WHERE ID(n) = i \
             AND (n.`a` = $w0[k] OR (n.`a` IS NULL AND $w0[k] IS NULL)) \
             AND (n.`b` = $w1[k] OR (n.`b` IS NULL AND $w1[k] IS NULL)) \
             AND n.`embedding` IS NULL SET"
        );
        assert!(query.starts_with(&expected), "{query}");
        let float = [made(1, [Property::Float("0.5".into()), Property::Absent])];
        let query = String::from_utf8(vectors(&rule, &float)).unwrap();
        assert!(query.starts_with("CYPHER ids=[1] w0=[{}] lo0=[4.999"), "{query}");
        assert!(query.contains(" OR (n.`a` >= $lo0[k] AND n.`a` <= $hi0[k]))"), "{query}");
    }
}
