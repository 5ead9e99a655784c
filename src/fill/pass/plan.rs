//! What a pass is to do, where it stands, and how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::fill::sweep::{Scope, Sweep};
use crate::fill::tally::Tally;
use crate::rule::name::Name;
use crate::rule::{Rule, Similarity};

/// Kinds of nodes a label has for [`Query::CountAll`]: a reply of so few rows cannot tell of all.
const KINDS: usize = 12;

/// Where a pass stands.
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
    /// Looks whether quarantined nodes hold another text by now; those are embedded like the others.
    Reviewing(Sweep),
    /// Reads how long the vectors of a label are that has no index.
    Sampling(Vec<Name>),
    /// Waits until the created indexes are built.
    Building,
    /// Nothing is left to do.
    Done,
}

/// Whether a pass moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for something.
    Stay,
    /// It is at another stage, and may need something else.
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
    /// Most rows the engine returns.
    pub(crate) max_rows: usize,
    /// Whether to see to the indexes even though nothing is pending: one that was never created, or
    /// dropped, is noticed.
    pub(crate) check_indexes: bool,
    /// The index to create where one is missing.
    pub(crate) auto_index: Option<Similarity>,
}

/// What came of a pass.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) scope: Scope,
    pub(crate) tally: Tally,
    /// What sweeping has cost the engine's threads.
    pub(crate) swept: Duration,
    /// Where it saw the graph end, if it came so far.
    pub(crate) end_of_graph: Option<u64>,
    /// It has seen to all indexes.
    pub(crate) indexes_checked: bool,
    /// The graph is gone.
    pub(crate) gone: bool,
    /// Labels that got an index, with its dimension.
    pub(crate) indexed: BTreeMap<String, usize>,
}

/// The sums of the counting sweep.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) eligible: u64,
    pub(crate) unfilled: u64,
    pub(crate) quarantined: u64,
}

impl Counted {
    /// Whether nodes wait for a vector.
    pub(crate) fn is_pending(self) -> bool {
        self.unfilled > self.quarantined
    }
}

pub(super) fn first_stage(plan: &Plan) -> Stage {
    match plan.scope {
        Scope::Full if plan.max_rows > KINDS => Stage::CountingAll,
        Scope::Full => Stage::Counting(Sweep::new(0, plan.max_rows)),
        // What is new is few, and not counted.
        Scope::Tail(_) => Stage::Indexes,
    }
}
