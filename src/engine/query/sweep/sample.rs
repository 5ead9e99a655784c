//! Pending entities of a whole graph: how many there are, and the first of them. For people who
//! wait; passes go window by window.

use crate::engine::query::shape::Shape;
use crate::engine::query::sweep::{is_typed, label_of, source};
use crate::engine::query::{rows, typed};
use crate::engine::value::Value;
use crate::fill::port::store::Source;
use crate::rule::Rule;

/// Counts pending entities: one row with their number.
pub(crate) fn count_pending(rule: &Rule) -> Vec<u8> {
    let shape = Shape::new(rule);
    format!("{} RETURN count({})", pending(&shape), shape.entity).into_bytes()
}

/// The reply to [`count_pending`].
pub(crate) fn counted_pending(reply: &Value<'_>) -> u64 {
    let count = rows(reply).first().and_then(|row| row.items().first()?.unsigned());
    count.unwrap_or(0)
}

/// Lists the first pending entities: rows `[text, label]`.
pub(crate) fn first_pending(rule: &Rule, most: usize) -> Vec<u8> {
    let shape = Shape::new(rule);
    let (source, label) = (shape.source(), shape.label());
    format!("CYPHER rows={most} {} RETURN {source}, {label} LIMIT $rows", pending(&shape))
        .into_bytes()
}

/// The reply to [`first_pending`]: what their texts are made of, and their labels.
pub(crate) fn listed_pending(rule: &Rule, reply: &Value<'_>) -> Vec<(Source, Option<String>)> {
    let listed = |row: &Value<'_>| {
        let cells = typed::cells(row, is_typed(rule));
        let [text, label] = cells.as_slice() else { return None };
        Some((source(rule, text)?.0, label_of(rule, label)))
    };
    rows(reply).iter().filter_map(listed).collect()
}

fn pending(shape: &Shape<'_>) -> String {
    let Shape { target, error, .. } = shape;
    format!(
        "MATCH {} WHERE {target} IS NULL AND {error} IS NULL AND {}{}",
        shape.sweep(),
        shape.has_text(),
        shape.meant()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, relationships, reply, text};

    fn query(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn pending_entities_are_counted_and_listed() {
        let pending = "n.`embedding` IS NULL AND n.`embedding_error` IS NULL AND n.`text` > ''";
        let rule = nodes(&["Doc"], "text");
        assert_eq!(
            query(count_pending(&rule)),
            format!("MATCH (n:`Doc`) WHERE {pending} RETURN count(n)")
        );
        assert_eq!(
            query(first_pending(&rule, 9)),
            format!(
                "CYPHER rows=9 MATCH (n:`Doc`) WHERE {pending} \
                 RETURN n.`text`, labels(n)[0] LIMIT $rows"
            )
        );
        let facts = query(count_pending(&relationships(&["A", "B"], "fact")));
        assert!(facts.starts_with("MATCH (n)-[r:`A`|`B`]->() WHERE r.`embedding` IS"), "{facts}");
        assert!(facts.ends_with("RETURN count(r)"), "{facts}");
    }

    #[test]
    fn the_replies_are_read() {
        let proto = reply(&[&[":41\r\n"]]);
        assert_eq!(counted_pending(&Value::parse(&proto).unwrap()), 41);
        let proto = reply(&[&[&text("x"), &text("A")], &[&text("y"), "$-1\r\n"]]);
        let listed = listed_pending(&nodes(&[], "text"), &Value::parse(&proto).unwrap());
        let text = |text: &str| Source::Text(text.as_bytes().to_vec());
        assert_eq!(listed, [(text("x"), Some("A".into())), (text("y"), None)]);
    }
}
