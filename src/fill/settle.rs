//! What an answer means: for the nodes it speaks of, for their pass, and for the lane.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use super::Filler;
use super::cypher::one_line;
use super::event::{Answer, Job, Query, Survey, Ticket, Write, Written};
use super::fault::{ServiceFault, StoreFault, Verdict, judge};
use super::graph::Graph;
use super::node::{Batch, Completion, Embedded, GraphName, NodeId, Reply, Row};
use super::pass::{Ending, Pass};

/// Longest pause of a pass between two tries at the store.
const MOST_STORE_PAUSE: Duration = Duration::from_millis(500);
const FIRST_STORE_PAUSE: Duration = Duration::from_millis(4);
/// Tries at a store that fails for a reason which does not pass by itself.
const STORE_TRIES: u32 = 8;
/// Longest reason written into a graph, in characters.
const REASON_CHARS: usize = 200;

impl Filler {
    /// **Where the schedule and the list of graphs come in.**
    pub(super) fn surveyed(&mut self, now: Instant, survey: Survey) {
        let before = std::mem::replace(&mut self.server, survey.server);
        self.surveying = false;
        self.engine = survey.engine;
        self.most_rows = survey.most_rows.unwrap_or(usize::MAX);
        if let Some(fault) = self.server.fault() {
            self.refuse_runs(&fault);
            self.end_all(Ending::Abandon, Some(&fault.to_string()));
            self.survey_at = Some(now + super::SURVEY_AGAIN);
            // A server that becomes ready is looked through at once.
            self.next_run = Some(now);
            return;
        }
        let there: BTreeSet<&GraphName> = survey.graphs.iter().collect();
        // One that is wanted ends by itself when its pass finds nothing.
        let kept = |graph: &Graph| graph.pass.is_some() || graph.wanted;
        self.graphs.retain(|name, graph| kept(graph) || there.contains(name));
        let scheduled = self.next_run.is_some_and(|at| at <= now) || before != self.server;
        if scheduled && self.settings.enabled {
            self.next_run = self.settings.interval.map(|interval| now + interval);
            self.forgive();
        }
        if (scheduled || self.runs.need_listing()) && self.settings.enabled {
            let matching = survey.graphs.iter().filter(|n| self.settings.rule.graphs.matches(n));
            let wanted = matching
                .map(|name| (name.clone(), self.graphs.entry(name.clone()).or_default().want()))
                .collect();
            self.runs.listed(&wanted);
        }
    }

    /// A read was answered.
    pub(super) fn read(
        &mut self,
        now: Instant,
        ticket: Ticket,
        outcome: Result<Answer, StoreFault>,
    ) {
        let asked = self.graphs.iter_mut().find_map(|(name, graph)| {
            let pass = graph.pass.as_mut()?;
            let reading = pass.reading.take_if(|reading| reading.ticket == ticket)?;
            Some((name.clone(), reading.query))
        });
        // Without a pass that waits for it, the answer comes too late.
        let Some((name, query)) = asked else { return };
        match outcome {
            Ok(answer) => self.learn(now, &name, &query, answer),
            Err(fault) => self.store_failed(now, &name, &fault),
        }
    }

    fn learn(&mut self, now: Instant, name: &GraphName, query: &Query, answer: Answer) {
        let Some(graph) = self.graphs.get_mut(name) else { return };
        let Some(pass) = graph.pass.as_mut() else { return };
        pass.store_failures = 0;
        pass.not_before = None;
        if pass.ending.is_some() {
            // Nobody would settle what is selected now.
            return;
        }
        match answer {
            Answer::Indexes(found) => pass.learn_indexes(now, found),
            Answer::Sample(sample) => pass.learn_sample(sample),
            Answer::Selection(selection) => pass.learn_selection(query, selection),
            Answer::Count(count) => {
                if pass.learn_count(query, count) {
                    let counted = pass.counted;
                    graph.figures.eligible = counted.eligible;
                    graph.figures.quarantined = counted.quarantined;
                    graph.figures.embedded = counted.eligible.saturating_sub(counted.unfilled);
                    graph.figures.pending = counted.unfilled.saturating_sub(counted.quarantined);
                }
            }
        }
    }

