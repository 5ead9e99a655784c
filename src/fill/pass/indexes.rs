//! The vector indexes of a graph: whether they are there, what length they need, and which are to be
//! created.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::fill::lane::batch::Batch;
use crate::fill::pass::Pass;
use crate::fill::pass::plan::Stage;
use crate::fill::port::store::{Index, NewIndex};
use crate::fill::sweep::Scope;
use crate::rule::name::Name;

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

    /// The length of vectors this pass needs: what the rule says, or else the index; `None` = what
    /// the embedder gives.
    pub(crate) fn wanted_length(&self) -> Option<usize> {
        if let Some(dimensions) = self.plan.rule.dimensions {
            return Some(dimensions.get());
        }
        let pattern = &self.plan.rule.pattern;
        let mut lengths = self
            .indexes
            .iter()
            .filter(|(label, _)| pattern.means(label))
            .map(|(_, length)| *length);
        let first = lengths.next();
        first.filter(|first| lengths.all(|length| length == *first))
    }

    /// The vector length that an index on nodes of this batch expects, if it differs from the one
    /// received.
    pub(crate) fn index_conflict(&self, batch: &Batch, received: usize) -> Option<usize> {
        let nodes = batch.inputs.iter().flat_map(|input| &input.entities);
        let mut lengths =
            nodes.filter_map(|node| self.indexes.get(node.label.as_deref()?).copied());
        lengths.find(|expected| *expected != received)
    }
}
