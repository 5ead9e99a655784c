//! Sweeps over windows of node ids: pending nodes, counts, quarantined nodes.

use std::fmt::Write as _;

use crate::engine::query::{SWEEP, parts, rows, took};
use crate::engine::value::Value;
use crate::entity::EntityId;
use crate::fill::port::store::{Count, Marked, Seen, Selected, Selection, Source, Window};
use crate::rule::Rule;
use crate::text::one_line;

/// Marks the row that names the first id after the window.
const BEYOND: i64 = 0;
/// Marks a row with a count of nodes that have a text, or a selected node.
const FOUND: i64 = 1;
/// Marks a row with counts of nodes that have a text and no vector.
const UNFILLED: i64 = 2;
/// Marks a row with a label of a node that has a vector.
const LABEL: i64 = 3;

/// How the engine spells true in replies.
const TRUE: &str = "true";

/// Longest quarantine note that is passed on, in characters: twice the longest we write.
const MAX_NOTE_CHARS: usize = 500;

/// Selects pending nodes of a window: rows `[1, id, text, label]`, and `[0, id, …]` for the first
/// id after it.
pub(crate) fn select(rule: &Rule, window: Window) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let found = format!(
        "MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi \
         AND n.{target} IS NULL AND n.{error} IS NULL AND n.{source} > '' \
         RETURN {FOUND} AS k, ID(n) AS a, n.{source} AS b, labels(n)[0] AS c LIMIT $rows"
    );
    if window.last {
        // Halves the plan, which is cached per graph.
        return format!("{} {found}", bounds(window)).into_bytes();
    }
    format!(
        "{} MATCH {node} WHERE ID(n) >= $hi \
         RETURN {BEYOND} AS k, ID(n) AS a, NULL AS b, NULL AS c LIMIT 1 \
         UNION ALL {found}",
        bounds(window)
    )
    .into_bytes()
}

/// Lists quarantined nodes of a window: rows `[1, id, error, text, label]`, the text only if
/// `texts`, and `[0, id, …]` for the first id after the window.
pub(crate) fn marked(rule: &Rule, window: Window, texts: bool) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let text = if texts { format!("n.{source}") } else { "NULL".into() };
    format!(
        "{} MATCH {node} WHERE ID(n) >= $hi \
         RETURN {BEYOND} AS k, ID(n) AS a, NULL AS b, NULL AS c, NULL AS d LIMIT 1 \
         UNION ALL MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi \
         AND n.{error} IS NOT NULL AND n.{target} IS NULL AND n.{source} > '' \
         RETURN {FOUND} AS k, ID(n) AS a, n.{error} AS b, {text} AS c, labels(n)[0] AS d LIMIT $rows",
        bounds(window)
    )
    .into_bytes()
}

/// Counts a graph of fewer than `nodes` nodes: rows `[label, has text, has no vector, has no error,
/// nodes, last id]`. One `MATCH` and no `UNION`: a server with many graphs has mostly small ones,
/// and each keeps a cached plan.
pub(crate) fn count_all(rule: &Rule, nodes: u64, labels: bool) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let label = if labels { "labels(n)[0]" } else { "NULL" };
    format!(
        "{SWEEP}nodes={nodes} MATCH {node} WHERE ID(n) >= 0 WITH n LIMIT $nodes \
         RETURN {label}, n.{source} > '', n.{target} IS NULL, n.{error} IS NULL, count(n), max(ID(n))"
    )
    .into_bytes()
}