    /// The store refused a read or a write of this graph.
    fn store_failed(&mut self, now: Instant, name: &GraphName, fault: &StoreFault) {
        if fault.ends_all() {
            self.server = fault.into();
            self.survey_at = Some(now + super::SURVEY_AGAIN);
            self.next_run = Some(now);
            self.end_all(Ending::Abandon, Some(&fault.to_string()));
            return;
        }
        let Some(graph) = self.graphs.get_mut(name) else { return };
        let Some(pass) = graph.pass.as_mut() else { return };
        if *fault == StoreFault::NoGraph {
            graph.gone = true;
            pass.end(Ending::Gone);
            return;
        }
        if *fault == StoreFault::Timeout {
            pass.narrow();
            pass.slicer.halve();
        }
        pause(pass, now);
        if pass.store_failures > STORE_TRIES && !fault.passes_by_itself() {
            pass.tally.error = Some(fault.to_string());
            pass.end(Ending::Abandon);
        }
    }

    /// A request came back.
    pub(super) fn embedded(&mut self, now: Instant, completion: Completion) {
        // An answer of an embedder that has been replaced is of no use.
        let Some(flight) = self.flights.remove(&completion.batch) else { return };
        let name = flight.batch.graph.clone();
        self.lane.returned();
        if let Some(pass) = self.pass_mut(&name) {
            pass.in_flight = pass.in_flight.saturating_sub(flight.batch.nodes());
        }
        self.note_latency(completion.took);
        let tokens = flight.batch.tokens() as u64;
        let paired = match completion.outcome {
            Ok(reply) => self.pair(flight.batch, reply, tokens),
            Err(fault) => Err((flight.batch, fault)),
        };
        match paired {
            Ok(embedded) => self.accept(&name, embedded),
            Err((batch, fault)) => self.service_failed(now, flight.sent, batch, &fault),
        }
    }

    fn pair(
        &mut self,
        batch: Batch,
        reply: Reply,
        estimate: u64,
    ) -> Result<Embedded, (Batch, ServiceFault)> {
        let tokens = reply.tokens.unwrap_or(estimate);
        self.figures.tokens += tokens;
        let dimensions = self.settings.dimensions.or(self.figures.dimensions);
        let Some(pass) = self.pass_mut(&batch.graph) else {
            return Embedded::pair(batch, reply, dimensions);
        };
        pass.tally.tokens += tokens;
        check_index(pass, &batch, &reply).map_err(|fault| (batch.clone(), fault))?;
        Embedded::pair(batch, reply, dimensions)
    }

    fn accept(&mut self, name: &GraphName, embedded: Embedded) {
        self.lane.succeeded();
        self.figures.dimensions = Some(embedded.dimensions);
        if let Some(pass) = self.pass_mut(name) {
            pass.accept(embedded.rows);
        }
    }

    /// **What follows from a fault of the embedder.** What it means is decided by [`judge`].
    fn service_failed(&mut self, now: Instant, sent: Instant, batch: Batch, fault: &ServiceFault) {
        let why = one_line(&fault.to_string(), REASON_CHARS);
        let name = batch.graph.clone();
        if let Some(pass) = self.pass_mut(&name) {
            pass.tally.error = Some(why.clone());
        }
        match judge(fault) {
            Verdict::Row => self.refused(batch, &why),
            Verdict::Batch => self.reject(&batch, &why),
            Verdict::Throttle(wait) => {
                self.lane.throttled(now, sent, wait, &why);
                self.again(batch);
            }
            Verdict::Transient => {
                self.lane.failed(now, sent, &why);
                self.try_again(batch, &why);
            }
        }
    }

    /// Something in the batch is refused: halve it until the text is alone that is to blame.
    fn refused(&mut self, batch: Batch, why: &str) {
        let proven = self.lane.is_proven();
        let most = self.settings.max_attempts;
        let Some(pass) = self.pass_mut(&batch.graph) else { return };
        let single = match batch.bisect() {
            Ok((first, second)) => {
                pass.again(first);
                pass.again(second);
                return;
            }
            Err(single) => single,
        };
        let others = pass.in_flight > 0 || !pass.retries.is_empty() || pass.batcher.len() > 0;
        if proven {
            pass.quarantine(single, why.to_owned());
        } else if others && single.attempts + 1 < most {
            // Nobody knows yet whether the text is wrong or the request: first try the others.
            pass.again(Batch { attempts: single.attempts + 1, ..single });
        } else {
            self.reject(&single, why);
        }
    }

    /// A person has to mend something: no node is blamed, and nothing more is sent.
    fn reject(&mut self, batch: &Batch, why: &str) {
        self.lane.rejected(why);
        self.defer(batch);
        self.end_all(Ending::Stop, Some(why));
    }

