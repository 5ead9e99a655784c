//! What a pass learns from the answers to its reads, and the stage that follows.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::{Entity, Text};
use crate::fill::lane::batch::Pending;
use crate::fill::pass::plan::Stage;
use crate::fill::pass::write_sizer::WriteSizer;
use crate::fill::pass::{Counted, NoText, Pass};
use crate::fill::port::store::{
    Count, Index, Marked, NewIndex, Query, Selected, Selection, Source,
};
use crate::fill::quarantine::mark;
use crate::fill::sweep::{Scope, Sweep};
use crate::rule::name::Name;
use crate::rule::template::Composed;

/// How often a pass sweeps the graph again because nodes changed during the pass. A node that keeps
/// changing is left to the next pass, or it would be paid for endlessly.
const RESWEEPS: u32 = 1;
/// A pass over this few nodes is over before it is worth looking for an index built by someone
/// else.
const SHORT_PASS: u64 = 128;
/// How soon to check an index being built again: a small one is ready in a moment.
const FIRST_BUILD_POLL: Duration = Duration::from_millis(4);
const MAX_BUILD_POLL: Duration = Duration::from_millis(100);
/// How long a pass waits for an index build.
const BUILD_WATCH: Duration = Duration::from_secs(10);

impl Pass {
    /// The indexes are known.
    pub(super) fn learn_indexes(&mut self, now: Instant, found: Vec<Index>) {
        self.building = found.iter().any(|index| !index.ready);
        self.indexes = found.into_iter().map(|index| (index.label, index.dimension)).collect();
        match self.stage {
            Stage::Building => self.watch(now),
            Stage::Indexes if self.building => self.not_before = Some(now + MAX_BUILD_POLL),
            Stage::Indexes => self.stage = self.after_indexes(),
            Stage::CountingAll
            | Stage::Counting(_)
            | Stage::Filling(_)
            | Stage::Reviewing(_)
            | Stage::Lists(_)
            | Stage::Sampling(_)
            | Stage::Done => debug_assert!(false, "indexes for a pass that did not ask"),
        }
    }

    fn after_indexes(&mut self) -> Stage {
        let counted = self.plan.scope == Scope::Full;
        if counted && !self.counted.is_pending() { self.after_fill() } else { self.filling() }
    }

    fn filling(&self) -> Stage {
        if let Some(end) = self.known_end {
            return Stage::Filling(Sweep::up_to(end, self.plan.max_rows));
        }
        Stage::Filling(Sweep::new(self.plan.scope.first(), self.plan.max_rows))
    }

    /// Waits for an index build for a while: a small index is ready by the end of the pass, and a
    /// large one does not keep new nodes waiting.
    fn watch(&mut self, now: Instant) {
        let since = *self.building_since.get_or_insert(now);
        if self.building && now < since + BUILD_WATCH {
            let pause = now.duration_since(since).clamp(FIRST_BUILD_POLL, MAX_BUILD_POLL);
            self.not_before = Some(now + pause);
        } else if self.building || self.indexes_to_create.is_empty() {
            self.left_unindexed = !self.indexes_to_create.is_empty();
            self.indexes_to_create.clear();
            self.stage = Stage::Done;
        }
    }

    /// A window has been counted. Returns the sums when the count is complete.
    pub(super) fn learn_count(&mut self, query: &Query, count: Count) -> Option<Counted> {
        let (Stage::Counting(sweep), Query::Count { window, .. }) = (&mut self.stage, query) else {
            debug_assert!(false, "a count for a pass that is not counting");
            return None;
        };
        sweep.advance(*window, count.seen);
        let done = sweep.is_done();
        self.add_count(count);
        done.then(|| self.counted_whole(window.from.id))
    }

    /// The count of a graph that may be small. Returns the sums if it is.
    pub(super) fn learn_count_all(&mut self, count: Option<Count>) -> Option<Counted> {
        let Stage::CountingAll = self.stage else {
            debug_assert!(false, "a whole count for a pass that is past it");
            return None;
        };
        let Some(count) = count else {
            self.stage = Stage::Counting(Sweep::new(0, self.plan.max_rows));
            return None;
        };
        self.known_end = Some(count.seen.beyond.unwrap_or(0));
        self.add_count(count);
        Some(self.counted_whole(0))
    }

    fn add_count(&mut self, count: Count) {
        self.swept += count.seen.took;
        self.counted.eligible += count.eligible;
        self.counted.unfilled += count.unfilled;
        self.counted.quarantined += count.quarantined;
        self.holds_lists |= count.lists;
        self.owner = self.owner.or(count.owner);
        let pattern = &self.plan.rule.pattern;
        let meant = |label: &String| pattern.means(label);
        self.had_vectors.extend(count.labels.into_iter().filter(meant));
    }

    /// The count is complete; its last window started at this id.
    fn counted_whole(&mut self, last: u64) -> Counted {
        self.end_of_graph = Some(last);
        if self.owner.is_some() {
            // Another client fills it, with a model of its own and an index for that.
            self.stage = Stage::Done;
            return Counted::default();
        }
        self.labels.extend(self.had_vectors.iter().cloned());
        let indexes = self.plan.check_indexes && !self.labels.is_empty();
        let needed = self.counted.is_pending()
            || self.counted.quarantined > 0
            || indexes
            || self.holds_lists;
        self.stage = if needed { Stage::Indexes } else { Stage::Done };
        self.counted
    }

