//! Sweeps: pending entities, counts, quarantined entities, window by window.

mod counts;
mod nodes;
mod relationships;
mod sample;

pub(crate) use counts::{Limits, counted, counted_all};
pub(crate) use sample::{count_pending, counted_pending, first_pending, listed_pending};

use crate::engine::query::shape::Shape;
use crate::engine::query::{rows, took, typed};
use crate::engine::value::Value;
use crate::entity::{Ends, EntityId};
use crate::fill::port::store::{Marked, Seen, Selected, Selection, Source, Window};
use crate::rule::{Pattern, Rule};
use crate::text::one_line;

/// Marks the row that names the first id after the window.
const BEYOND: i64 = 0;
/// Marks a row with a count of nodes that have a text, or a listed entity.
const FOUND: i64 = 1;
/// Marks a row with counts of nodes that have a text and no vector.
const UNFILLED: i64 = 2;
/// Marks a row with a label of a node that has a vector.
const LABEL: i64 = 3;
/// Marks a row with a count of relationships that are alike.
const GROUP: i64 = 4;
/// Marks a row with a label that only one client uses.
const OWNER: i64 = 5;

/// Labels of nodes by which a client declares that it embeds the whole graph, with a model of its
/// own: GraphRAG-SDK keeps its settings in one.
const OWNERS: [&str; 1] = ["__GraphRAGConfig__"];

/// How the engine spells true in replies.
const TRUE: &str = "true";

/// Longest quarantine note that is passed on, in characters: twice the longest we write.
const MAX_NOTE_CHARS: usize = 500;

/// Selects pending entities of a window: rows `[1, id, text, label]`, of relationships also
/// `[…, source, target]`, and `[0, id, …]` for the first id after it.
pub(crate) fn select(rule: &Rule, window: Window) -> Vec<u8> {
    let shape = Shape::new(rule);
    let Shape { target, error, .. } = &shape;
    let pending = format!("{target} IS NULL AND {error} IS NULL AND {}", shape.has_text());
    list(rule, window, &pending, &[shape.source(), shape.label()])
}

/// Lists quarantined entities of a window: rows `[1, id, error, text, label, …]`, the text only if
/// `texts`, and `[0, id, …]` for the first id after the window.
pub(crate) fn marked(rule: &Rule, window: Window, texts: bool) -> Vec<u8> {
    let shape = Shape::new(rule);
    let Shape { target, error, .. } = &shape;
    let source = if texts { shape.source() } else { "NULL".into() };
    let marked = format!("{error} IS NOT NULL AND {target} IS NULL AND {}", shape.has_text());
    list(rule, window, &marked, &[error.clone(), source, shape.label()])
}

fn list(rule: &Rule, window: Window, tests: &str, cells: &[String]) -> Vec<u8> {
    let shape = Shape::new(rule);
    match rule.pattern {
        Pattern::Nodes(_) => nodes::list(&shape, window, tests, cells),
        Pattern::Relationships(_) => relationships::list(&shape, window, tests, cells),
    }
    .into_bytes()
}

/// Counts a graph of fewer than `nodes` nodes or relationships: rows `[label, has text, has no
/// vector, has no error, how many, last id]`.
pub(crate) fn count_all(rule: &Rule, nodes: u64, labels: bool) -> Vec<u8> {
    let shape = Shape::new(rule);
    match rule.pattern {
        Pattern::Nodes(_) => nodes::count_all(&shape, nodes, labels),
        Pattern::Relationships(_) => relationships::count_all(&shape, nodes),
    }
    .into_bytes()
}

/// Counts a window: rows `[1, with text, …]`, `[2, without vector, of these quarantined]`, with
/// `labels` also `[3, label, …]`; of relationships `[4, how many, type, has no vector, has no
/// error]`; and `[0, id, …]` for the first id after the window.
pub(crate) fn count(rule: &Rule, window: Window, labels: bool) -> Vec<u8> {
    let shape = Shape::new(rule);
    match rule.pattern {
        Pattern::Nodes(_) => nodes::count(&shape, window, labels),
        Pattern::Relationships(_) => relationships::count(&shape, window),
    }
    .into_bytes()
}