/// Counts a window: rows `[1, with text, …]`, `[2, without vector, of these quarantined]`, with
/// `labels` also `[3, label, …]`, and `[0, id, …]` for the first id after the window. One `MATCH`
/// per figure takes half the time per node of a single `MATCH` for all of them.
pub(crate) fn count(rule: &Rule, window: Window, labels: bool) -> Vec<u8> {
    let (node, source, target, error) = parts(rule);
    let inside = format!("MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi AND");
    let mut query = format!(
        "{} MATCH {node} WHERE ID(n) >= $hi RETURN {BEYOND} AS k, ID(n) AS a, NULL AS b LIMIT 1 \
         UNION ALL {inside} n.{source} > '' RETURN {FOUND} AS k, count(n) AS a, NULL AS b \
         UNION ALL {inside} n.{target} IS NULL AND n.{source} > '' \
         RETURN {UNFILLED} AS k, count(n) AS a, count(n.{error}) AS b",
        bounds(window)
    );
    if labels {
        // Writing to a String cannot fail.
        write!(
            query,
            " UNION ALL {inside} n.{target} IS NOT NULL \
             RETURN DISTINCT {LABEL} AS k, labels(n)[0] AS a, NULL AS b"
        )
        .ok();
    }
    query.into_bytes()
}

fn bounds(window: Window) -> String {
    format!("{SWEEP}lo={} hi={} rows={}", window.from.id, window.hi, window.rows)
}

/// The reply to [`count_all`]; `None` = the graph has `nodes` nodes or more, or more combinations
/// than fit into `most` reply rows.
pub(crate) fn counted_all(reply: &Value<'_>, nodes: u64, most: usize) -> Option<Count> {
    let rows = rows(reply);
    let (mut count, mut seen) = (no_count(reply), 0);
    for row in rows {
        let [label, text, unfilled, unmarked, found, last] = row.items() else { continue };
        let found = found.unsigned().unwrap_or(0);
        seen += found;
        count.seen.beyond = count.seen.beyond.max(last.unsigned().map(|last| last + 1));
        if text.text() != Some(TRUE) {
            continue;
        }
        count.eligible += found;
        if unfilled.text() == Some(TRUE) {
            count.unfilled += found;
            count.quarantined += if unmarked.text() == Some(TRUE) { 0 } else { found };
        } else {
            count.labels.extend(label.text().map(str::to_owned));
        }
    }
    (seen < nodes && rows.len() < most).then_some(count)
}

/// The reply to [`count`].
pub(crate) fn counted(reply: &Value<'_>) -> Count {
    let mut count = no_count(reply);
    for row in rows(reply) {
        let [kind, a, b] = row.items() else { continue };
        match kind.integer() {
            Some(BEYOND) => count.seen.beyond = a.unsigned(),
            Some(FOUND) => count.eligible = a.unsigned().unwrap_or(0),
            Some(UNFILLED) => {
                count.unfilled = a.unsigned().unwrap_or(0);
                count.quarantined = b.unsigned().unwrap_or(0);
            }
            Some(LABEL) => count.labels.extend(a.text().map(str::to_owned)),
            _ => {}
        }
    }
    count
}

fn no_count(reply: &Value<'_>) -> Count {
    let seen = nothing_seen(reply);
    Count { eligible: 0, unfilled: 0, quarantined: 0, labels: Vec::new(), seen }
}

/// The reply to [`select`].
pub(crate) fn selected(reply: &Value<'_>) -> Selection {
    let (rows, seen) = swept(reply, |id, cells| {
        let [text, label] = cells else { return None };
        let text = text.bytes()?.to_vec();
        let label = label.text().map(str::to_owned);
        Some((text.len(), Selected { id, ends: None, label, source: Source::Text(text) }))
    });
    Selection { rows, seen }
}

/// The reply to [`marked`].
pub(crate) fn marks(reply: &Value<'_>) -> Marked {
    let (rows, seen) = swept(reply, |id, cells| {
        let [note, text, label] = cells else { return None };
        let text = text.bytes().unwrap_or_default().to_vec();
        let (note, label) = (self::note(note), label.text().map(str::to_owned));
        let selected = Selected { id, ends: None, label, source: Source::Text(text.clone()) };
        Some((text.len(), (selected, note)))
    });
    Marked { rows, seen }
}

