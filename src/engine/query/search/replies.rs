//! What the replies to the queries of a search say.

use crate::engine::query::search::{Found, Looked};
use crate::engine::query::sweep::is_typed;
use crate::engine::query::{rows, typed};
use crate::engine::value::Value;
use crate::entity::Ends;
use crate::rule::template::Composed;
use crate::rule::{Rule, Similarity};

/// Whether there is an index; `None` = there is none.
pub(super) fn looked(reply: &Value<'_>) -> Option<Looked> {
    let [similarity, nodes] = rows(reply).first()?.items() else { return None };
    let similarity = Similarity::parse(similarity.text()?)?;
    Some(Looked { similarity, nodes: nodes.unsigned()? })
}

/// The neighbours: rows `[id, score, text]`, of relationships also `[…, source, target]`.
pub(super) fn found(rule: &Rule, reply: &Value<'_>) -> Vec<Found> {
    let found = rows(reply).iter().filter_map(|row| {
        let cells = typed::cells(row, is_typed(rule));
        let [id, score, text, ends @ ..] = cells.as_slice() else { return None };
        let ends = match ends {
            [source, target] => {
                Some(Ends { source: source.unsigned()?, target: target.unsigned()? })
            }
            _ => None,
        };
        let (id, score) = (id.integer()?, score.text()?.parse().ok()?);
        Some(Found { id, score, text: text_of(rule, text), ends })
    });
    found.collect()
}

fn text_of(rule: &Rule, cell: &Value<'_>) -> Option<Vec<u8>> {
    if !is_typed(rule) {
        return cell.bytes().map(<[u8]>::to_vec);
    }
    match rule.text.compose(&typed::properties(cell)) {
        Composed::Text(text) => Some(text),
        Composed::Blank | Composed::Unusable => None,
    }
}