/// The names of the cells after `k` and `a`: all parts of a `UNION` need the same.
fn names() -> impl Iterator<Item = char> {
    'b'..='z'
}

fn columns(cells: &[String]) -> String {
    let column = |(cell, name): (&String, char)| [", ", cell, " AS ", &name.to_string()].concat();
    cells.iter().zip(names()).map(column).collect()
}

fn nothing(cells: usize) -> String {
    columns(&vec!["NULL".into(); cells])
}

/// The reply to [`select`].
pub(crate) fn selected(rule: &Rule, window: Window, reply: &Value<'_>) -> Selection {
    let (rows, seen) = swept(rule, window, is_typed(rule), reply, |row| {
        let [text, label] = row.cells.as_slice() else { return None };
        let (source, bytes) = source(rule, text)?;
        Some((bytes, row.selected(rule, label, source)))
    });
    Selection { rows, seen }
}

/// The reply to [`marked`].
pub(crate) fn marks(rule: &Rule, window: Window, texts: bool, reply: &Value<'_>) -> Marked {
    let (rows, seen) = swept(rule, window, texts && is_typed(rule), reply, |row| {
        let [note, text, label] = row.cells.as_slice() else { return None };
        let read = if texts { source(rule, text) } else { None };
        let (source, bytes) = read.unwrap_or((Source::Text(Vec::new()), 0));
        Some((bytes, (row.selected(rule, label, source), self::note(note))))
    });
    Marked { rows, seen }
}

/// Whether the properties of a rule's texts are read with their types.
pub(crate) fn is_typed(rule: &Rule) -> bool {
    rule.text.bare().is_none()
}

/// What a text is made of, and how many bytes it has.
fn source(rule: &Rule, cell: &Value<'_>) -> Option<(Source, usize)> {
    if !is_typed(rule) {
        let text = cell.bytes()?;
        return Some((Source::Text(text.to_vec()), text.len()));
    }
    let properties = typed::properties(cell);
    let texts = properties.iter().filter_map(|property| Some(property.text()?.len()));
    let bytes = texts.sum();
    Some((Source::Properties(properties), bytes))
}

/// The label in a cell. A rule with a single label means that one, whichever the node has first.
fn label_of(rule: &Rule, cell: &Value<'_>) -> Option<String> {
    match &rule.pattern {
        Pattern::Nodes(labels) if labels.len() == 1 => {
            labels.first().map(|label| label.as_str().to_owned())
        }
        Pattern::Nodes(_) | Pattern::Relationships(_) => cell.text().map(str::to_owned),
    }
}

/// An entity that a sweep lists.
struct Listed<'v, 'a> {
    id: EntityId,
    ends: Option<Ends>,
    /// The cells after its id.
    cells: Vec<&'v Value<'a>>,
}

impl<'v, 'a> Listed<'v, 'a> {
    fn read(rule: &Rule, id: u64, mut cells: Vec<&'v Value<'a>>) -> Option<Self> {
        let mut ends = None;
        if rule.pattern.is_relationships() {
            let target = cells.pop()?.unsigned()?;
            ends = Some(Ends { source: cells.pop()?.unsigned()?, target });
        }
        Some(Self { id: EntityId(id), ends, cells })
    }

    fn selected(&self, rule: &Rule, label: &Value<'_>, source: Source) -> Selected {
        Selected { id: self.id, ends: self.ends, label: label_of(rule, label), source }
    }
}

/// The rows of a sweep that lists entities. `read` turns a row into the listed item and the length
/// of its text in bytes.
fn swept<T>(
    rule: &Rule,
    window: Window,
    compact: bool,
    reply: &Value<'_>,
    read: impl Fn(&Listed<'_, '_>) -> Option<(usize, T)>,
) -> (Vec<T>, Seen) {
    let mut seen = nothing_seen(reply);
    let (mut found, mut pairs) = (Vec::new(), Vec::new());
    for row in rows(reply) {
        let cells = typed::cells(row, compact);
        let [kind, id, cells @ ..] = cells.as_slice() else { continue };
        match (kind.integer(), id.unsigned()) {
            (Some(BEYOND), id) => seen.beyond = id,
            (Some(FOUND), Some(id)) => {
                let Some(listed) = Listed::read(rule, id, cells.to_vec()) else { continue };
                let ends = listed.ends;
                pairs.extend(ends.map(|ends| (id, ends)));
                let Some((bytes, item)) = read(&listed) else { continue };
                seen.rows += 1;
                seen.last = seen.last.max(Some(ends.map_or(id, |ends| ends.source)));
                seen.longest = seen.longest.max(bytes);
                found.push((ends, item));
            }
            _ => {}
        }
    }
    if rule.pattern.is_relationships() {
        seen.resume = relationships::resume(window, &pairs);
        let unsure = relationships::unsure(window, seen.resume);
        found.retain(|(ends, _)| ends.is_none() || *ends != unsure);
    }
    (found.into_iter().map(|(_, item)| item).collect(), seen)
}