/// The rows of a sweep that lists nodes. `read` turns the cells after a node's id into the listed
/// item and the length of its text in bytes.
fn swept<T>(
    reply: &Value<'_>,
    read: impl Fn(EntityId, &[Value<'_>]) -> Option<(usize, T)>,
) -> (Vec<T>, Seen) {
    let mut seen = nothing_seen(reply);
    let mut found = Vec::new();
    for row in rows(reply) {
        let [kind, id, cells @ ..] = row.items() else { continue };
        match (kind.integer(), id.unsigned()) {
            (Some(BEYOND), id) => seen.beyond = id,
            (Some(FOUND), Some(id)) => {
                let Some((bytes, node)) = read(EntityId(id), cells) else { continue };
                seen.rows += 1;
                seen.last = seen.last.max(Some(id));
                seen.longest = seen.longest.max(bytes);
                found.push(node);
            }
            _ => {}
        }
    }
    (found, seen)
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
    use crate::engine::query::testing::{reply, rule, text};
    use crate::fill::port::store::Cursor;

    #[test]
    fn names_stand_between_backticks_and_what_changes_is_a_parameter() {
        let window = Window { from: Cursor::at(3), hi: 7, rows: 5, last: false };
        let query = String::from_utf8(select(&rule(), window)).unwrap();
        let begins = "CYPHER vectorfill=1 lo=3 hi=7 rows=5 MATCH (n:`My 'Doc'`)";
        assert!(query.starts_with(begins), "{query}");
        assert!(query.ends_with("LIMIT $rows"), "{query}");
        let last = String::from_utf8(select(&rule(), Window { last: true, ..window })).unwrap();
        assert!(query.contains(" UNION ALL ") && !last.contains("UNION"), "{last}");
    }

    #[test]
    fn the_counts_of_all_kinds_of_nodes_are_added_up() {
        let yes = text("true");
        let no = text("false");
        let proto = reply(&[
            &[&text("Doc"), &yes, &no, &yes, ":3\r\n", ":41\r\n"],
            &[&text("Doc"), &yes, &yes, &yes, ":4\r\n", ":77\r\n"],
            &["$-1\r\n", &yes, &yes, &no, ":2\r\n", ":5\r\n"],
            &["$-1\r\n", &no, &yes, &no, ":1\r\n", ":6\r\n"],
            &["$-1\r\n", "$-1\r\n", &yes, &yes, ":5\r\n", ":90\r\n"],
        ]);
        let value = Value::parse(&proto).unwrap();
        let count = counted_all(&value, 16, 6).unwrap();
        assert_eq!((count.eligible, count.unfilled, count.quarantined), (9, 6, 2));
        assert_eq!((&count.labels[..], count.seen.beyond), (&["Doc".to_owned()][..], Some(91)));
        assert_eq!(counted_all(&value, 15, 6), None, "there may be more nodes");
        assert_eq!(counted_all(&value, 16, 5), None, "there may be more rows");
    }

    #[test]
    fn the_counts_of_a_window_stand_in_rows_of_their_own() {
        let proto = reply(&[
            &[":0\r\n", ":900\r\n", "$-1\r\n"],
            &[":1\r\n", ":9\r\n", "$-1\r\n"],
            &[":2\r\n", ":6\r\n", ":1\r\n"],
            &[":3\r\n", &text("Doc"), "$-1\r\n"],
        ]);
        let count = counted(&Value::parse(&proto).unwrap());
        assert_eq!((count.eligible, count.unfilled, count.quarantined), (9, 6, 1));
        assert_eq!((&count.labels[..], count.seen.beyond), (&["Doc".to_owned()][..], Some(900)));
    }

    #[test]
    fn a_selection_tells_its_rows_and_what_lies_beyond() {
        let proto = reply(&[
            &[":0\r\n", ":900\r\n", "$-1\r\n", "$-1\r\n"],
            &[":1\r\n", ":7\r\n", &text("x"), &text("Doc")],
            &[":1\r\n", ":9\r\n", &text("yz"), "$-1\r\n"],
        ]);
        let Selection { rows, seen } = selected(&Value::parse(&proto).unwrap());
        let source = Source::Text(b"yz".to_vec());
        assert_eq!(rows[1], Selected { id: EntityId(9), ends: None, label: None, source });
        let took = Duration::from_micros(1_500);
        assert_eq!(
            seen,
            Seen { rows: 2, last: Some(9), longest: 2, resume: None, beyond: Some(900), took }
        );
    }
}
