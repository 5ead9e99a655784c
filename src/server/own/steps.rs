//! What happened to graphs in one command or transaction, and what that means for their rules.

use crate::entity::GraphName;
use crate::server::graph::hold::Hold;
use crate::server::own::keep;

/// What happened, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// The name that a key is being renamed from: its event comes just before that of the new one.
    from: Option<GraphName>,
    renamed: Vec<(GraphName, GraphName)>,
    removed: Vec<GraphName>,
}

impl Steps {
    pub(super) const fn new() -> Self {
        Self { from: None, renamed: Vec::new(), removed: Vec::new() }
    }

    /// Whether there is anything to follow. A rename whose second name is still to come counts.
    pub(super) fn are_some(&self) -> bool {
        self.from.is_some() || !self.renamed.is_empty() || !self.removed.is_empty()
    }

    pub(super) fn renamed_from(&mut self, from: GraphName) {
        self.from = Some(from);
    }

    /// Without a name that it was renamed from, it is ignored.
    pub(super) fn renamed_to(&mut self, to: GraphName) {
        self.renamed.extend(self.from.take().map(|from| (from, to)));
    }

    pub(super) fn removed(&mut self, graph: GraphName) {
        self.removed.push(graph);
    }
}

/// Renames first: each removes the old name, too, and only what is gone in the end is gone.
pub(super) fn follow(hold: &Hold<'_>, steps: Steps) {
    for (from, to) in &steps.renamed {
        keep::follow_rename(hold, from, to);
    }
    let renamed = steps.renamed.into_iter().map(|(_, to)| to);
    for graph in renamed.chain(steps.removed) {
        keep::follow_removal(hold, &graph);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_is_noted_once_both_names_are_known() {
        let mut steps = Steps::new();
        assert!(!steps.are_some());
        steps.renamed_to(GraphName::new("x"));
        steps.renamed_from(GraphName::new("a"));
        assert!(steps.are_some());
        steps.renamed_to(GraphName::new("b"));
        steps.renamed_to(GraphName::new("c"));
        assert_eq!(steps.renamed, [(GraphName::new("a"), GraphName::new("b"))]);
    }
}
