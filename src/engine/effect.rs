//! The cheap way to give the engine a vector: as an *effect*, the form in which it sends changes to
//! its own replicas. A number is four bytes, copied; as query text it is eleven, parsed.
//!
//! An effect is applied unchecked: one that names a missing node or property, or that the engine
//! cannot read, crashes the server. Three things make it safe. Effects are sent only to engine
//! versions they were tested on ([`super::version`]). What an effect names was looked up in the
//! same hold of the server, by a query with the same guards as every write ([`Targets`]). And an
//! effect only ever states "this property of this node or relationship is this vector": everything
//! else, such as the first vector of a graph or removing a mark, is left to a query.

use crate::entity::Ends;
use crate::fill::port::store::Row;

/// `EFFECTS_VERSION` of these engines: the first byte.
const VERSION: u8 = 1;
/// `EFFECT_UPDATE_NODE`: node, attribute, value.
const UPDATE_NODE: u32 = 1;
/// `EFFECT_UPDATE_EDGE`: relationship, its type, source, target, attribute, value.
const UPDATE_EDGE: u32 = 2;
/// `T_VECTOR_F32`: length, numbers.
const VECTOR: u32 = 1 << 18;
/// The longest start of an update: that of a relationship, up to the numbers.
const HEAD: usize = 4 * size_of::<u32>() + 3 * size_of::<u64>() + size_of::<u16>();

/// What a guarded lookup found: valid for the hold of the server in which it was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The engine's number for the property; `None` = no entity of the graph ever had it.
    pub(crate) attribute: Option<u16>,
    /// The rows whose entity takes the vector and needs nothing else.
    pub(crate) plain: Vec<Place>,
    /// Indices of the rows whose entity takes the vector and loses its quarantine mark.
    pub(crate) marked: Vec<usize>,
}

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its index.
    pub(crate) row: usize,
    /// The engine's number for the relationship's type.
    pub(crate) relation: Option<i32>,
}

/// A vector that an effect can write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Update<'a> {
    pub(crate) row: &'a Row,
    attribute: u16,
    /// The type and the ends of a relationship.
    edge: Option<(i32, Ends)>,
}

impl<'a> Update<'a> {
    /// `None` = something that the effect must name is not known.
    fn new(row: &'a Row, attribute: u16, relation: Option<i32>) -> Option<Self> {
        let edge = match (row.entity.ends, relation) {
            (None, None) => None,
            (Some(ends), Some(relation)) => Some((relation, ends)),
            (None, Some(_)) | (Some(_), None) => return None,
        };
        Some(Self { row, attribute, edge })
    }
}

impl Targets {
    /// Splits the rows into those an effect can write and those left to a query. Rows in neither
    /// have changed since they were selected.
    pub(crate) fn split<'a>(&self, rows: &'a [Row]) -> (Vec<Update<'a>>, Vec<Row>) {
        let (mut updates, mut others) = (Vec::new(), Vec::new());
        for Place { row, relation } in &self.plain {
            let Some(row) = rows.get(*row) else { continue };
            match self.attribute.and_then(|number| Update::new(row, number, *relation)) {
                Some(update) => updates.push(update),
                None => others.push(row.clone()),
            }
        }
        others.extend(self.marked.iter().filter_map(|place| rows.get(*place)).cloned());
        (updates, others)
    }
}

/// The effect that gives each of these entities its vector.
pub(crate) fn of(updates: &[Update<'_>]) -> Vec<u8> {
    let numbers: usize = updates.iter().map(|update| update.row.vector.len()).sum();
    let mut effect = Vec::with_capacity(1 + updates.len() * HEAD + numbers * size_of::<f32>());
    effect.push(VERSION);
    for Update { row, attribute, edge } in updates {
        // No real vector has 2^32 numbers.
        let Ok(length) = u32::try_from(row.vector.len()) else { continue };
        let kind = if edge.is_some() { UPDATE_EDGE } else { UPDATE_NODE };
        effect.extend(kind.to_le_bytes());
        effect.extend(row.entity.id.0.to_le_bytes());
        if let Some((relation, ends)) = edge {
            effect.extend(relation.to_le_bytes());
            effect.extend(ends.source.to_le_bytes());
            effect.extend(ends.target.to_le_bytes());
        }
        effect.extend(attribute.to_le_bytes());
        effect.extend(VECTOR.to_le_bytes());
        effect.extend(length.to_le_bytes());
        row.vector.iter().for_each(|number| effect.extend(number.to_le_bytes()));
    }
    effect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Entity, Text};

    fn row(id: u64) -> Row {
        let entity = Entity::node(id);
        Row { entity, text: Text::new(b"x", 10), vector: vec![1.0, -2.0].into() }
    }

    fn place(row: usize) -> Place {
        Place { row, relation: None }
    }

    #[test]
    fn an_effect_names_node_property_and_numbers() {
        let row = row(0x0102);
        let bytes = [
            vec![1],
            vec![1, 0, 0, 0],
            vec![2, 1, 0, 0, 0, 0, 0, 0],
            vec![5, 0],
            vec![0, 0, 4, 0],
            vec![2, 0, 0, 0],
            1.0_f32.to_le_bytes().to_vec(),
            (-2.0_f32).to_le_bytes().to_vec(),
        ];
        assert_eq!(of(&[Update::new(&row, 5, None).unwrap()]), bytes.concat());
    }

    #[test]
    fn an_effect_on_a_relationship_also_names_its_type_and_its_ends() {
        let ends = Some(Ends { source: 3, target: 4 });
        let row = Row { entity: Entity { ends, ..Entity::node(7) }, ..row(7) };
        let bytes = [
            vec![1],
            vec![2, 0, 0, 0],
            vec![7, 0, 0, 0, 0, 0, 0, 0],
            vec![9, 0, 0, 0],
            vec![3, 0, 0, 0, 0, 0, 0, 0],
            vec![4, 0, 0, 0, 0, 0, 0, 0],
            vec![5, 0],
            vec![0, 0, 4, 0],
            vec![2, 0, 0, 0],
            1.0_f32.to_le_bytes().to_vec(),
            (-2.0_f32).to_le_bytes().to_vec(),
        ];
        assert_eq!(of(&[Update::new(&row, 5, Some(9)).unwrap()]), bytes.concat());
    }

    #[test]
    fn only_nodes_that_were_looked_up_are_written() {
        let rows = [row(1), row(2), row(3)];
        let plain = vec![place(0), place(9)];
        let targets = Targets { attribute: Some(0), plain, marked: vec![2] };
        let update = Update::new(&rows[0], 0, None).unwrap();
        assert_eq!(targets.split(&rows), (vec![update], vec![rows[2].clone()]));
    }

    #[test]
    fn the_first_vector_of_a_graph_is_left_to_a_query() {
        let rows = [row(1), row(2)];
        let targets = Targets { attribute: None, plain: vec![place(0)], marked: vec![1] };
        assert_eq!(targets.split(&rows), (vec![], rows.to_vec()));
    }

    #[test]
    fn a_relationship_whose_type_has_no_number_is_left_to_a_query() {
        let ends = Some(Ends { source: 3, target: 4 });
        let rows = [Row { entity: Entity { ends, ..Entity::node(7) }, ..row(7) }];
        let targets = Targets { attribute: Some(0), plain: vec![place(0)], marked: vec![] };
        assert_eq!(targets.split(&rows), (vec![], rows.to_vec()));
    }
}
