//! What the embedder's answers mean: for the nodes they speak of, their pass, and the lane.

use std::time::{Duration, Instant};

use super::Filler;
use super::cypher::one_line;
use super::fault::{ServiceFault, Verdict, judge};
use super::node::{Batch, Completion, Embedded, GraphName, Reply};
use super::pass::{Ending, Pass};

/// Longest reason written into a graph, in characters.
const REASON_CHARS: usize = 200;

impl Filler {
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
            Verdict::Row => self.refused(now, batch, &why),
            Verdict::Batch => self.reject(now, &batch, &why),
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
    fn refused(&mut self, now: Instant, batch: Batch, why: &str) {
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
            self.reject(now, &single, why);
        }
    }

    /// A person has to mend something: no node is blamed, and nothing more is sent.
    fn reject(&mut self, now: Instant, batch: &Batch, why: &str) {
        self.lane.rejected(now, why);
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
