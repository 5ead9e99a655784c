//! One graph in figures.

use std::sync::Arc;
use std::time::Instant;

use crate::fill::tally::Tally;
use crate::rule::name::RuleName;

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub(super) fn coverage(embedded: u64, eligible: u64) -> f64 {
    if eligible == 0 { 1.0 } else { embedded as f64 / eligible as f64 }
}

/// What a graph's pass is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum GraphState {
    /// Nothing.
    #[default]
    Idle,
    /// Counting nodes.
    Counting,
    /// Selecting, embedding, writing.
    Filling,
    /// A write is waiting for other clients' queries on this graph.
    Waiting,
    /// The index is being created or built.
    Indexing,
}

/// One graph in figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GraphFigures {
    /// What its pass is doing.
    pub state: GraphState,
    /// Nodes with a text.
    pub eligible: u64,
    /// Nodes with a text and no vector, not quarantined.
    pub pending: u64,
    /// Nodes with a text and a vector.
    pub embedded: u64,
    /// Nodes marked with an error.
    pub quarantined: u64,
    /// Nodes whose properties give no text, though they are there.
    pub blank: u64,
    /// Nodes with a property that no text can be made from.
    pub unusable: u64,
    /// The mark of another client that fills this graph, so that the settings' rule leaves it alone.
    pub owner: Option<&'static str>,
    /// Nodes selected and not settled.
    pub in_flight: u64,
    /// Nodes written per second in this pass.
    pub rate_per_s: f64,
    /// When the last pass ended.
    pub last_run: Option<Instant>,
    /// The outcome of the nodes of the last pass.
    pub last_pass: Option<Tally>,
    /// The length of vectors that the last pass needed, if it needed one.
    pub length: Option<usize>,
    /// The last fault, until a pass ends without one.
    pub last_error: Option<String>,
    /// Each rule at work on the graph, if it is not the settings' rule alone; the figures above are
    /// their sums.
    pub rules: Vec<(RuleName, Arc<Self>)>,
}

impl GraphState {
    /// Its public name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Counting => "counting",
            Self::Filling => "filling",
            Self::Waiting => "waiting",
            Self::Indexing => "indexing",
        }
    }
}

impl GraphFigures {
    /// The length of vectors that a rule needs here.
    pub(crate) fn length_of(&self, rule: &RuleName) -> Option<usize> {
        match self.rules.iter().find(|(name, _)| name == rule) {
            Some((_, figures)) => figures.length,
            None => self.length.filter(|_| self.rules.is_empty()),
        }
    }

    /// Adds the figures of another rule.
    pub(super) fn add(&mut self, rule: &RuleName, figures: Arc<Self>) {
        if self.rules.is_empty() && *self != Self::default() {
            // So far it was the settings' rule alone.
            let first = Arc::new(std::mem::take(self));
            self.sum_up(&first);
            self.rules.push((RuleName::default_rule(), first));
        }
        self.sum_up(&figures);
        self.rules.push((rule.clone(), figures));
    }

    fn sum_up(&mut self, other: &Self) {
        if self.state == GraphState::Idle {
            self.state = other.state;
        }
        self.eligible += other.eligible;
        self.pending += other.pending;
        self.embedded += other.embedded;
        self.quarantined += other.quarantined;
        self.blank += other.blank;
        self.unusable += other.unusable;
        self.owner = self.owner.or(other.owner);
        self.in_flight += other.in_flight;
        self.rate_per_s += other.rate_per_s;
        self.last_run = self.last_run.max(other.last_run);
        if let Some(pass) = &other.last_pass {
            self.last_pass.get_or_insert_default().add(pass);
        }
        if self.last_error.is_none() {
            self.last_error.clone_from(&other.last_error);
        }
    }

    /// Its counts under their public names.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("pending", self.pending),
            ("eligible", self.eligible),
            ("embedded", self.embedded),
            ("quarantined", self.quarantined),
            ("blank", self.blank),
            ("unusable", self.unusable),
            ("in_flight", self.in_flight),
        ]
    }

    /// Share of the nodes with a text that have a vector; 1 when there are none.
    pub(crate) fn coverage(&self) -> f64 {
        coverage(self.embedded, self.eligible)
    }

    /// Whether there is nothing to do and nothing went wrong.
    pub(crate) fn is_finished(&self) -> bool {
        self.state == GraphState::Idle && self.pending == 0 && self.last_error.is_none()
    }

    /// Seconds until nothing is pending at the current rate.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate for people; the cast saturates"
    )]
    pub(crate) fn eta_s(&self) -> Option<u64> {
        (self.rate_per_s > 0.0).then(|| (self.pending as f64 / self.rate_per_s).ceil() as u64)
    }
}
