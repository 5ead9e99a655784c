//! Sweeps over windows of the ids of relationships' sources: the engine cannot look for the id of a
//! relationship.
//!
//! It lists relationships by source, and those of a source by target; this was observed on every
//! tested engine, in graphs with deleted and reused ids too. Those between the same two nodes come
//! in no order. So a page of a sweep ends with a pair of nodes, and a pair with more relationships
//! than fit into a page is listed by their ids.

use crate::engine::query::SWEEP;
use crate::engine::query::shape::Shape;
use crate::engine::query::sweep::{BEYOND, FOUND, GROUP, columns, nothing};
use crate::entity::Ends;
use crate::fill::port::store::{Cursor, Window};

/// The next source is looked for among this many ids: at up to 0.4 µs for each that has no
/// relationship, that takes as long as a window should.
const NEAR: u64 = 8_192;

/// Relationships of a window for which the tests hold: rows `[1, id, …, source, target]`, and
/// `[0, id, …]` for a node after it.
pub(super) fn list(shape: &Shape<'_>, window: Window, tests: &str, cells: &[String]) -> String {
    if let Some(first) = window.from.between {
        return between(shape, window, first, &format!("{tests}{}", shape.meant()), cells);
    }
    let ends = ["ID(n)", "ID(m)"].map(str::to_owned);
    let found = format!(
        "MATCH (n)-{}->(m) WHERE ID(n) >= $lo AND ID(n) < $hi \
         AND (ID(n) > $lo OR ID(m) >= $target) AND {tests}{} \
         RETURN {FOUND} AS k, ID(r) AS a{} LIMIT $rows",
        shape.relationship(),
        shape.meant(),
        columns(&[cells, &ends].concat())
    );
    let rows = format!("rows={} target={}", window.rows, window.from.target);
    if window.last {
        return format!("{} {rows} {found}", bounds(window));
    }
    let beyond = beyond(shape, cells.len() + ends.len());
    format!("{} far={} {rows} {beyond} UNION ALL {found}", bounds(window), far(window))
}

/// The relationships between two nodes, from this id on. Without the `WITH`s the engine would walk
/// all relationships of the source.
fn between(shape: &Shape<'_>, window: Window, first: u64, tests: &str, cells: &[String]) -> String {
    let Cursor { id, target, .. } = window.from;
    let ends = ["$lo", "$target"].map(str::to_owned);
    format!(
        "{SWEEP}lo={id} target={target} first={first} rows={} \
         MATCH (n) WHERE ID(n) = $lo WITH n MATCH (m) WHERE ID(m) = $target WITH n, m \
         MATCH (n)-{}->(m) WHERE ID(r) >= $first AND {tests} WITH r ORDER BY ID(r) LIMIT $rows \
         RETURN {FOUND} AS k, ID(r) AS a{}",
        window.rows,
        shape.relationship(),
        columns(&[cells, &ends].concat())
    )
}

/// Where a list goes on that has these relationships; `None` = the window is done. Those of the
/// last pair in a full page are to be dropped: it may have more of them.
pub(super) fn resume(window: Window, listed: &[(u64, Ends)]) -> Option<Cursor> {
    let full = listed.len() >= window.rows;
    let (first, last) = (listed.first(), listed.last());
    if window.from.between.is_some() {
        let next = last.filter(|_| full).map(|(id, _)| id.saturating_add(1));
        let target = window.from.target.saturating_add(u64::from(next.is_none()));
        return Some(Cursor { target, between: next, ..window.from });
    }
    let ((_, first), (_, last)) = (first.filter(|_| full)?, last?);
    let between = (first == last).then_some(0);
    Some(Cursor { id: last.source, target: last.target, between })
}

/// The pair whose relationships are not all in a page that goes on there.
pub(super) fn unsure(window: Window, resume: Option<Cursor>) -> Option<Ends> {
    let whole = window.from.between.is_some();
    resume.filter(|_| !whole).map(|next| Ends { source: next.id, target: next.target })
}

/// One grouped `MATCH` is cheaper than one per figure: finding a relationship costs more than
/// looking at it.
pub(super) fn count(shape: &Shape<'_>, window: Window) -> String {
    let Shape { target, error, .. } = shape;
    format!(
        "{} far={} {} UNION ALL MATCH (n)-{}->() WHERE ID(n) >= $lo AND ID(n) < $hi AND {}{} \
         RETURN {GROUP} AS k, count(r) AS a, type(r) AS b, typeOf({target}) AS c, \
         {error} IS NULL AS d",
        bounds(window),
        far(window),
        beyond(shape, 3),
        shape.relationship(),
        shape.has_text(),
        shape.meant()
    )
}

/// A graph with a node whose id is `nodes` or more is not small, whatever its relationships: the
/// query ends with a row that says so.
pub(super) fn count_all(shape: &Shape<'_>, nodes: u64) -> String {
    let Shape { target, error, .. } = shape;
    format!(
        "{SWEEP}nodes={nodes} MATCH (n)-{}->() WHERE ID(n) >= 0 AND ID(n) < $nodes \
         WITH n, r LIMIT $nodes RETURN type(r) AS a, {}{} AS b, typeOf({target}) AS c, \
         {error} IS NULL AS d, count(r) AS e, max(ID(n)) AS f \
         UNION ALL MATCH (n) WHERE ID(n) >= $nodes \
         RETURN NULL AS a, NULL AS b, NULL AS c, NULL AS d, $nodes AS e, NULL AS f LIMIT 1",
        shape.relationship(),
        shape.has_text(),
        shape.meant()
    )
}

/// The next node where a relationship begins or, if none is near, the next one that is far.
fn beyond(shape: &Shape<'_>, cells: usize) -> String {
    format!(
        "MATCH (n) WHERE ID(n) >= $hi AND ({} > 0 OR ID(n) >= $far) \
         RETURN {BEYOND} AS k, ID(n) AS a{} LIMIT 1",
        shape.outdegree(),
        nothing(cells)
    )
}

fn bounds(window: Window) -> String {
    format!("{SWEEP}lo={} hi={}", window.from.id, window.hi)
}

fn far(window: Window) -> u64 {
    window.hi.saturating_add(NEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Cursor = Cursor { id: 5, target: 3, between: None };

    fn window(rows: usize, from: Cursor) -> Window {
        Window { from, hi: 100, rows, last: false }
    }

    fn listed(pairs: &[(u64, u64)]) -> Vec<(u64, Ends)> {
        let ends = |(source, target): &(u64, u64)| Ends { source: *source, target: *target };
        pairs.iter().enumerate().map(|(id, pair)| (id as u64, ends(pair))).collect()
    }

    #[test]
    fn a_full_page_goes_on_at_its_last_pair() {
        let page = listed(&[(5, 3), (6, 1), (6, 2)]);
        assert_eq!(
            resume(window(3, FROM), &page),
            Some(Cursor { id: 6, target: 2, between: None })
        );
        assert_eq!(resume(window(4, FROM), &page), None);
    }

    #[test]
    fn a_pair_that_fills_a_page_is_listed_by_ids() {
        let page = listed(&[(6, 1), (6, 1)]);
        let next = Cursor { id: 6, target: 1, between: Some(0) };
        assert_eq!(resume(window(2, FROM), &page), Some(next));
        let after = Cursor { between: Some(2), ..next };
        assert_eq!(resume(window(2, next), &page), Some(after));
        let done = Cursor { id: 6, target: 2, between: None };
        assert_eq!(resume(window(3, after), &page), Some(done));
        assert_eq!(resume(window(3, after), &[]), Some(done));
    }
}
