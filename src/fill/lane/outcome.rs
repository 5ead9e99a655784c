//! What the embedder's answers mean: for the texts they speak of, and for the lane.

use std::time::{Duration, Instant};

use crate::fill::lane::batch::{Batch, Embedded};
use crate::fill::lane::isolate::SuspectedOf;
use crate::fill::lane::{Follow, InFlight, Lane, Payload};
use crate::fill::port::embedding::{Completion, Reply};
use crate::fill::port::fault::{ServiceFault, Verdict, classify};
use crate::fill::port::id::Wave;
use crate::text::one_line;

/// Longest reason written into a graph, in characters.
const REASON_CHARS: usize = 200;

impl Lane {
    /// **Where an answer comes in.** `index_conflict` says whether an index takes vectors of another
    /// length than the one received: such a vector would be stored, and left out of the index without
    /// a word.
    pub(crate) fn complete(
        &mut self,
        now: Instant,
        completion: Completion,
        index_conflict: impl FnOnce(&Batch, usize) -> Option<usize>,
    ) {
        // An answer of an embedder that has been replaced is of no use.
        let Some(flight) = self.in_flight.remove(&completion.request) else { return };
        let InFlight { payload, tokens, wave } = flight;
        self.limiter.returned(now, tokens, completion.limits);
        self.note_latency(completion.took);
        let failed = match (payload, completion.outcome) {
            (Payload::Batch(batch), outcome) => {
                self.cache.complete(batch.texts());
                let paired = match outcome {
                    Ok(reply) => self.pair(batch, reply, tokens, index_conflict),
                    Err(fault) => Err((batch, fault)),
                };
                match paired {
                    Ok(embedded) => return self.accept(now, wave, embedded),
                    Err((batch, fault)) => (Payload::Batch(batch), fault),
                }
            }
            (Payload::Query(request), outcome) => {
                match outcome.and_then(|reply| self.pair_query(&request, reply)) {
                    Ok(vectors) => return self.answered(now, wave, request, vectors),
                    Err(fault) => (Payload::Query(request), fault),
                }
            }
            (Payload::Probe, Ok(_)) => return self.limiter.succeeded(now, wave),
            (Payload::Probe, Err(fault)) => (Payload::Probe, fault),
        };
        self.fail(now, wave, failed.0, &failed.1);
    }

    fn pair(
        &mut self,
        batch: Batch,
        reply: Reply,
        estimate: usize,
        index_conflict: impl FnOnce(&Batch, usize) -> Option<usize>,
    ) -> Result<Embedded, (Batch, ServiceFault)> {
        let tokens = reply.tokens.unwrap_or(estimate as u64);
        self.limiter.counted(estimate, tokens);
        self.figures.tokens += tokens;
        self.follows.push_back(Follow::Spent(batch.graph.clone(), tokens));
        let received = match reply.dimensions() {
            Ok(received) => received,
            Err(fault) => return Err((batch, fault)),
        };
        if let Some(expected) = index_conflict(&batch, received).filter(|_| received > 0) {
            return Err((batch, ServiceFault::Dimension { expected, received }));
        }
        let dimensions = self.policy.dimensions.or(self.figures.dimensions);
        Embedded::pair(batch, reply, dimensions)
    }

    fn accept(&mut self, now: Instant, wave: Wave, embedded: Embedded) {
        self.limiter.succeeded(now, wave);
        self.figures.dimensions = Some(embedded.dimensions);
        for row in &embedded.rows {
            self.cache.put(now, &row.text, &row.vector);
        }
        self.follows.push_back(Follow::Write(embedded.graph, embedded.rows));
    }

    /// **What follows from a fault of the embedder.** What it means is decided by [`classify`].
    fn fail(&mut self, now: Instant, wave: Wave, payload: Payload, fault: &ServiceFault) {
        let verdict = classify(fault);
        let words = fault.to_string();
        let why = one_line(&words, REASON_CHARS);
        match verdict {
            Verdict::RateLimited(wait) => self.limiter.throttled(now, wave, wait, &why),
            Verdict::Transient { .. } => self.limiter.failed(now, wave, &why),
            Verdict::Configuration => self.limiter.rejected(now, &why),
            Verdict::Input => {}
        }
        match payload {
            Payload::Batch(batch) => self.batch_failed(wave, batch, verdict, why),
            Payload::Query(request) => self.query_failed(request, verdict, &words),
            Payload::Probe => self.probe_failed(now, verdict, &why),
        }
    }

    fn batch_failed(&mut self, wave: Wave, batch: Batch, verdict: Verdict, why: String) {
        self.follows.push_back(Follow::Failed(batch.graph.clone(), why.clone()));
        match verdict {
            Verdict::Input => self.refused(wave, batch, why),
            Verdict::RateLimited(_) => self.requeue(batch),
            Verdict::Transient { reached } => self.try_again(batch, reached, why),
            Verdict::Configuration => {
                self.defer(&batch);
                self.end_passes(&why);
            }
        }
    }

    fn try_again(&mut self, batch: Batch, reached: bool, why: String) {
        let many = self.limiter.failures() >= self.policy.max_attempts;
        match (many, reached) {
            (false, true) => self.once_more(batch),
            (false, false) if batch.attempts + 1 < self.policy.max_attempts => {
                self.requeue(Batch { attempts: batch.attempts + 1, ..batch });
            }
            (false, false) => self.defer(&batch),
            // It answers, if only badly: perhaps it answers others well.
            (true, true) => self.suspect(self.limiter.wave(), batch, SuspectedOf::Failure, why),
            // Nothing at all comes back: leave the rest for the next pass.
            (true, false) => {
                self.defer(&batch);
                self.end_passes(&why);
            }
        }
    }

    /// Tries a batch again that the service stumbled over; when its tries are used up, each half
    /// once more, so that only what fails alone is left behind.
    pub(super) fn once_more(&mut self, batch: Batch) {
        if batch.attempts + 1 < self.policy.max_attempts {
            self.requeue(Batch { attempts: batch.attempts + 1, ..batch });
        } else {
            self.split_or(batch, |lane, single| lane.defer(&single));
        }
    }

    fn probe_failed(&mut self, now: Instant, verdict: Verdict, why: &str) {
        match verdict {
            Verdict::RateLimited(_) => {}
            // Nothing is answered well, not even a harmless word.
            Verdict::Transient { .. } | Verdict::Configuration => self.end_passes(why),
            Verdict::Input => {
                // Even a harmless word is refused: the request is to blame, and no text.
                self.limiter.rejected(now, why);
                self.end_passes(why);
            }
        }
    }

    fn note_latency(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1_000.0;
        let known = self.figures.latency_ms;
        self.figures.latency_ms = if known > 0.0 { known * 0.9 + ms * 0.1 } else { ms };
    }
}
