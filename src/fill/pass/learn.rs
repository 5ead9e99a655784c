//! What the answers to its reads tell a pass, and the stage that follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Pass, Stage};
use crate::fill::node::{Node, NodeId, Pending, Text};
use crate::fill::quarantine;
use crate::fill::rule::Name;
use crate::fill::scan::Sweep;
use crate::fill::slice::Slicer;
use crate::fill::store::{Count, Index, Marked, NewIndex, Query, Selection};
use crate::fill::wakes::Scope;

/// How often a pass sweeps the graph again because nodes changed under it. A node that changes all
/// the time is left to the next pass, or it would be paid for without end.
const RESWEEPS: u32 = 1;
/// How often a building index is looked at.
const BUILD_POLL: Duration = Duration::from_millis(100);
/// How long a pass looks on while an index is built.
const BUILD_WATCH: Duration = Duration::from_secs(10);

impl Pass {
    /// The indexes are known.
    pub(in crate::fill) fn learn_indexes(&mut self, now: Instant, found: Vec<Index>) {
        self.building = found.iter().any(|index| !index.ready);
        self.indexes = found.into_iter().map(|index| (index.label, index.dimension)).collect();
        match self.stage {
            Stage::Building => self.watch(now),
            Stage::Indexes if self.building => self.not_before = Some(now + BUILD_POLL),
            Stage::Indexes => self.stage = self.first_sweep(),
            Stage::Counting(_)
            | Stage::Filling(_)
            | Stage::Reviewing(_)
            | Stage::Sampling(_)
            | Stage::Done => {}
        }
    }

    fn first_sweep(&self) -> Stage {
        match self.plan.scope {
            Scope::Whole => Stage::Counting(Sweep::new(0, self.plan.most_rows)),
            Scope::From(_) => self.filling(),
        }
    }

    fn filling(&self) -> Stage {
        Stage::Filling(Sweep::new(self.plan.scope.first(), self.plan.most_rows))
    }

    /// Looks on while an index is built: a small one is ready at the end of the pass, and a large one
    /// does not keep new nodes waiting.
    fn watch(&mut self, now: Instant) {
        let since = *self.building_since.get_or_insert(now);
        if self.building && now < since + BUILD_WATCH {
            self.not_before = Some(now + BUILD_POLL);
        } else if self.building || self.indexes_to_create.is_empty() {
            self.left_unindexed = !self.indexes_to_create.is_empty();
            self.indexes_to_create.clear();
            self.stage = Stage::Done;
        }
    }

    /// A window has been counted. Returns whether the count is complete.
    pub(in crate::fill) fn learn_count(&mut self, query: &Query, count: Count) -> bool {
        let (Stage::Counting(sweep), Query::Count { window, .. }) = (&mut self.stage, query) else {
            return false;
        };
        sweep.advance(*window, count.seen);
        self.swept += count.seen.took;
        self.counted.eligible += count.eligible;
        self.counted.unfilled += count.unfilled;
        self.counted.quarantined += count.quarantined;
        let only = self.plan.rule.label.as_ref().map(Name::as_str);
        let meant = |label: &String| only.is_none_or(|only| only == label);
        self.labels.extend(count.labels.into_iter().filter(meant));
        let done = sweep.is_done();
        if done {
            self.end_of_graph = Some(window.lo);
            let pending = self.counted.unfilled > self.counted.quarantined;
            self.stage = if pending { self.filling() } else { self.after_fill() };
        }
        done
    }

    /// **Where selected nodes come in.** Returns how many of them no count knows of.
    pub(in crate::fill) fn learn_selection(&mut self, query: &Query, selection: Selection) -> u64 {
        let (Stage::Filling(sweep), Query::Select(window)) = (&mut self.stage, query) else {
            return 0;
        };
        sweep.advance(*window, selection.seen);
        self.swept += selection.seen.took;
        if sweep.is_done() {
            let behind = selection.seen.last.map(|last| last.saturating_add(1));
            self.end_of_graph = behind.max(Some(window.lo));
        }
        let new = self.plan.scope != Scope::Whole && self.resweeps == 0;
        let uncounted = if new { selection.rows.len() as u64 } else { 0 };
        for (id, bytes, label) in selection.rows {
            let text = Text::new(&bytes, self.plan.rule.max_text_chars);
            self.take_in(id, text, label);
        }
        uncounted
    }

    /// Quarantined nodes are known: those whose mark speaks of another text are taken in. Returns how
    /// many.
    pub(in crate::fill) fn learn_marked(&mut self, query: &Query, marked: Marked) -> u64 {
        let (Stage::Reviewing(sweep), Query::Marked { window, .. }) = (&mut self.stage, query)
        else {
            return 0;
        };
        sweep.advance(*window, marked.seen);
        self.swept += marked.seen.took;
        let before = self.tally.selected;
        for node in marked.rows {
            let text = Text::new(&node.text, self.plan.rule.max_text_chars);
            if quarantine::is_outdated(&node.note, &text) {
                self.take_in(node.id, text, node.label);
            }
        }
        self.tally.selected - before
    }

    fn take_in(&mut self, id: NodeId, text: Text, label: Option<String>) {
        self.tally.selected += 1;
        self.tally.truncated += u64::from(text.is_cut());
        // The label that was asked for is the one whose index is meant.
        let only = self.plan.rule.label.as_ref().map(|label| label.as_str().into());
        let label: Option<Arc<str>> = only.or_else(|| label.map(Arc::from));
        self.batcher.push(Pending { node: Node { id, label }, text });
    }

    /// The dimension of a label's vectors is known: the index can be created.
    pub(in crate::fill) fn learn_sample(&mut self, sample: Option<usize>) {
        let Stage::Sampling(labels) = &mut self.stage else { return };
        if let (Some(label), Some(dimensions), Some(similarity)) =
            (labels.pop(), sample, self.plan.auto_index)
        {
            self.indexes_to_create.push_back(NewIndex { label, dimensions, similarity });
        }
        if labels.is_empty() {
            self.stage = Stage::Building;
            // One may be: that is asked first.
            self.building = true;
        }
    }

    pub(super) fn after_sweep(&mut self) -> Stage {
        let changed = self.tally.stale > self.stale_before;
        if changed && self.resweeps < RESWEEPS {
            self.resweeps += 1;
            self.stale_before = self.tally.stale;
            return self.filling();
        }
        if matches!(self.stage, Stage::Reviewing(_)) {
            return self.after_drain();
        }
        self.after_fill()
    }

    fn after_fill(&mut self) -> Stage {
        if self.counted.quarantined > 0 {
            // To take a mark away costs a query, whatever the writes so far have cost.
            self.slicer = Slicer::default();
            return Stage::Reviewing(Sweep::new(0, self.plan.most_rows));
        }
        self.after_drain()
    }

    fn after_drain(&self) -> Stage {
        if self.plan.auto_index.is_none() {
            return Stage::Done;
        }
        // A label whose name cannot be quoted cannot have an index.
        let missing: Vec<Name> = self
            .labels
            .iter()
            .filter(|label| !self.indexes.contains_key(*label))
            .filter_map(|label| Name::parse("label", label).ok())
            .collect();
        if missing.is_empty() { Stage::Done } else { Stage::Sampling(missing) }
    }
}
