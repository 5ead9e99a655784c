//! Sweeps over windows of node ids.

use std::fmt::Write as _;

use crate::engine::query::SWEEP;
use crate::engine::query::shape::Shape;
use crate::engine::query::sweep::{
    BEYOND, FOUND, LABEL, OWNER, OWNERS, UNFILLED, columns, nothing,
};
use crate::fill::port::store::Window;

/// Nodes of a window for which the tests hold: rows `[1, id, …]`, and `[0, id, …]` for the first id
/// after it.
pub(super) fn list(shape: &Shape<'_>, window: Window, tests: &str, cells: &[String]) -> String {
    let (node, meant) = (shape.node(), shape.meant());
    let found = format!(
        "MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi AND {tests}{meant} \
         RETURN {FOUND} AS k, ID(n) AS a{} LIMIT $rows",
        columns(cells)
    );
    if window.last {
        // Halves the plan, which is cached per graph.
        return format!("{} {found}", bounds(window));
    }
    format!("{} {} UNION ALL {found}", bounds(window), beyond(&node, cells.len()))
}

/// One `MATCH` and no `UNION`: a server with many graphs has mostly small ones, and each keeps a
/// cached plan.
pub(super) fn count_all(shape: &Shape<'_>, nodes: u64, labels: bool) -> String {
    let Shape { target, error, .. } = shape;
    let label = if labels { shape.label() } else { "NULL".into() };
    format!(
        "{SWEEP}nodes={nodes} MATCH {} WHERE ID(n) >= 0 WITH n LIMIT $nodes \
         RETURN {label}, {}{}, typeOf({target}), {error} IS NULL, count(n), max(ID(n))",
        shape.node(),
        shape.has_text(),
        shape.meant()
    )
}

/// One `MATCH` per figure takes half the time per node of a single `MATCH` for all of them.
pub(super) fn count(shape: &Shape<'_>, window: Window, labels: bool) -> String {
    let Shape { target, error, .. } = shape;
    let (node, text, meant) = (shape.node(), shape.has_text(), shape.meant());
    let inside = format!("MATCH {node} WHERE ID(n) >= $lo AND ID(n) < $hi AND");
    let mut query = format!(
        "{} {} \
         UNION ALL {inside} {text}{meant} RETURN {FOUND} AS k, count(n) AS a, NULL AS b \
         UNION ALL {inside} {target} IS NULL AND {text}{meant} \
         RETURN {UNFILLED} AS k, count(n) AS a, count({error}) AS b",
        bounds(window),
        beyond(&node, 1)
    );
    if labels {
        // Writing to a String cannot fail.
        write!(
            query,
            " UNION ALL {inside} {target} IS NOT NULL{meant} \
             RETURN DISTINCT {LABEL} AS k, {} AS a, typeOf({target}) AS b",
            shape.label()
        )
        .ok();
        for owner in OWNERS.into_iter().filter(|_| shape.is_default()) {
            write!(
                query,
                " UNION ALL MATCH (o:`{owner}`) \
                 RETURN {OWNER} AS k, '{owner}' AS a, NULL AS b LIMIT 1"
            )
            .ok();
        }
    }
    query
}

fn beyond(node: &str, cells: usize) -> String {
    let nothing = nothing(cells);
    format!("MATCH {node} WHERE ID(n) >= $hi RETURN {BEYOND} AS k, ID(n) AS a{nothing} LIMIT 1")
}

fn bounds(window: Window) -> String {
    format!("{SWEEP}lo={} hi={} rows={}", window.from.id, window.hi, window.rows)
}
