//! What to do next: wakes and begins passes, lets them move on, ends them.

mod control;
pub(crate) mod dirty;
pub(crate) mod graph;
pub(crate) mod graphs;
pub(crate) mod runs;

use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::Filler;
use crate::fill::pass::{Pass, Plan, Step};
use crate::fill::port::event::{Action, Outcome, Report};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::Ticket;
use crate::fill::schedule::graph::Graph;
use crate::fill::status::LaneState;
use crate::fill::tally::Tally;

/// What the store has not answered by then it never will: the server itself gives up earlier.
pub(crate) const STORE_LIMIT: Duration = Duration::from_mins(1);
/// Most rows of one reply, whatever their size.
const MOST_ROWS: usize = 128;
/// Passes that select and embed at the same time; the others wait for their turn.
const MOST_OPEN: usize = 8;
/// Passes in all, with those that wait for the queries of others.
const MOST_PASSES: usize = 64;

/// When a pass gives up on the read it waits for.
pub(crate) fn read_limit(pass: &Pass) -> Option<Instant> {
    pass.reading.as_ref().map(|reading| reading.since + STORE_LIMIT)
}

/// When a pass gives up on the write it waits for.
pub(crate) fn write_limit(pass: &Pass) -> Option<Instant> {
    pass.writing.as_ref().map(|writing| writing.since + STORE_LIMIT)
}

impl Filler {
    /// Does everything that can be done at this time.
    pub(crate) fn drive(&mut self, now: Instant) {
        self.survey_when_due(now);
        self.wake_when_due(now);
        self.give_up_reads(now);
        self.give_up_writes(now);
        self.known.expire(now);
        self.hand_out_questions(now);
        loop {
            if self.may_begin() {
                self.begin_passes(now);
            }
            self.hand_out_reads(now);
            self.run_errands(now);
            // The one request that a cooling lane allows is the one that tells most.
            let cooling = self.lane.state() == LaneState::Cooling;
            let settled = cooling && self.settle_doubts(now);
            self.hand_out_batches(now);
            let settled = self.settle_doubts(now) || settled;
            self.hand_out_write(now);
            // A pass that moved on, or made room for another, may need something at once.
            if !self.step_passes(now) && !settled {
                break;
            }
        }
        for (run, tally) in self.runs.fulfilled() {
            self.answer(run, Ok(Outcome::Pass(tally)));
        }
    }

    fn survey_when_due(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let scheduled = self.may_begin() && due(self.next_run);
        let strangers = self.may_begin() && self.strangers.take(now).is_some();
        self.meeting |= strangers;
        let lost = |since: Instant| since + STORE_LIMIT <= now;
        if self.surveying.is_none_or(lost)
            && (scheduled || strangers || due(self.survey_at) || self.surveying.is_some())
        {
            self.surveying = Some(now);
            self.survey_at = None;
            self.actions.push_back(Action::Survey);
        }
    }

    fn wake_when_due(&mut self, now: Instant) {
        if self.lane.is_worth_waking_for(now) && self.graphs.wake(now) {
            self.forgive();
        }
    }

    fn give_up_reads(&mut self, now: Instant) {
        let late = |pass: &Pass| read_limit(pass).is_some_and(|limit| limit <= now);
        let overdue: Vec<Ticket> = self
            .passes()
            .filter(|pass| late(pass))
            .filter_map(|pass| pass.reading.as_ref().map(|reading| reading.ticket))
            .collect();
        for ticket in overdue {
            self.read(now, ticket, Err(StoreFault::NoReply));
        }
    }

    /// A write that nobody answered: whether it was made, the next sweep sees.
    fn give_up_writes(&mut self, now: Instant) {
        let late = |pass: &Pass| write_limit(pass).is_some_and(|limit| limit <= now);
        let overdue: Vec<GraphName> =
            self.graphs.active().filter(|(_, pass)| late(pass)).map(|(n, _)| n.clone()).collect();
        for name in overdue {
            let Some(pass) = self.pass_mut(&name) else { continue };
            if let Some(writing) = pass.writing.take() {
                pass.tally.error = Some(StoreFault::NoReply.to_string());
                pass.leave(writing.nodes);
            }
        }
    }

    fn begin_passes(&mut self, now: Instant) {
        let mut open = self.passes().filter(|pass| pass.waiting_since.is_none()).count();
        let mut all = self.passes().count();
        let most_rows = self.most_rows();
        let (rule, auto_index) = (self.settings.rule.clone(), self.settings.auto_index);
        while open < MOST_OPEN
            && all < MOST_PASSES
            && let Some(name) = self.graphs.next_wanted()
        {
            (open, all) = (open + 1, all + 1);
            self.graphs.serve(&name);
            let begun = self.graphs.edit(&name, Graph::begin);
            let Some((scope, check_indexes)) = begun else { return };
            let (rule, check_indexes) = (rule.clone(), check_indexes && auto_index.is_some());
            let plan = Plan { scope, rule, most_rows, check_indexes, auto_index };
            self.graphs.begin(&name, Pass::new(plan, now));
        }
    }

    /// Most rows of one reply, those that tell of what lies beyond left out.
    pub(crate) fn most_rows(&self) -> usize {
        self.most_rows.saturating_sub(2).clamp(1, MOST_ROWS)
    }

    /// Lets every pass move on that can. Returns whether one did.
    fn step_passes(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for name in self.graphs.in_turn() {
            let step = self.pass_mut(&name).map_or(Step::Stay, Pass::step);
            moved |= step != Step::Stay;
            if step == Step::Over {
                self.end_pass(now, name);
            }
        }
        moved
    }

    fn end_pass(&mut self, now: Instant, name: GraphName) {
        let Some(pass) = self.graphs.end(&name) else { return };
        let duration = now.duration_since(pass.started);
        let tally = Tally { duration, ..pass.tally.clone() };
        let (begun, forgotten) = self.graphs.edit(&name, |graph| {
            graph.finish(now, &pass, &tally);
            (graph.begun, std::mem::take(&mut graph.gone) && !graph.is_expected())
        });
        if !self.graphs.is_active() {
            // Nothing is held back any more.
            self.paused = None;
        }
        self.runs.ended(&name, begun, &tally);
        if forgotten {
            self.graphs.remove(&name);
        }
        self.totals.add(&tally);
        self.totals.graphs = self.graphs.len() as u64;
        let report = Report { graph: name, tally, indexed: pass.indexed };
        self.actions.push_back(Action::Report(report));
    }

    pub(crate) fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.graphs.active().map(|(_, pass)| pass)
    }

    /// Does something to every pass.
    pub(crate) fn each_pass(&mut self, mut change: impl FnMut(&mut Pass)) {
        for name in self.graphs.in_turn() {
            self.pass_mut(&name).into_iter().for_each(&mut change);
        }
    }
}
