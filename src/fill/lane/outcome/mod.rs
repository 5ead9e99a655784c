//! What the embedder's answers mean, for their texts and for the lane.

mod failure;

use std::time::{Duration, Instant};

use crate::fill::lane::batch::{Batch, Embedded, Paired};
use crate::fill::lane::{Follow, InFlight, Lane, Payload};
use crate::fill::port::embedding::{Completion, Reply, by_index};
use crate::fill::port::fault::{FaultKind, Malformed, ServiceFault};
use crate::fill::port::id::Wave;
use crate::text::one_line;

/// Longest reason written into a graph, in characters.
const REASON_CHARS: usize = 200;

/// When an answer arrived, and the wave of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) now: Instant,
    pub(super) wave: Wave,
}

impl Lane {
    /// **Where an answer comes in.** `index_conflict` tells whether an index expects vectors of
    /// another length than the one received: such a vector would be stored, but silently left out
    /// of the index.
    pub(crate) fn complete(
        &mut self,
        now: Instant,
        completion: Completion,
        index_conflict: impl FnOnce(&Batch, usize) -> Option<usize>,
    ) {
        // The answer of a replaced embedder is useless.
        let Some(flight) = self.in_flight.remove(&completion.request) else { return };
        let InFlight { payload, tokens, wave } = flight;
        self.limiter.returned(now, tokens, completion.limits);
        self.note_latency(completion.took);
        let failed = match (payload, completion.outcome) {
            (Payload::Batch(batch), outcome) => {
                self.space(batch.asked).cache.complete(batch.texts());
                let paired = match outcome {
                    Ok(reply) => self.pair(batch, reply, tokens, index_conflict),
                    Err(fault) => Err(Box::new((batch, fault))),
                };
                match paired {
                    Ok(paired) => return self.accept(now, wave, completion.took, paired),
                    Err(failed) => (Payload::Batch(failed.0), failed.1),
                }
            }
            (Payload::Query(request), outcome) => {
                match outcome.and_then(|reply| self.pair_query(&request, reply)) {
                    Ok(vectors) => return self.answered(now, wave, request, vectors),
                    Err(fault) => (Payload::Query(request), fault),
                }
            }
            (Payload::Trial(asked), outcome) => match self.tried(asked, outcome) {
                Ok(()) => return self.limiter.succeeded(now, wave, false),
                Err(fault) => (Payload::Trial(asked), fault),
            },
            (Payload::Probe, outcome) => {
                match outcome.and_then(|reply| by_index(reply, 1, self.dimensions(None))) {
                    Ok(_) => return self.limiter.succeeded(now, wave, false),
                    Err(fault) => (Payload::Probe, fault),
                }
            }
        };
        self.fail(now, wave, failed.0, &failed.1);
    }

    fn pair(
        &mut self,
        batch: Batch,
        reply: Reply,
        estimate: usize,
        index_conflict: impl FnOnce(&Batch, usize) -> Option<usize>,
    ) -> Result<Paired, Box<(Batch, ServiceFault)>> {
        let tokens = reply.tokens.unwrap_or(estimate as u64);
        self.limiter.counted(estimate, tokens);
        self.figures.tokens += tokens;
        self.follows.push_back(Follow::Spent(batch.binding.clone(), tokens));
        let received = match reply.dimensions() {
            Ok(received) => received,
            Err(fault) => return Err(Box::new((batch, fault))),
        };
        if let Some(expected) = index_conflict(&batch, received).filter(|_| received > 0) {
            return Err(Box::new((batch, ServiceFault::Dimension { expected, received })));
        }
        let expected = batch.asked.or(self.dimensions(None));
        Embedded::pair(batch, reply, expected)
    }

    fn accept(&mut self, now: Instant, wave: Wave, took: Duration, paired: Paired) {
        let Paired { embedded, unusable, sent, family } = paired;
        let slow = self.limits.took(now, sent, took);
        self.limiter.succeeded(now, wave, slow);
        if let Some(family) = family {
            self.limits.answered(now, family, sent - unusable.len());
        }
        let space = self.space(embedded.asked);
        space.length = Some(embedded.dimensions);
        for row in &embedded.rows {
            space.cache.put(now, &row.text, &row.vector);
        }
        self.sameness.observe(&embedded.rows);
        self.follows.push_back(Follow::Write(embedded.binding, embedded.rows));
        for (batch, what) in unusable {
            let why = one_line(&Malformed::Vector(what).to_string(), REASON_CHARS);
            self.follows.push_back(Follow::Failed(batch.binding.clone(), why.clone()));
            // Other vectors in the same answer are good: the service works.
            self.strike(now, batch.failed(FaultKind::Unusable), why);
        }
    }

    fn note_latency(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1_000.0;
        let known = self.figures.latency_ms;
        self.figures.latency_ms = if known > 0.0 { known * 0.9 + ms * 0.1 } else { ms };
    }
}
