//! When a graph is swept after a write to it, and how much of it.
//!
//! Most writes add nodes, and a new node's id comes after all others: a sweep from there on costs
//! next to nothing, however large the graph is. Only a full sweep shows whether the write also
//! changed an older node, or reused the id of a deleted one: that sweep is deferred until the
//! cool-down of the last one ends.

use std::time::{Duration, Instant};

use crate::fill::sweep::Scope;

/// When a graph is swept after a write to it. The wake-up comes *before* the write commits, and a
/// transaction may take a while, so one look is not enough.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(5)];
/// A full sweep after a wake-up waits this many times the duration of the last one, so that it
/// costs at most 4 % of one of the engine's threads however often the graph is written.
const REST: u32 = 25;
/// The same for a sweep over the new nodes: at most 1 %.
const NEW_REST: u32 = 100;
/// Sweep durations are capped at this for the cool-down.
const MAX_SWEPT: Duration = Duration::from_mins(1);

/// The wake-ups of one graph.
#[derive(Debug, Default)]
pub(crate) struct DirtySchedule {
    at: Vec<Instant>,
    /// The new nodes have been swept after a write; the rest of the graph has not.
    full_sweep_due: bool,
    rest_until: Option<Instant>,
    /// New nodes have ids from here on; known once a sweep has seen the end of the graph.
    end: Option<u64>,
    new_rest_until: Option<Instant>,
}

impl DirtySchedule {
    /// A client writes to the graph.
    pub(crate) fn mark(&mut self, now: Instant) {
        // Wake-ups merge: pending ones cover this write as well.
        let first = self.at.first().filter(|at| **at <= now + LOOKS[0]).copied();
        self.at = LOOKS.iter().map(|after| now + *after).collect();
        if let (Some(first), Some(earliest)) = (first, self.at.first_mut()) {
            *earliest = first;
        }
    }

    /// Whether a sweep is still to come.
    pub(crate) fn is_set(&self) -> bool {
        self.full_sweep_due || !self.at.is_empty()
    }

    /// When the next sweep is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.whole_at().into_iter().chain(self.new_at()).min()
    }

    /// Takes the sweep that is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Scope> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let scope = if due(self.whole_at()) {
            Scope::Full
        } else {
            Scope::Tail(self.end.filter(|_| due(self.new_at()))?)
        };
        self.full_sweep_due = scope != Scope::Full;
        self.at.retain(|at| *at > now);
        Some(scope)
    }

    /// When the next full sweep is due.
    fn whole_at(&self) -> Option<Instant> {
        // A full sweep that is owed waits only for the graph's cool-down.
        let woken = if self.full_sweep_due { None } else { Some(*self.at.first()?) };
        woken.max(self.rest_until)
    }

    /// When the next sweep over the new nodes is due.
    fn new_at(&self) -> Option<Instant> {
        let woken = *self.at.first()?;
        self.end.and(Some(woken).max(self.new_rest_until))
    }

    /// A sweep has ended after `took`; `end` = where it saw the graph end, if it got that far.
    pub(crate) fn swept(&mut self, now: Instant, scope: Scope, took: Duration, end: Option<u64>) {
        let took = took.min(MAX_SWEPT);
        match scope {
            Scope::Full => self.rest_until = Some(now + took * REST),
            Scope::Tail(_) => self.new_rest_until = Some(now + took * NEW_REST),
        }
        self.end = end.or(self.end);
    }

    /// Nothing is swept before `until`.
    pub(crate) fn hold_off(&mut self, until: Instant) {
        self.rest_until = self.rest_until.max(Some(until));
        self.new_rest_until = self.new_rest_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(20);

    #[test]
    fn a_burst_of_writes_leads_to_a_few_sweeps() {
        let (mut dirty, start) = (DirtySchedule::default(), Instant::now());
        let mut sweeps = 0;
        for ms in 0..20_000 {
            let now = start + Duration::from_millis(ms);
            if ms < 10_000 {
                dirty.mark(now);
            }
            if let Some(scope) = dirty.take(now) {
                sweeps += 1;
                dirty.swept(now, scope, TOOK, None);
            }
        }
        assert!((15..=25).contains(&sweeps), "{sweeps} sweeps");
    }

    #[test]
    fn a_single_write_is_looked_for_three_times() {
        let (mut dirty, start) = (DirtySchedule::default(), Instant::now());
        dirty.mark(start);
        let mut at = Vec::new();
        while let Some(due) = dirty.next() {
            assert_eq!(dirty.take(due), Some(Scope::Full));
            at.push(due - start);
        }
        assert_eq!(at, LOOKS);
    }

    #[test]
    fn what_is_new_is_swept_while_the_graph_rests_and_the_rest_of_it_afterwards() {
        let (mut dirty, start) = (DirtySchedule::default(), Instant::now());
        let long = Duration::from_secs(1);
        dirty.swept(start, Scope::Full, long, Some(700));
        dirty.mark(start);
        let mut scopes = Vec::new();
        while let Some(due) = dirty.next() {
            let scope = dirty.take(due).unwrap();
            scopes.push((due - start, scope));
            dirty.swept(due, scope, Duration::ZERO, None);
        }
        let new = LOOKS.map(|after| (after, Scope::Tail(700)));
        assert_eq!(scopes[..3], new);
        assert_eq!(scopes[3..], [(long * REST, Scope::Full)]);
    }

    #[test]
    fn a_full_sweep_that_is_due_does_not_wait_for_the_next_wake_up() {
        let (mut dirty, start) = (DirtySchedule::default(), Instant::now());
        dirty.swept(start, Scope::Full, TOOK * 2, Some(700));
        dirty.mark(start);
        for after in &LOOKS[..2] {
            assert_eq!(dirty.take(start + *after), Some(Scope::Tail(700)));
        }
        let rested = start + TOOK * 2 * REST;
        assert!(rested < start + LOOKS[2]);
        assert_eq!((dirty.next(), dirty.take(rested)), (Some(rested), Some(Scope::Full)));
    }

    #[test]
    fn what_was_left_behind_is_not_tried_by_every_write() {
        let (mut dirty, start) = (DirtySchedule::default(), Instant::now());
        let least = Duration::from_secs(30);
        dirty.swept(start, Scope::Full, TOOK, Some(7));
        dirty.hold_off(start + least);
        dirty.mark(start);
        assert_eq!(dirty.next(), Some(start + least));
    }
}
