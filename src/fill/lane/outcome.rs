//! What the embedder's answers mean: for the nodes they speak of, their pass, and the lane.

use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::lane::batch::{Batch, Embedded};
use crate::fill::lane::isolate::Blame;
use crate::fill::pass::{Ending, Pass};
use crate::fill::port::embedding::{Completion, Reply};
use crate::fill::port::fault::{ServiceFault, Verdict, judge};
use crate::fill::{Cargo, Filler};
use crate::text::one_line;

/// Longest reason written into a graph, in characters.
const REASON_CHARS: usize = 200;

impl Filler {
    /// A request came back.
    pub(crate) fn embedded(&mut self, now: Instant, completion: Completion) {
        // An answer of an embedder that has been replaced is of no use.
        let Some(flight) = self.flights.remove(&completion.batch) else { return };
        self.lane.returned(now, flight.tokens, completion.limits);
        self.note_latency(completion.took);
        let batch = match flight.cargo {
            Cargo::Batch(batch) => batch,
            Cargo::Probe => return self.probed(now, flight.sent, completion.outcome),
            Cargo::Question(question) => {
                return self.question_answered(now, flight.sent, question, completion);
            }
        };
        let name = batch.graph.clone();
        self.known.landed(batch.texts());
        let paired = match completion.outcome {
            Ok(reply) => self.pair(batch, reply, flight.tokens),
            Err(fault) => Err((batch, fault)),
        };
        match paired {
            Ok(embedded) => self.accept(now, flight.sent, &name, embedded),
            Err((batch, fault)) => self.service_failed(now, flight.sent, batch, &fault),
        }
    }

    fn pair(
        &mut self,
        batch: Batch,
        reply: Reply,
        estimate: usize,
    ) -> Result<Embedded, (Batch, ServiceFault)> {
        let tokens = reply.tokens.unwrap_or(estimate as u64);
        self.lane.counted(estimate, tokens);
        self.figures.tokens += tokens;
        let dimensions = self.settings.dimensions.or(self.figures.dimensions);
        let Some(pass) = self.pass_mut(&batch.graph) else {
            return Embedded::pair(batch, reply, dimensions);
        };
        pass.tally.tokens += tokens;
        check_index(pass, &batch, &reply).map_err(|fault| (batch.clone(), fault))?;
        Embedded::pair(batch, reply, dimensions)
    }

    fn accept(&mut self, now: Instant, sent: Instant, name: &GraphName, embedded: Embedded) {
        self.lane.succeeded(now, sent);
        self.figures.dimensions = Some(embedded.dimensions);
        for row in &embedded.rows {
            self.known.learn(now, &row.text, &row.vector);
        }
        if let Some(pass) = self.pass_mut(name) {
            pass.land(embedded.rows.len());
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
            Verdict::Row => self.refused(sent, batch, why),
            Verdict::Batch => self.reject(now, &batch, &why),
            Verdict::Throttle(wait) => {
                self.lane.throttled(now, sent, wait, &why);
                self.again(batch);
            }
            Verdict::Transient => {
                self.lane.failed(now, sent, &why);
                self.try_again(now, batch, fault, why);
            }
        }
    }

    /// A person has to mend something: no node is blamed, and nothing more is sent.
    pub(crate) fn reject(&mut self, now: Instant, batch: &Batch, why: &str) {
        self.lane.rejected(now, why);
        self.defer(batch);
        self.end_all(Ending::Stop, Some(why));
    }

    fn try_again(&mut self, now: Instant, batch: Batch, fault: &ServiceFault, why: String) {
        let alive = fault.reached_the_service();
        let many = self.lane.failures() >= self.settings.max_attempts;
        match (many, alive) {
            (false, true) => self.once_more(batch),
            (false, false) if batch.attempts + 1 < self.settings.max_attempts => {
                self.again(Batch { attempts: batch.attempts + 1, ..batch });
            }
            (false, false) => self.defer(&batch),
            // It answers, if only badly: perhaps it answers others well.
            (true, true) => self.doubt(now, batch, Blame::Stumble, why),
            // Nothing at all comes back: leave the rest for the next pass.
            (true, false) => {
                self.defer(&batch);
                self.end_all(Ending::Stop, Some(&why));
            }
        }
    }

    /// Tries a batch again that the service stumbled over; when its tries are used up, each half
    /// once more, so that only what fails alone is left behind.
    pub(crate) fn once_more(&mut self, batch: Batch) {
        if batch.attempts + 1 < self.settings.max_attempts {
            self.again(Batch { attempts: batch.attempts + 1, ..batch });
        } else {
            self.split_or(batch, Self::defer);
        }
    }

    /// Sends both halves of a batch; a single text is handed to `alone`.
    pub(crate) fn split_or(&mut self, batch: Batch, alone: impl FnOnce(&mut Self, &Batch)) {
        match batch.bisect() {
            Ok((first, second)) => {
                self.again(first);
                self.again(second);
            }
            Err(single) => alone(self, &single),
        }
    }

    /// What came back unusable is to be sent again.
    pub(crate) fn again(&mut self, batch: Batch) {
        if let Some(pass) = self.pass_mut(&batch.graph) {
            pass.land(batch.nodes());
            pass.again(batch);
        }
    }

    /// What came back unusable is left for a later pass.
    pub(crate) fn defer(&mut self, batch: &Batch) {
        if let Some(pass) = self.pass_mut(&batch.graph) {
            pass.land(batch.nodes());
            pass.leave(batch.nodes());
        }
    }

    fn note_latency(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1_000.0;
        let known = self.figures.latency_ms;
        self.figures.latency_ms = if known > 0.0 { known * 0.9 + ms * 0.1 } else { ms };
    }
}

/// A vector of another length would be stored, and left out of the index without a word.
fn check_index(pass: &Pass, batch: &Batch, reply: &Reply) -> Result<(), ServiceFault> {
    let received = reply.dimensions()?;
    let nodes = batch.inputs.iter().flat_map(|input| &input.nodes);
    let mut dimensions = nodes.filter_map(|node| pass.indexes.get(node.label.as_deref()?).copied());
    match dimensions.find(|expected| *expected != received) {
        Some(expected) if received > 0 => Err(ServiceFault::Dimension { expected, received }),
        _ => Ok(()),
    }
}
