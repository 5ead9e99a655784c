//! What the replies to counts say.

use crate::engine::query::rows;
use crate::engine::query::sweep::{
    BEYOND, FOUND, GROUP, LABEL, OWNER, OWNERS, TRUE, UNFILLED, label_of, nothing_seen,
};
use crate::engine::value::Value;
use crate::fill::port::store::Count;
use crate::rule::Rule;
use crate::rule::name::DEFAULT;

/// The type of a property that is not there, and of a plain list.
const NULL: &str = "Null";
const LIST: &str = "List";

/// What was asked for in a count of a whole graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A graph of this many nodes or relationships is not small.
    pub(crate) nodes: u64,
    /// Maximum rows in the reply.
    pub(crate) rows: usize,
    /// Whether to list the labels that have vectors.
    pub(crate) labels: bool,
}

/// The reply to [`count_all`](super::count_all); `None` = the graph is not small, or has more
/// combinations than fit into the reply.
pub(crate) fn counted_all(rule: &Rule, limits: Limits, reply: &Value<'_>) -> Option<Count> {
    let rows = rows(reply);
    let (mut count, mut seen) = (no_count(reply), 0_u64);
    for row in rows {
        let [label, text, target, unmarked, found, last] = row.items() else { continue };
        let found = found.unsigned().unwrap_or(0);
        seen = seen.saturating_add(found);
        let behind = last.unsigned().map(|last| last.saturating_add(1));
        count.seen.beyond = count.seen.beyond.max(behind);
        count.owner = count.owner.or(owner_of(rule, label));
        if text.text() == Some(TRUE) {
            let group = Group { rule, found, label, target, unmarked };
            group.add_to(&mut count, limits.labels);
        }
    }
    (seen < limits.nodes && rows.len() < limits.rows).then_some(count)
}

/// The reply to [`count`](super::count).
pub(crate) fn counted(rule: &Rule, labels: bool, reply: &Value<'_>) -> Count {
    let mut count = no_count(reply);
    for row in rows(reply) {
        let [kind, a, rest @ ..] = row.items() else { continue };
        let number = a.unsigned().unwrap_or(0);
        match (kind.integer(), rest) {
            (Some(BEYOND), _) => count.seen.beyond = a.unsigned(),
            (Some(FOUND), _) => count.eligible = number,
            (Some(UNFILLED), [marked]) => {
                count.unfilled = number;
                count.quarantined = marked.unsigned().unwrap_or(0);
            }
            (Some(OWNER), _) => count.owner = owner_of(rule, a),
            (Some(LABEL), rest) => {
                count.lists |= rest.first().is_some_and(|kind| kind.text() == Some(LIST));
                add_label(rule, a, &mut count);
            }
            (Some(GROUP), [label, target, unmarked]) => {
                let group = Group { rule, found: number, label, target, unmarked };
                group.add_to(&mut count, labels);
            }
            _ => {}
        }
    }
    count
}

/// Entities with a text that are alike.
struct Group<'v, 'a> {
    rule: &'v Rule,
    found: u64,
    label: &'v Value<'a>,
    /// The type of the target.
    target: &'v Value<'a>,
    unmarked: &'v Value<'a>,
}

impl Group<'_, '_> {
    fn add_to(&self, count: &mut Count, labels: bool) {
        count.eligible += self.found;
        count.lists |= self.target.text() == Some(LIST);
        if self.target.text() == Some(NULL) {
            count.unfilled += self.found;
            count.quarantined += if self.unmarked.text() == Some(TRUE) { 0 } else { self.found };
        } else if labels {
            add_label(self.rule, self.label, count);
        }
    }
}

