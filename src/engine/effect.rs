//! The cheap way to give the engine a vector: as an *effect*, the form in which it sends changes to
//! its own replicas. A number is four bytes, copied; as query text it is eleven, parsed.
//!
//! An effect is applied unchecked: one that names a missing node or property, or that the engine
//! cannot read, crashes the server. Three things make it safe. Effects are sent only to engine
//! versions they were tested on ([`super::version`]). What an effect names was looked up in the
//! same hold of the server, by a query with the same guards as every write ([`Targets`]). And an
//! effect only ever states "this property of this node is this vector": everything else, such as
//! the first vector of a graph or removing a mark, is left to a query.

use crate::fill::port::store::Row;

/// `EFFECTS_VERSION` of these engines: the first byte.
const VERSION: u8 = 1;
/// `EFFECT_UPDATE_NODE`: node, attribute, value.
const UPDATE_NODE: u32 = 1;
/// `T_VECTOR_F32`: length, numbers.
const VECTOR: u32 = 1 << 18;
/// Type, node, attribute, type of the value, length.
const HEAD: usize = size_of::<u32>() + size_of::<u64>() + size_of::<u16>() + 2 * size_of::<u32>();

/// What a guarded lookup found: valid for the hold of the server in which it was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The engine's number for the property; `None` = no node of the graph ever had it.
    pub(crate) attribute: Option<u16>,
    /// Indices of the rows whose node takes the vector and needs nothing else.
    pub(crate) plain: Vec<usize>,
    /// Indices of the rows whose node takes the vector and loses its quarantine mark.
    pub(crate) marked: Vec<usize>,
}

impl Targets {
    /// Splits the rows into those an effect can write and those left to a query. Rows in neither
    /// have changed since they were selected.
    pub(crate) fn split<'a>(&self, rows: &'a [Row]) -> (Vec<&'a Row>, Vec<Row>) {
        let find = |places: &[usize]| -> Vec<&'a Row> {
            places.iter().filter_map(|place| rows.get(*place)).collect()
        };
        let (plain, marked) = (find(&self.plain), find(&self.marked));
        let (plain, others) = if self.attribute.is_some() {
            (plain, marked)
        } else {
            (Vec::new(), [plain, marked].concat())
        };
        (plain, others.into_iter().cloned().collect())
    }
}

/// The effect that gives each of these nodes its vector.
pub(crate) fn of(rows: &[&Row], attribute: u16) -> Vec<u8> {
    let numbers: usize = rows.iter().map(|row| row.vector.len()).sum();
    let mut effect = Vec::with_capacity(1 + rows.len() * HEAD + numbers * size_of::<f32>());
    effect.push(VERSION);
    for row in rows {
        // No real vector has 2^32 numbers.
        let Ok(length) = u32::try_from(row.vector.len()) else { continue };
        effect.extend(UPDATE_NODE.to_le_bytes());
        effect.extend(row.entity.id.0.to_le_bytes());
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
        assert_eq!(of(&[&row], 5), bytes.concat());
    }

    #[test]
    fn only_nodes_that_were_looked_up_are_written() {
        let rows = [row(1), row(2), row(3)];
        let targets = Targets { attribute: Some(0), plain: vec![0, 9], marked: vec![2] };
        let (plain, others) = targets.split(&rows);
        assert_eq!((plain, others), (vec![&rows[0]], vec![rows[2].clone()]));
    }

    #[test]
    fn the_first_vector_of_a_graph_is_left_to_a_query() {
        let rows = [row(1), row(2)];
        let targets = Targets { attribute: None, plain: vec![0], marked: vec![1] };
        assert_eq!(targets.split(&rows), (vec![], rows.to_vec()));
    }
}
