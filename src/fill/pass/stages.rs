//! What a pass learns from the answers to its reads, and the stage that follows.

use std::sync::Arc;

use crate::entity::{Entity, Text};
use crate::fill::lane::batch::Pending;
use crate::fill::pass::plan::Stage;
use crate::fill::pass::write_sizer::WriteSizer;
use crate::fill::pass::{Counted, NoText, Pass};
use crate::fill::port::store::{Count, Marked, Query, Selected, Selection, Source};
use crate::fill::quarantine::mark;
use crate::fill::sweep::{Scope, Sweep};
use crate::rule::template::Composed;

/// How often a pass sweeps the graph again because nodes changed during the pass. A node that keeps
/// changing is left to the next pass, or it would be paid for endlessly.
const RESWEEPS: u32 = 1;

impl Pass {
    pub(super) fn after_indexes(&mut self) -> Stage {
        let counted = self.plan.scope == Scope::Full;
        if counted && !self.counted.is_pending() { self.after_fill() } else { self.filling() }
    }

    fn filling(&self) -> Stage {
        if let Some(end) = self.known_end {
            return Stage::Filling(Sweep::up_to(end, self.plan.max_rows));
        }
        Stage::Filling(Sweep::new(self.plan.scope.first(), self.plan.max_rows))
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
}
