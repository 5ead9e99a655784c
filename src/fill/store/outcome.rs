//! What the store's answers mean: for the nodes they speak of, and for their pass.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entity::{GraphName, NodeId};
use crate::fill::Filler;
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::event::{ServerState, Survey};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::Ticket;
use crate::fill::port::store::{Answer, Change, Job, Query, Row, Write, Written};
use crate::fill::retry::doubled;
use crate::fill::schedule::graph::Graph;

/// Longest pause of a pass between two tries at the store.
const MOST_STORE_PAUSE: Duration = Duration::from_millis(500);
const READERS_PAUSE: Duration = Duration::from_millis(20);
const FIRST_STORE_PAUSE: Duration = Duration::from_millis(4);
/// Tries at a store that fails for a reason which does not pass by itself.
const STORE_TRIES: u32 = 8;

impl Filler {
    /// **Where the schedule and the list of graphs come in.**
    pub(crate) fn surveyed(&mut self, now: Instant, outcome: Result<Survey, StoreFault>) {
        self.surveying = None;
        let survey = match outcome {
            Ok(survey) => survey,
            Err(fault) => return self.not_surveyed(now, &fault),
        };
        let before = std::mem::replace(&mut self.server, ServerState::Ready);
        self.engine = survey.engine;
        self.engine_tested = survey.engine_tested;
        self.most_rows = survey.most_rows.unwrap_or(usize::MAX);
        let there: BTreeSet<&GraphName> = survey.graphs.iter().collect();
        self.graphs.keep(&there);
        if std::mem::take(&mut self.meeting) {
            self.meet_strangers(now, &survey.graphs);
        }
        let scheduled = self.next_run.is_some_and(|at| at <= now) || before != self.server;
        if scheduled && self.settings.enabled {
            self.next_run = self.settings.interval.map(|interval| now + interval);
            self.forgive();
        }
        if std::mem::take(&mut self.missed) {
            // What was written since the server listed its graphs is not among them.
            self.next_run = Some(now + crate::fill::LOOK_AGAIN);
        }
        if (scheduled || self.runs.need_listing()) && self.settings.enabled {
            let matching = survey.graphs.iter().filter(|n| self.settings.rule.graphs.matches(n));
            let wanted =
                matching.map(|name| (name.clone(), self.graphs.edit(name, Graph::want))).collect();
            self.runs.listed(&wanted);
        }
    }

    /// The server cannot be filled, or has not said: it is asked again.
    fn not_surveyed(&mut self, now: Instant, fault: &StoreFault) {
        self.survey_at = Some(now + crate::fill::SURVEY_AGAIN);
        let Some(server) = fault.server() else { return };
        self.server = server;
        self.paused = None;
        if let Some(fault) = server.fault() {
            self.refuse_runs(&fault);
            self.end_all(Ending::Abandon, Some(&fault.to_string()));
        }
        // A server that becomes ready is looked through at once.
        self.next_run = Some(now);
    }

    /// Takes up graphs that have come to be since the server was last looked through.
    fn meet_strangers(&mut self, now: Instant, graphs: &[GraphName]) {
        for name in graphs.iter().filter(|name| self.settings.rule.graphs.matches(name)) {
            if self.graphs.get(name).is_none() {
                self.graphs.edit(name, |graph| graph.wakes.touch(now));
            }
        }
    }

