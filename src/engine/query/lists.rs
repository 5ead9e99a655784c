//! Plain lists of numbers in the target, as some clients store their vectors: an index leaves them
//! out until they are turned into vectors.

use crate::engine::query::shape::Shape;
use crate::engine::query::{SWEEP, rows};
use crate::engine::value::Value;
use crate::fill::port::store::{Conversion, Items, Window};
use crate::rule::Rule;

/// Counts the lists in a window by their lengths: rows `[length, how many]`.
pub(crate) fn find(rule: &Rule, window: Window) -> Vec<u8> {
    let shape = Shape::new(rule);
    let (lo, hi, target) = (window.from.id, window.hi, &shape.target);
    format!(
        "{SWEEP}lo={lo} hi={hi} {} RETURN size({target}), count({target})",
        matching(&shape, &format!("typeOf({target}) = 'List'"))
    )
    .into_bytes()
}

/// The reply to [`find`].
pub(crate) fn found(reply: &Value<'_>) -> Vec<(u64, u64)> {
    let counted = |row: &Value<'_>| {
        let [length, lists] = row.items() else { return None };
        Some((length.unsigned()?, lists.unsigned()?))
    };
    rows(reply).iter().filter_map(counted).collect()
}

/// Turns the lists of this length in a window into vectors; returns the ids as one list. The length
/// comes first: an empty list would become an empty vector, and the length of a vector is an error.
pub(crate) fn convert(rule: &Rule, conversion: &Conversion) -> Vec<u8> {
    let Conversion { window, length, items } = *conversion;
    let shape = Shape::new(rule);
    let (lo, hi, target) = (window.from.id, window.hi, &shape.target);
    let numbers = match items {
        Items::Unknown => String::new(),
        Items::Mixed => format!(" AND all(x IN {target} WHERE typeOf(x) IN ['Float', 'Integer'])"),
    };
    let tests = format!("typeOf({target}) = 'List' AND size({target}) = $length{numbers}");
    let entity = if rule.pattern.is_relationships() { 'r' } else { 'n' };
    format!(
        "CYPHER lo={lo} hi={hi} length={length} {} SET {target} = vecf32({target}) \
         RETURN collect(ID({entity}))",
        matching(&shape, &tests)
    )
    .into_bytes()
}

fn matching(shape: &Shape<'_>, tests: &str) -> String {
    let pattern = shape.sweep();
    let meant = shape.meant();
    format!("MATCH {pattern} WHERE ID(n) >= $lo AND ID(n) < $hi AND {tests}{meant}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, relationships};
    use crate::fill::port::store::Cursor;

    const WINDOW: Window =
        Window { from: Cursor { id: 3, target: 0, between: None }, hi: 7, rows: 5, last: false };

    #[test]
    fn only_lists_of_the_right_length_are_converted() {
        let text = |rule, items| {
            let conversion = Conversion { window: WINDOW, length: 4, items };
            String::from_utf8(convert(&rule, &conversion)).unwrap()
        };
        assert_eq!(
            text(nodes(&["Doc"], "text"), Items::Unknown),
            "CYPHER lo=3 hi=7 length=4 MATCH (n:`Doc`) WHERE ID(n) >= $lo AND ID(n) < $hi \
             AND typeOf(n.`embedding`) = 'List' AND size(n.`embedding`) = $length \
             SET n.`embedding` = vecf32(n.`embedding`) RETURN collect(ID(n))"
        );
        let mixed = text(relationships(&[], "fact"), Items::Mixed);
        assert!(mixed.contains("MATCH (n)-[r]->() WHERE ID(n) >= $lo"), "{mixed}");
        assert!(mixed.contains(" AND all(x IN r.`embedding` WHERE typeOf(x) IN"), "{mixed}");
    }
}