    fn try_again(&mut self, batch: Batch, why: &str) {
        let most = self.settings.max_attempts;
        if self.lane.failures() >= most {
            // Nothing at all comes back: leave the rest for the next pass.
            self.defer(&batch);
            self.end_all(Ending::Stop, Some(why));
        } else if batch.attempts + 1 >= most {
            self.defer(&batch);
        } else {
            self.again(Batch { attempts: batch.attempts + 1, ..batch });
        }
    }

    fn again(&mut self, batch: Batch) {
        if let Some(pass) = self.pass_mut(&batch.graph) {
            pass.again(batch);
        }
    }

    fn defer(&mut self, batch: &Batch) {
        if let Some(pass) = self.pass_mut(&batch.graph) {
            pass.leave(batch.nodes());
        }
    }

    fn note_latency(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1_000.0;
        let known = self.figures.latency_ms;
        self.figures.latency_ms = if known > 0.0 { known * 0.9 + ms * 0.1 } else { ms };
    }

    /// A write came back.
    pub(super) fn written(
        &mut self,
        now: Instant,
        write: Write,
        outcome: Result<Written, StoreFault>,
    ) {
        let name = write.graph;
        if let Some(pass) = self.pass_mut(&name) {
            pass.writing = false;
        }
        match outcome {
            Ok(written) => self.wrote(now, &name, write.job, &written),
            Err(fault) => self.not_written(now, &name, write.job, &fault),
        }
    }

    fn wrote(&mut self, now: Instant, name: &GraphName, job: Job, written: &Written) {
        self.paused = None;
        self.duty.held(now, written.held, written.contended);
        let budget = self.settings.write_budget;
        let Some(graph) = self.graphs.get_mut(name) else { return };
        let Some(pass) = graph.pass.as_mut() else { return };
        pass.store_failures = 0;
        pass.not_before = None;
        pass.waiting_since = None;
        let figures = &mut graph.figures;
        match job {
            Job::Vectors(rows) => {
                pass.slicer.learn(rows.len(), written.held, budget);
                let done = settle_rows(pass, &rows, &written.ids);
                figures.embedded += done;
                figures.pending = figures.pending.saturating_sub(done);
            }
            Job::Quarantine { nodes, .. } => {
                let done = written.ids.len().min(nodes.len()) as u64;
                pass.tally.quarantined += done;
                pass.tally.stale += nodes.len() as u64 - done;
                figures.quarantined += done;
                figures.pending = figures.pending.saturating_sub(done);
            }
            Job::CreateIndex { label, dimensions, .. } => {
                pass.indexed.insert(label.as_str().to_owned(), dimensions);
            }
        }
    }

    fn not_written(&mut self, now: Instant, name: &GraphName, job: Job, fault: &StoreFault) {
        if matches!(fault, StoreFault::Paused | StoreFault::OutOfMemory) {
            self.paused = Some(fault.to_string());
        }
        if let Some(pass) = self.pass_mut(name) {
            if *fault == StoreFault::Readers {
                pass.waiting_since.get_or_insert(now);
            }
            if matches!(job, Job::CreateIndex { .. }) && matches!(fault, StoreFault::Other(_)) {
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
    done.iter().filter_map(|row| row.node.label.as_deref()).for_each(|l| pass.note_label(l));
    pass.tally.written += done.len() as u64;
    pass.tally.stale += stale.len() as u64;
    done.len() as u64
}

/// A vector of another length would be stored, and left out of the index without a word.
fn check_index(pass: &Pass, batch: &Batch, reply: &Reply) -> Result<(), ServiceFault> {
    let received = reply.vectors.first().map_or(0, |(_, vector)| vector.len());
    let nodes = batch.inputs.iter().flat_map(|input| &input.nodes);
    let mut dimensions = nodes.filter_map(|node| pass.indexes.get(node.label.as_deref()?).copied());
    match dimensions.find(|expected| *expected != received) {
        Some(expected) if received > 0 => Err(ServiceFault::Dimension { expected, received }),
        _ => Ok(()),
    }
}

/// Backs off from the store.
fn pause(pass: &mut Pass, now: Instant) {
    let pause = FIRST_STORE_PAUSE.saturating_mul(1 << pass.store_failures.min(10));
    pass.store_failures = pass.store_failures.saturating_add(1);
    pass.not_before = Some(now + pause.min(MOST_STORE_PAUSE));
}