    /// **Where selected nodes come in.** Returns how many of them no count included.
    pub(super) fn learn_selection(&mut self, query: &Query, selection: Selection) -> u64 {
        let (Stage::Filling(sweep), Query::Select(window)) = (&mut self.stage, query) else {
            debug_assert!(false, "a selection for a pass that is not filling");
            return 0;
        };
        sweep.advance(*window, selection.seen);
        self.swept += selection.seen.took;
        if sweep.is_done() {
            let behind = selection.seen.last.map(|last| last.saturating_add(1));
            self.end_of_graph = behind.max(Some(window.from.id));
        }
        let counted = self.plan.scope == Scope::Full && self.extended.is_none();
        let new = !counted && self.resweeps == 0;
        let uncounted = if new { selection.rows.len() as u64 } else { 0 };
        let blank = selection.rows.into_iter().filter_map(|row| self.take_in(row)).count() as u64;
        uncounted.saturating_sub(blank)
    }

    /// Quarantined nodes were read: those whose mark is about a different text are taken in.
    /// Returns how many.
    pub(super) fn learn_marked(&mut self, query: &Query, marked: Marked) -> u64 {
        let (Stage::Reviewing(sweep), Query::Marked { window, .. }) = (&mut self.stage, query)
        else {
            debug_assert!(false, "marked nodes for a pass that is not reviewing");
            return 0;
        };
        sweep.advance(*window, marked.seen);
        self.swept += marked.seen.took;
        let before = self.tally.selected;
        for (row, note) in marked.rows {
            if let Ok(pending) = self.pending(row)
                && mark::is_outdated(&note, &pending.text)
            {
                self.hold(pending);
            }
        }
        self.tally.selected - before
    }

    /// Takes in a selected entity; `Some` = it gives no text.
    fn take_in(&mut self, row: Selected) -> Option<NoText> {
        match self.pending(row) {
            Ok(pending) => {
                self.hold(pending);
                None
            }
            Err(none) => {
                *self.without_text.entry(none).or_default() += 1;
                Some(none)
            }
        }
    }

    fn hold(&mut self, pending: Pending) {
        self.tally.selected += 1;
        self.tally.truncated += u64::from(pending.text.is_cut());
        self.batcher.push(pending);
    }

    /// **Where the text of an entity is made.**
    fn pending(&self, row: Selected) -> Result<Pending, NoText> {
        let rule = &self.plan.rule;
        let (bytes, properties) = match row.source {
            Source::Text(bytes) => (bytes, None),
            Source::Properties(properties) => match rule.text.compose(&properties) {
                Composed::Text(bytes) => (bytes, Some(properties.into())),
                Composed::Blank => return Err(NoText::Blank),
                Composed::Unusable => return Err(NoText::Unusable),
            },
        };
        let text = Text::new(&bytes, rule.max_text_chars);
        let label = row.label.map(Arc::from);
        Ok(Pending { entity: Entity { id: row.id, label, ends: row.ends, properties }, text })
    }

    /// The dimension of a label's vectors is known: the index can be created.
    pub(super) fn learn_sample(&mut self, sample: Option<usize>) {
        let Stage::Sampling(labels) = &mut self.stage else {
            debug_assert!(false, "a sample for a pass that is not sampling");
            return;
        };
        let known = self.dimensions.or(self.plan.rule.dimensions.map(NonZeroUsize::get));
        // Vectors of another length are another client's: their index is theirs to make.
        let ours = sample.filter(|length| known.is_none_or(|known| known == *length));
        if let (Some(label), Some(dimensions), Some(similarity)) =
            (labels.pop(), ours, self.plan.rule.index)
        {
            self.indexes_to_create.push_back(NewIndex { label, dimensions, similarity });
        }
        if labels.is_empty() {
            self.stage = Stage::Building;
            // An index may be under construction: check that first.
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
            // Removing a mark takes a query, so earlier write costs do not apply.
            self.sizer = WriteSizer::default();
            return Stage::Reviewing(Sweep::new(0, self.plan.max_rows));
        }
        self.after_drain()
    }

    pub(super) fn after_drain(&mut self) -> Stage {
        if let Some(lists) = self.lists_stage() {
            return lists;
        }
        if self.plan.rule.index.is_none() {
            return Stage::Done;
        }
        // A label whose name cannot be quoted cannot have an index.
        let missing: Vec<Name> = self
            .labels
            .iter()
            .filter(|label| !self.indexes.contains_key(*label))
            .filter_map(|label| Name::parse("label", label).ok())
            .collect();
        match self.dimensions {
            _ if missing.is_empty() => Stage::Done,
            Some(dimensions) if self.wrote_all(&missing) => self.index_all(missing, dimensions),
            _ => Stage::Sampling(missing),
        }
    }

    /// Whether all vectors of these labels were written in this pass, so that no sample is needed.
    fn wrote_all(&self, labels: &[Name]) -> bool {
        let had = |label: &Name| self.had_vectors.contains(label.as_str());
        self.plan.scope == Scope::Full && self.counts_labels() && !labels.iter().any(had)
    }

    fn index_all(&mut self, labels: Vec<Name>, dimensions: usize) -> Stage {
        let Some(similarity) = self.plan.rule.index else { return Stage::Done };
        let index = |label| NewIndex { label, dimensions, similarity };
        self.indexes_to_create.extend(labels.into_iter().map(index));
        // A short pass already knows from its start that no index is being built.
        self.building = self.tally.selected > SHORT_PASS;
        Stage::Building
    }
}
