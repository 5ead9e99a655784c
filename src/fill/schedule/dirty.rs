//! When a graph is swept after a write to it, and how much of it.
//!
//! Most writes add nodes, and a new node's id lies behind all others: a sweep from there on costs next
//! to nothing, however large the graph is. Whether the write has changed an older node as well, or
//! taken the id of one that was deleted, only a sweep over the whole graph tells: that is owed, and
//! made once the graph has rested from the last.

use std::time::{Duration, Instant};

use crate::fill::sweep::Scope;

/// When a graph is swept after a write to it. The wake-up comes *before* the write commits, and a
/// transaction may take its time, so one look is not enough.
const WAKES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(5)];
/// A woken sweep over the whole graph waits this many times what the last one took, so that it costs
/// at most 4 % of one of the engine's threads however often the graph is written.
const REST: u32 = 25;
/// The same for a sweep over what is new: at most 1 %.
const NEW_REST: u32 = 100;
/// Longest time of a sweep that is counted.
const MOST_SWEPT: Duration = Duration::from_mins(1);

/// The wake-ups of one graph.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    at: Vec<Instant>,
    /// What is new has been swept after a write; the rest of the graph has not.
    owed: bool,
    rest_until: Option<Instant>,
    /// From where on nodes are new, once a sweep has seen the end of the graph.
    end: Option<u64>,
    new_rest_until: Option<Instant>,
}

impl Wakes {
    /// Somebody writes to the graph.
    pub(crate) fn touch(&mut self, now: Instant) {
        // Wake-ups merge: those that are still to come serve this write as well.
        let first = self.at.first().filter(|at| **at <= now + WAKES[0]).copied();
        self.at = WAKES.iter().map(|after| now + *after).collect();
        if let (Some(first), Some(earliest)) = (first, self.at.first_mut()) {
            *earliest = first;
        }
    }

    /// Whether a sweep is still to come.
    pub(crate) fn is_set(&self) -> bool {
        self.owed || !self.at.is_empty()
    }

    /// When the next sweep is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.whole_at().into_iter().chain(self.new_at()).min()
    }

    /// Takes the sweep that is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Scope> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let scope = if due(self.whole_at()) {
            Scope::Whole
        } else {
            Scope::From(self.end.filter(|_| due(self.new_at()))?)
        };
        self.owed = scope != Scope::Whole;
        self.at.retain(|at| *at > now);
        Some(scope)
    }

    /// When all of the graph is swept.
    fn whole_at(&self) -> Option<Instant> {
        // What is owed waits for nothing but the graph's rest.
        let woken = if self.owed { None } else { Some(*self.at.first()?) };
        woken.max(self.rest_until)
    }

    /// When what is new is swept.
    fn new_at(&self) -> Option<Instant> {
        let woken = *self.at.first()?;
        self.end.and(Some(woken).max(self.new_rest_until))
    }

    /// A sweep is over that took so long; `end` = where it saw the graph end, if it came so far.
    pub(crate) fn swept(&mut self, now: Instant, scope: Scope, took: Duration, end: Option<u64>) {
        let took = took.min(MOST_SWEPT);
        match scope {
            Scope::Whole => self.rest_until = Some(now + took * REST),
            Scope::From(_) => self.new_rest_until = Some(now + took * NEW_REST),
        }
        self.end = end.or(self.end);
    }

    /// Nothing is swept before then.
    pub(crate) fn spare(&mut self, until: Instant) {
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
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        let mut sweeps = 0;
        for ms in 0..20_000 {
            let now = start + Duration::from_millis(ms);
            if ms < 10_000 {
                wakes.touch(now);
            }
            if let Some(scope) = wakes.take(now) {
                sweeps += 1;
                wakes.swept(now, scope, TOOK, None);
            }
        }
        assert!((15..=25).contains(&sweeps), "{sweeps} sweeps");
    }

    #[test]
    fn a_single_write_is_looked_for_three_times() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        wakes.touch(start);
        let mut at = Vec::new();
        while let Some(due) = wakes.next() {
            assert_eq!(wakes.take(due), Some(Scope::Whole));
            at.push(due - start);
        }
        assert_eq!(at, WAKES);
    }

    #[test]
    fn what_is_new_is_swept_while_the_graph_rests_and_the_rest_of_it_afterwards() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        let long = Duration::from_secs(1);
        wakes.swept(start, Scope::Whole, long, Some(700));
        wakes.touch(start);
        let mut scopes = Vec::new();
        while let Some(due) = wakes.next() {
            let scope = wakes.take(due).unwrap();
            scopes.push((due - start, scope));
            wakes.swept(due, scope, Duration::ZERO, None);
        }
        let new = WAKES.map(|after| (after, Scope::From(700)));
        assert_eq!(scopes[..3], new);
        assert_eq!(scopes[3..], [(long * REST, Scope::Whole)]);
    }

    #[test]
    fn what_is_owed_does_not_wait_for_the_next_wake_up() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        wakes.swept(start, Scope::Whole, TOOK * 2, Some(700));
        wakes.touch(start);
        for after in &WAKES[..2] {
            assert_eq!(wakes.take(start + *after), Some(Scope::From(700)));
        }
        let rested = start + TOOK * 2 * REST;
        assert!(rested < start + WAKES[2]);
        assert_eq!((wakes.next(), wakes.take(rested)), (Some(rested), Some(Scope::Whole)));
    }

    #[test]
    fn what_was_left_behind_is_not_tried_by_every_write() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        let least = Duration::from_secs(30);
        wakes.swept(start, Scope::Whole, TOOK, Some(7));
        wakes.spare(start + least);
        wakes.touch(start);
        assert_eq!(wakes.next(), Some(start + least));
    }
}