    /// A read was answered.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Answer, StoreFault>,
    ) {
        let waits = |pass: &Pass| pass.reading.as_ref().is_some_and(|r| r.ticket == ticket);
        let name = self.graphs.active().find(|(_, pass)| waits(pass)).map(|(n, _)| n.clone());
        let asked = name.and_then(|name| {
            let reading = self.pass_mut(&name)?.reading.take()?;
            Some((name, reading.query))
        });
        let Some((name, query)) = asked else {
            // An errand waits for it, or nobody does any more.
            return self.read_errand(now, ticket, outcome.map(Answer::marked));
        };
        match outcome {
            Ok(answer) => self.learn(now, &name, &query, answer),
            Err(fault) => self.store_failed(now, &name, &fault),
        }
    }

    fn learn(&mut self, now: Instant, name: &GraphName, query: &Query, answer: Answer) {
        let Some((graph, pass)) = self.graphs.in_pass(name) else { return };
        pass.store_failures = 0;
        pass.not_before = None;
        if pass.ending.is_some() {
            // Nobody would settle what is selected now.
            return;
        }
        match answer {
            Answer::Indexes(found) => pass.learn_indexes(now, found),
            Answer::Sample(sample) => pass.learn_sample(sample),
            Answer::Selection(selection) => {
                // Nothing is selected where nothing can be written.
                self.paused = None;
                let uncounted = pass.learn_selection(query, selection);
                let figures = Arc::make_mut(&mut graph.figures);
                figures.eligible += uncounted;
                figures.pending += uncounted;
            }
            Answer::Marked(marked) => {
                let released = pass.learn_marked(query, marked);
                graph.release(released);
            }
            Answer::CountAll(count) => {
                if pass.learn_count_all(count) {
                    graph.show_counted(pass.counted);
                }
            }
            Answer::Count(count) => {
                if pass.learn_count(query, count) {
                    graph.show_counted(pass.counted);
                }
            }
        }
    }

    /// The store refused a read or a write of this graph.
    fn store_failed(&mut self, now: Instant, name: &GraphName, fault: &StoreFault) {
        if fault.pauses_all() {
            self.paused = Some(fault.to_string());
        }
        if let Some(server) = fault.server() {
            self.server = server;
            self.paused = None;
            self.survey_at = Some(now + crate::fill::SURVEY_AGAIN);
            self.next_run = Some(now);
            self.end_all(Ending::Abandon, Some(&fault.to_string()));
            return;
        }
        let Some((graph, pass)) = self.graphs.in_pass(name) else { return };
        if *fault == StoreFault::NoGraph {
            graph.gone = true;
            pass.end(Ending::Gone);
            return;
        }
        if *fault == StoreFault::Timeout {
            pass.narrow();
            pass.slicer.halve();
        }
        pause(pass, now, fault);
        // What passes by itself is waited for, but not by a pass that was told to end.
        let patient = fault.passes_by_itself() && pass.ending.is_none();
        if pass.store_failures > STORE_TRIES && !patient {
            pass.tally.error = Some(fault.to_string());
            pass.end(Ending::Abandon);
        }
    }

    /// A write came back.
    pub(crate) fn written(
        &mut self,
        now: Instant,
        write: Write,
        outcome: Result<Written, StoreFault>,
    ) {
        let (name, ticket) = (write.graph, write.ticket);
        if let Ok(written) = &outcome {
            self.paused = None;
            self.duty.held(now, written.held, written.contended);
        }
        let job = match write.change {
            Change::Job(job) => job,
            Change::Lift { errand, ids } => {
                return self.lifted(now, errand, ids, outcome.map(|written| written.ids.len()));
            }
        };
        let waited = |pass: &mut Pass| pass.writing.take_if(|w| w.ticket == ticket).is_some();
        if !self.pass_mut(&name).is_some_and(waited) {
            // The pass gave it up, and its nodes are left to the next one.
            return;
        }
        match outcome {
            Ok(written) => self.wrote(&name, job, &written),
            Err(fault) => self.not_written(now, &name, job, &fault),
        }
    }

    fn wrote(&mut self, name: &GraphName, job: Job, written: &Written) {
        let budget = self.settings.write_budget;
        let Some((graph, pass)) = self.graphs.in_pass(name) else { return };
        pass.store_failures = 0;
        pass.not_before = None;
        pass.waiting_since = None;
        pass.put_off = 0;
        let figures = Arc::make_mut(&mut graph.figures);
        if job.query_bytes() > 0 {
            pass.slicer.learn(job.query_bytes(), written.held, budget);
        }
        match job {
            Job::Vectors(rows) => {
                let done = settle_rows(pass, &rows, &written.ids);
                figures.embedded += done;
                figures.pending = figures.pending.saturating_sub(done);
            }
            Job::Quarantine(marks) => {
                let done = written.ids.len().min(marks.len()) as u64;
                pass.tally.quarantined += done;
                pass.tally.stale += marks.len() as u64 - done;
                figures.quarantined += done;
                figures.pending = figures.pending.saturating_sub(done);
            }
            Job::CreateIndex(index) => {
                pass.indexed.insert(index.label.as_str().to_owned(), index.dimensions);
                pass.building = true;
                pass.building_since = None;
            }
        }
    }

    fn not_written(&mut self, now: Instant, name: &GraphName, job: Job, fault: &StoreFault) {
        if let Some(pass) = self.pass_mut(name) {
            if *fault == StoreFault::Readers && !matches!(job, Job::CreateIndex(_)) {
                pass.waiting_since.get_or_insert(now);
            }
            pass.put_off += u32::from(*fault == StoreFault::Begun);
            if matches!(job, Job::CreateIndex(_)) && matches!(fault, StoreFault::Other(_)) {
                // The index can be created by somebody else, or be refused for good: the vectors
                // are safe either way, so the pass goes on and tells.
                pass.tally.error = Some(fault.to_string());
                return;
            }
            pass.put_back(job);
        }
        self.store_failed(now, name, fault);
    }
}

/// Each row is written or stale.
fn settle_rows(pass: &mut Pass, rows: &[Row], ids: &[NodeId]) -> u64 {
    let ids: HashSet<NodeId> = ids.iter().copied().collect();
    let (done, stale): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| ids.contains(&row.node.id));
    pass.dimensions = done.first().map(|row| row.vector.len()).or(pass.dimensions);
    done.iter().filter_map(|row| row.node.label.as_deref()).for_each(|l| pass.note_label(l));
    pass.tally.written += done.len() as u64;
    pass.tally.stale += stale.len() as u64;
    done.len() as u64
}

/// Backs off from the store.
fn pause(pass: &mut Pass, now: Instant, fault: &StoreFault) {
    // A gap between two readers is short, and asking for it costs a tenth of a millisecond.
    let most = if *fault == StoreFault::Readers { READERS_PAUSE } else { MOST_STORE_PAUSE };
    // What has just begun is soon over, or known for a long one.
    let most = if *fault == StoreFault::Begun { FIRST_STORE_PAUSE } else { most };
    let pause = doubled(FIRST_STORE_PAUSE, pass.store_failures, most);
    pass.store_failures = pass.store_failures.saturating_add(1);
    pass.not_before = Some(now + pause);
}