/// The content of an error property, written by us or set by hand.
fn note(value: &Value<'_>) -> String {
    match value {
        Value::Bytes(bytes) => one_line(&String::from_utf8_lossy(bytes), MAX_NOTE_CHARS),
        Value::Integer(number) => number.to_string(),
        Value::Null | Value::List(_) | Value::Error(_) => String::new(),
    }
}

fn nothing_seen(reply: &Value<'_>) -> Seen {
    Seen { rows: 0, last: None, longest: 0, resume: None, beyond: None, took: took(reply) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::query::testing::{nodes, relationships, reply, rule, text};
    use crate::entity::property::Property;
    use crate::fill::port::store::Cursor;

    const WINDOW: Window =
        Window { from: Cursor { id: 3, target: 0, between: None }, hi: 7, rows: 5, last: false };

    fn select_text(rule: &Rule, window: Window) -> String {
        String::from_utf8(select(rule, window)).unwrap()
    }

    #[test]
    fn names_stand_between_backticks_and_what_changes_is_a_parameter() {
        let query = select_text(&rule(), WINDOW);
        let begins = "CYPHER vectorfill=1 lo=3 hi=7 rows=5 MATCH (n:`My 'Doc'`)";
        assert!(query.starts_with(begins), "{query}");
        assert!(query.ends_with("LIMIT $rows"), "{query}");
        let last = select_text(&rule(), Window { last: true, ..WINDOW });
        assert!(query.contains(" UNION ALL ") && !last.contains("UNION"), "{last}");
    }

    /// Their plans are cached, and what they take was measured.
    #[test]
    fn the_queries_about_one_property_of_one_label_stay_as_they_are() {
        let rule = nodes(&["Doc"], "text");
        assert_eq!(
            select_text(&rule, WINDOW),
            "CYPHER vectorfill=1 lo=3 hi=7 rows=5 MATCH (n:`Doc`) WHERE ID(n) >= $hi \
             RETURN 0 AS k, ID(n) AS a, NULL AS b, NULL AS c LIMIT 1 \
             UNION ALL MATCH (n:`Doc`) WHERE ID(n) >= $lo AND ID(n) < $hi \
             AND n.`embedding` IS NULL AND n.`embedding_error` IS NULL AND n.`text` > '' \
             RETURN 1 AS k, ID(n) AS a, n.`text` AS b, labels(n)[0] AS c LIMIT $rows"
        );
        let text = |query: Vec<u8>| String::from_utf8(query).unwrap();
        assert_eq!(
            text(marked(&rule, WINDOW, false)),
            "CYPHER vectorfill=1 lo=3 hi=7 rows=5 MATCH (n:`Doc`) WHERE ID(n) >= $hi \
             RETURN 0 AS k, ID(n) AS a, NULL AS b, NULL AS c, NULL AS d LIMIT 1 \
             UNION ALL MATCH (n:`Doc`) WHERE ID(n) >= $lo AND ID(n) < $hi \
             AND n.`embedding_error` IS NOT NULL AND n.`embedding` IS NULL AND n.`text` > '' \
             RETURN 1 AS k, ID(n) AS a, n.`embedding_error` AS b, NULL AS c, labels(n)[0] AS d \
             LIMIT $rows"
        );
        assert_eq!(
            text(count_all(&rule, 9, true)),
            "CYPHER vectorfill=1 nodes=9 MATCH (n:`Doc`) WHERE ID(n) >= 0 WITH n LIMIT $nodes \
             RETURN labels(n)[0], n.`text` > '', typeOf(n.`embedding`), \
             n.`embedding_error` IS NULL, count(n), max(ID(n))"
        );
        let inside = "MATCH (n:`Doc`) WHERE ID(n) >= $lo AND ID(n) < $hi AND";
        assert_eq!(
            text(count(&rule, WINDOW, true)),
            format!(
                "CYPHER vectorfill=1 lo=3 hi=7 rows=5 MATCH (n:`Doc`) WHERE ID(n) >= $hi \
                 RETURN 0 AS k, ID(n) AS a, NULL AS b LIMIT 1 \
                 UNION ALL {inside} n.`text` > '' RETURN 1 AS k, count(n) AS a, NULL AS b \
                 UNION ALL {inside} n.`embedding` IS NULL AND n.`text` > '' \
                 RETURN 2 AS k, count(n) AS a, count(n.`embedding_error`) AS b \
                 UNION ALL {inside} n.`embedding` IS NOT NULL \
                 RETURN DISTINCT 3 AS k, labels(n)[0] AS a, typeOf(n.`embedding`) AS b \
                 UNION ALL MATCH (o:`__GraphRAGConfig__`) \
                 RETURN 5 AS k, '__GraphRAGConfig__' AS a, NULL AS b LIMIT 1"
            )
        );
    }

    #[test]
    fn a_selection_tells_its_rows_and_what_lies_beyond() {
        let proto = reply(&[
            &[":0\r\n", ":900\r\n", "$-1\r\n", "$-1\r\n"],
            &[":1\r\n", ":7\r\n", &text("x"), &text("Doc")],
            &[":1\r\n", ":9\r\n", &text("yz"), "$-1\r\n"],
        ]);
        let any = nodes(&[], "text");
        let Selection { rows, seen } = selected(&any, WINDOW, &Value::parse(&proto).unwrap());
        let source = Source::Text(b"yz".to_vec());
        assert_eq!(rows[1], Selected { id: EntityId(9), ends: None, label: None, source });
        let took = Duration::from_micros(1_500);
        let expected = Seen { rows: 2, last: Some(9), longest: 2, beyond: Some(900), ..seen };
        assert_eq!((seen.took, seen.resume), (took, None));
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_last_pair_of_a_full_page_of_relationships_is_dropped() {
        let edge = |id: u64, source: u64, target: u64| {
            let number = |n: u64| format!(":{n}\r\n");
            vec![number(1), number(id), text("x"), text("T"), number(source), number(target)]
        };
        let found = [edge(9, 3, 4), edge(8, 5, 1), edge(2, 5, 2), edge(1, 5, 2), edge(7, 5, 2)];
        let cells: Vec<Vec<&str>> =
            found.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let cells: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
        let rule = relationships(&["T"], "fact");
        let Selection { rows, seen } =
            selected(&rule, WINDOW, &Value::parse(&reply(&cells)).unwrap());
        assert_eq!(rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), [9, 8]);
        assert_eq!(rows[1].ends, Some(Ends { source: 5, target: 1 }));
        assert_eq!(seen.resume, Some(Cursor { id: 5, target: 2, between: None }));
        assert_eq!((seen.rows, seen.last), (5, Some(5)));
    }

    #[test]
    fn the_properties_of_a_template_are_read_with_their_types() {
        let typed = |code: u32, value: &str| format!("*2\r\n:{code}\r\n{value}");
        let list = format!("*2\r\n{}{}", typed(2, "+x\r\n"), typed(1, "$-1\r\n"));
        let (one, id) = (typed(3, ":1\r\n"), typed(3, ":7\r\n"));
        let proto = reply(&[&[&one, &id, &typed(6, &list), &typed(2, "+Doc\r\n")]]);
        let rule = nodes(&["Doc", "Other"], "{a} {b}");
        let Selection { rows, .. } = selected(&rule, WINDOW, &Value::parse(&proto).unwrap());
        let properties = vec![Property::Text(b"x".into()), Property::Absent];
        assert_eq!(rows[0].source, Source::Properties(properties));
        assert_eq!(rows[0].label.as_deref(), Some("Doc"));
    }
}
