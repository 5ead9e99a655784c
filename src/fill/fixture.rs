//! What the tests of single machines need, so that each of them names only what it is about.

use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::port::settings::Settings;
use crate::fill::port::store::Seen;
use crate::fill::sim;
use crate::rule::name::RuleName;
use crate::rule::set::RuleSet;
use crate::rule::{Binding, Rule};

/// Everything on, passes only on request, no ceiling on the rate.
pub(crate) fn settings() -> Settings {
    Settings { interval: None, ..sim::settings(1) }
}

/// The settings' rule at work on a graph.
pub(crate) fn binding(graph: &str) -> Binding {
    Binding::new(&GraphName::new(graph), &RuleName::default_rule())
}

/// The settings' rule, as all tests have it.
pub(crate) fn rule() -> Rule {
    settings().rules.default.as_deref().cloned().unwrap()
}

/// The settings, with another rule.
pub(crate) fn settings_with(rule: Rule) -> Settings {
    Settings { rules: RuleSet::of_default(rule), ..settings() }
}

/// A moment before.
pub(crate) fn just_before(at: Instant) -> Instant {
    at.checked_sub(Duration::from_nanos(1)).unwrap()
}

/// A window with so many rows, the last of them of this id; `beyond` = where the graph goes on.
pub(crate) fn seen(rows: usize, last: Option<u64>, beyond: Option<u64>) -> Seen {
    Seen { rows, last, longest: 9, resume: None, beyond, took: Duration::from_micros(100) }
}
