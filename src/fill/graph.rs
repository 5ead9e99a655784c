//! What the core remembers of one graph between passes.

use std::time::{Duration, Instant};

use super::backoff::doubled;
use super::pass::Pass;
use super::status::{GraphFigures, GraphState};
use super::tally::Tally;

/// When a graph is swept after a write to it. The wake-up comes *before* the write commits, and a
/// transaction may take its time, so one look is not enough.
const WAKES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(5)];
/// A woken sweep waits this many times what the last one took, so that sweeping costs at most 5 %
/// of one of the engine's threads however often the graph is written.
const REST: u32 = 20;
/// How long wake-ups leave a graph alone whose last pass left nodes behind; doubled each time, so
/// that a text which the service never answers is not tried by every write.
const DEFERRED_REST: Duration = Duration::from_secs(5);
const MOST_DEFERRED_REST: Duration = Duration::from_secs(320);

/// One graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) pass: Option<Pass>,
    /// A pass has been asked for and not begun.
    pub(super) wanted: bool,
    /// Passes begun so far; names the pass a run waits for.
    pub(super) begun: u64,
    pub(super) figures: GraphFigures,
    /// Some pass has looked for labels without an index.
    pub(super) labels_listed: bool,
    /// The key is gone: forget the graph once its pass has ended.
    pub(super) gone: bool,
    /// Passes in a row that left nodes behind.
    deferrals: u32,
    wakes: Vec<Instant>,
    rest_until: Option<Instant>,
}

impl Graph {
    /// Asks for a pass, and returns the number of the pass that will cover all that is there now.
    pub(super) fn want(&mut self) -> u64 {
        self.wanted = true;
        self.begun + 1
    }

    /// Somebody writes to the graph.
    pub(super) fn touch(&mut self, now: Instant) {
        // Wake-ups merge: those that are still to come serve this write as well.
        let first = self.wakes.first().filter(|at| **at <= now + WAKES[0]).copied();
        self.wakes = WAKES.iter().map(|after| now + *after).collect();
        if let (Some(first), Some(earliest)) = (first, self.wakes.first_mut()) {
            *earliest = first;
        }
    }

    /// The quarantine of so many nodes has been lifted: they are tried again at once.
    pub(super) fn lifted(&mut self, nodes: u64) {
        self.release(nodes);
        self.wanted = true;
    }

    /// So many nodes are pending that were quarantined before.
    pub(super) fn release(&mut self, nodes: u64) {
        self.figures.quarantined = self.figures.quarantined.saturating_sub(nodes);
        self.figures.pending += nodes;
    }

    /// Whether anybody expects a pass: the graph must not be forgotten.
    pub(super) fn is_expected(&self) -> bool {
        self.wanted || !self.wakes.is_empty()
    }

    /// When the next wake-up is due.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let first = self.wakes.first().copied()?;
        Some(self.rest_until.map_or(first, |rest| rest.max(first)))
    }

    /// Turns a wake-up that is due into the wish for a pass, if a pass is `worth_it` now; if not, the
    /// wake-up is kept. Returns whether it did.
    pub(super) fn wake(&mut self, now: Instant, worth_it: bool) -> bool {
        let due = worth_it && self.next_wake().is_some_and(|at| at <= now);
        if due {
            self.wakes.retain(|at| *at > now);
            self.wanted = true;
        }
        due
    }

    /// A pass has ended.
    pub(super) fn finish(&mut self, now: Instant, pass: &Pass, tally: &Tally) {
        let swept = pass.swept.min(Duration::from_mins(1)) * REST;
        // What was left behind is tried again by the next pass: not by every write.
        self.deferrals = if tally.deferred > 0 { self.deferrals.saturating_add(1) } else { 0 };
        let doublings = self.deferrals.saturating_sub(1);
        let deferred = doubled(DEFERRED_REST, doublings, MOST_DEFERRED_REST);
        let rest = if tally.deferred > 0 { swept.max(deferred) } else { swept };
        self.rest_until = Some(now + rest);
        let indexed = pass.ending.is_none() && pass.plan.auto_index.is_some();
        self.labels_listed |= indexed && !pass.left_unindexed;
        self.figures.last_run = Some(now);
        self.figures.last_error.clone_from(&tally.error);
        self.figures.last_pass = Some(tally.clone());
    }

    /// The graph as STATUS shows it.
    pub(super) fn figures(&self, now: Instant) -> GraphFigures {
        let mut figures = self.figures.clone();
        if let Some(pass) = &self.pass {
            figures.state = pass.state();
            figures.in_flight = pass.held() as u64;
            figures.rate_per_s = rate(pass.tally.written, now.duration_since(pass.started));
            if pass.tally.error.is_some() {
                figures.last_error.clone_from(&pass.tally.error);
            }
        } else {
            figures.state = GraphState::Idle;
        }
        figures
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(written: u64, elapsed: Duration) -> f64 {
    written as f64 / elapsed.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_writes_leads_to_a_few_sweeps() {
        let (mut graph, start) = (Graph::default(), Instant::now());
        let mut sweeps = 0;
        for ms in 0..20_000 {
            let now = start + Duration::from_millis(ms);
            if ms < 10_000 {
                graph.touch(now);
            }
            graph.wake(now, true);
            if std::mem::take(&mut graph.wanted) {
                sweeps += 1;
                graph.rest_until = Some(now + Duration::from_millis(20) * REST);
            }
        }
        assert!((20..=30).contains(&sweeps), "{sweeps} sweeps");
    }

    #[test]
    fn a_single_write_is_looked_for_three_times() {
        let (mut graph, start) = (Graph::default(), Instant::now());
        graph.touch(start);
        let mut at = Vec::new();
        while let Some(due) = graph.next_wake() {
            graph.wake(due, true);
            at.push(due - start);
        }
        assert_eq!(at, WAKES);
    }
}