/// The client that a label is the mark of, if the rule is the settings' one: whoever defines a rule
/// for a graph means it.
fn owner_of(rule: &Rule, label: &Value<'_>) -> Option<&'static str> {
    let label = label.text().filter(|_| rule.name.as_str() == DEFAULT)?;
    OWNERS.into_iter().find(|owner| *owner == label)
}

/// Lists a label once, if the rule means it.
fn add_label(rule: &Rule, cell: &Value<'_>, count: &mut Count) {
    let label = label_of(rule, cell).filter(|label| rule.pattern.means(label));
    count.labels.extend(label.filter(|label| !count.labels.contains(label)));
}

fn no_count(reply: &Value<'_>) -> Count {
    let seen = nothing_seen(reply);
    Count {
        eligible: 0,
        unfilled: 0,
        quarantined: 0,
        labels: Vec::new(),
        owner: None,
        lists: false,
        seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, relationships, reply, text};

    #[test]
    fn the_counts_of_all_kinds_of_nodes_are_added_up() {
        let (yes, no) = (text("true"), text("false"));
        let (none, vector, list) = (text("Null"), text("Vectorf32"), text("List"));
        let proto = reply(&[
            &[&text("Doc"), &yes, &vector, &yes, ":2\r\n", ":41\r\n"],
            &[&text("Doc"), &yes, &list, &yes, ":1\r\n", ":40\r\n"],
            &[&text("Doc"), &yes, &none, &yes, ":4\r\n", ":77\r\n"],
            &["$-1\r\n", &yes, &none, &no, ":2\r\n", ":5\r\n"],
            &["$-1\r\n", &no, &none, &no, ":1\r\n", ":6\r\n"],
            &["$-1\r\n", "$-1\r\n", &none, &yes, ":5\r\n", ":90\r\n"],
        ]);
        let value = Value::parse(&proto).unwrap();
        let limits = Limits { nodes: 16, rows: 7, labels: true };
        let any = nodes(&[], "text");
        let count = counted_all(&any, limits, &value).unwrap();
        assert_eq!((count.eligible, count.unfilled, count.quarantined), (9, 6, 2));
        assert!(count.lists);
        assert_eq!((&count.labels[..], count.seen.beyond), (&["Doc".to_owned()][..], Some(91)));
        let none = |limits| counted_all(&any, limits, &value);
        assert_eq!(none(Limits { nodes: 15, ..limits }), None, "there may be more nodes");
        assert_eq!(none(Limits { rows: 6, ..limits }), None, "there may be more rows");
    }

    #[test]
    fn the_counts_of_a_window_stand_in_rows_of_their_own() {
        let proto = reply(&[
            &[":0\r\n", ":900\r\n", "$-1\r\n"],
            &[":1\r\n", ":9\r\n", "$-1\r\n"],
            &[":2\r\n", ":6\r\n", ":1\r\n"],
            &[":3\r\n", &text("Thing"), "$-1\r\n"],
            &[":3\r\n", &text("Doc"), &text("Vectorf32")],
        ]);
        let value = Value::parse(&proto).unwrap();
        let count = counted(&nodes(&["Doc", "Other"], "text"), true, &value);
        assert_eq!((count.eligible, count.unfilled, count.quarantined), (9, 6, 1));
        assert_eq!((&count.labels[..], count.seen.beyond), (&["Doc".to_owned()][..], Some(900)));
        let only = counted(&nodes(&["Only"], "text"), true, &value);
        assert_eq!(only.labels, ["Only"], "whichever label a node has first");
    }

    #[test]
    fn relationships_are_counted_in_groups() {
        let (yes, no) = (text("true"), text("false"));
        let (none, vector) = (text("Null"), text("Vectorf32"));
        let proto = reply(&[
            &[":0\r\n", ":900\r\n", "$-1\r\n", "$-1\r\n", "$-1\r\n"],
            &[":4\r\n", ":5\r\n", &text("A"), &none, &yes],
            &[":4\r\n", ":2\r\n", &text("A"), &none, &no],
            &[":4\r\n", ":3\r\n", &text("B"), &vector, &yes],
        ]);
        let value = Value::parse(&proto).unwrap();
        let count = counted(&relationships(&["A", "B"], "fact"), true, &value);
        assert_eq!((count.eligible, count.unfilled, count.quarantined), (10, 7, 2));
        assert_eq!((&count.labels[..], count.seen.beyond), (&["B".to_owned()][..], Some(900)));
        assert_eq!(counted(&relationships(&[], "fact"), false, &value).labels, [""; 0]);
    }
}
