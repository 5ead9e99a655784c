//! The plan of a pass, its stages, and how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::fill::pass::lists::Lists;
use crate::fill::sweep::{Scope, Sweep};
use crate::fill::tally::Tally;
use crate::rule::Rule;
use crate::rule::name::Name;

/// Kinds of nodes per label in [`Query::CountAll`]: a reply of so few rows cannot hold them all.
const KINDS: usize = 12;

/// The stage of a pass.
#[derive(Debug)]
pub(super) enum Stage {
    /// Reads which labels have an index, and of which dimension.
    Indexes,
    /// Counts a graph that turns out to be small.
    CountingAll,
    /// Counts nodes: for STATUS, and to see whether there is anything to fill.
    Counting(Sweep),
    /// Selects, embeds and writes, all at once.
    Filling(Sweep),
    /// Checks whether quarantined nodes now hold a different text; those are embedded like the
    /// others.
    Reviewing(Sweep),
    /// Turns plain lists into vectors.
    Lists(Lists),
    /// Reads the length of the vectors of a label that has no index.
    Sampling(Vec<Name>),
    /// Waits until the created indexes are built.
    Building,
    /// Nothing is left to do.
    Done,
}

/// Whether a pass moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is waiting for something.
    Stay,
    /// It has entered another stage, and may need something else.
    Moved,
    /// It has ended.
    Over,
}

/// Why a pass ends before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing new starts; what is in flight is still written.
    Stop,
    /// The store cannot be written to: what is in flight stays pending.
    Abandon,
    /// The graph is gone, and its nodes with it.
    Gone,
}

/// What a pass is to do, decided when it begins.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How much of the graph is swept.
    pub(crate) scope: Scope,
    pub(crate) rule: Arc<Rule>,
    /// Maximum rows the engine returns.
    pub(crate) max_rows: usize,
    /// Whether to check the indexes even if nothing is pending, so that one that was never created,
    /// or was dropped, is noticed.
    pub(crate) check_indexes: bool,
}

/// The results of a pass.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) scope: Scope,
    pub(crate) tally: Tally,
    /// Time that sweeping has cost the engine's threads.
    pub(crate) swept: Duration,
    /// Where it saw the graph end, if it got that far.
    pub(crate) end_of_graph: Option<u64>,
    /// It has checked all indexes.
    pub(crate) indexes_checked: bool,
    /// Entities that were selected but give no text.
    pub(crate) without_text: BTreeMap<NoText, u64>,
    /// Who else fills this graph, so that it was left alone.
    pub(crate) owner: Option<&'static str>,
    /// The length of vectors it needed.
    pub(crate) length: Option<usize>,
    /// The graph is gone.
    pub(crate) gone: bool,
    /// Labels that got an index, with its dimension.
    pub(crate) indexed: BTreeMap<String, usize>,
}

/// Why an entity that a query selected gives no text after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NoText {
    /// All properties of its template are blank.
    Blank,
    /// A property is of a type that no text is made from.
    Unusable,
}

/// The sums of the counting sweep.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) eligible: u64,
    pub(crate) unfilled: u64,
    pub(crate) quarantined: u64,
}

impl Counted {
    /// Whether any nodes are waiting for a vector.
    pub(crate) fn is_pending(self) -> bool {
        self.unfilled > self.quarantined
    }
}

pub(super) fn first_stage(plan: &Plan) -> Stage {
    match plan.scope {
        Scope::Full if plan.max_rows > KINDS => Stage::CountingAll,
        Scope::Full => Stage::Counting(Sweep::new(0, plan.max_rows)),
        // New nodes are few, and not counted.
        Scope::Tail(_) => Stage::Indexes,
    }
}
