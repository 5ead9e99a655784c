//! What the embedder's answers mean, for their texts and for the lane.

use std::time::{Duration, Instant};

use crate::entity::Text;
use crate::fill::lane::batch::{Batch, Embedded, Paired};
use crate::fill::lane::isolate::SuspectedOf;
use crate::fill::lane::shorten::Length;
use crate::fill::lane::{Follow, InFlight, Lane, Payload};
use crate::fill::port::embedding::{Completion, Reply, by_index};
use crate::fill::port::fault::{FaultKind, Malformed, ServiceFault, Verdict, classify};
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
                self.cache.complete(batch.texts());
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
            (Payload::Probe, outcome) => {
                match outcome.and_then(|reply| by_index(reply, 1, self.dimensions())) {
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
        self.follows.push_back(Follow::Spent(batch.graph.clone(), tokens));
        let received = match reply.dimensions() {
            Ok(received) => received,
            Err(fault) => return Err(Box::new((batch, fault))),
        };
        if let Some(expected) = index_conflict(&batch, received).filter(|_| received > 0) {
            return Err(Box::new((batch, ServiceFault::Dimension { expected, received })));
        }
        Embedded::pair(batch, reply, self.dimensions())
    }

    fn accept(&mut self, now: Instant, wave: Wave, took: Duration, paired: Paired) {
        let Paired { embedded, unusable, sent, family } = paired;
        let slow = self.limits.took(now, sent, took);
        self.limiter.succeeded(now, wave, slow);
        if let Some(family) = family {
            self.limits.answered(now, family, sent - unusable.len());
        }
        self.figures.dimensions = Some(embedded.dimensions);
        self.sameness.observe(&embedded.rows);
        for row in &embedded.rows {
            self.cache.put(now, &row.text, &row.vector);
        }
        self.follows.push_back(Follow::Write(embedded.graph, embedded.rows));
        for (batch, what) in unusable {
            let why = one_line(&Malformed::Vector(what).to_string(), REASON_CHARS);
            self.follows.push_back(Follow::Failed(batch.graph.clone(), why.clone()));
            // Other vectors in the same answer are good: the service works.
            self.strike(now, batch.failed(FaultKind::Unusable), why);
        }
    }

    /// **What follows from a fault of the embedder.** What it means is decided by [`classify`].
    fn fail(&mut self, now: Instant, wave: Wave, payload: Payload, fault: &ServiceFault) {
        let verdict = classify(fault);
        let words = fault.to_string();
        let why = one_line(&words, REASON_CHARS);
        let at = At { now, wave };
        let verdict = self.note_limiter(at, &payload, verdict, &why);
        match payload {
            Payload::Batch(batch) => {
                let batch = batch.failed(fault.kind());
                self.batch_failed(at, batch, verdict, why);
            }
            Payload::Query(request) => self.query_failed(now, request, verdict, &words),
            Payload::Probe => self.probe_failed(now, verdict, &why),
        }
    }

    /// Notes what the failure means for the limiter. Returns the verdict, with the pause for this
    /// request alone.
    fn note_limiter(&mut self, at: At, payload: &Payload, verdict: Verdict, why: &str) -> Verdict {
        let At { now, wave } = at;
        match verdict {
            Verdict::RateLimited(wait) => {
                self.tried = Some(now);
                return Verdict::RateLimited(self.limiter.throttled(now, wave, wait, why));
            }
            Verdict::Transient { reached: true } if self.is_their_own(payload, wave) => {}
            Verdict::Transient { .. } => self.limiter.failed(now, wave, why),
            Verdict::TooSlow(_) => {
                self.limiter.too_slow();
                self.limiter.failed(now, wave, why);
            }
            Verdict::Configuration => self.limiter.rejected(now, why),
            Verdict::Input
            | Verdict::Denied
            | Verdict::TooManyTexts(_)
            | Verdict::TooLarge(_)
            | Verdict::TooLong { .. } => {}
        }
        verdict
    }

    /// Whether a request failed because of its texts: others succeed, or it is known by now.
    fn is_their_own(&self, payload: &Payload, wave: Wave) -> bool {
        match payload {
            Payload::Batch(batch) => batch.strikes > 0 || self.limiter.has_succeeded_since(wave),
            Payload::Query(_) => self.limiter.has_succeeded_since(wave),
            Payload::Probe => false,
        }
    }

    fn batch_failed(&mut self, at: At, batch: Batch, verdict: Verdict, why: String) {
        let At { now, wave } = at;
        self.follows.push_back(Follow::Failed(batch.graph.clone(), why.clone()));
        match verdict {
            Verdict::Input => self.refused(at, batch, why),
            Verdict::Denied => self.suspect(wave, batch, SuspectedOf::Refusal, why),
            Verdict::RateLimited(wait) => {
                let not_before = wait.map(|wait| now + wait);
                self.requeue(Batch { not_before, ..batch });
            }
            Verdict::Transient { reached } => self.try_again(wave, batch, reached, why),
            Verdict::TooManyTexts(max) => self.too_many(at, batch, max, why),
            Verdict::TooLarge(max) => self.too_large(at, batch, max, why),
            Verdict::TooLong { limit, received } => {
                self.too_long(at, batch, Length { limit, received }, why);
            }
            Verdict::TooSlow(limit) => {
                self.limits.too_slow(now, batch.inputs.len(), limit);
                let max = self.limits.current().texts;
                let attempts = batch.attempts + 1;
                if batch.inputs.len() > max && attempts < self.policy.max_attempts {
                    return self.requeue_in_parts(Batch { attempts, ..batch }, max);
                }
                self.try_again(wave, batch, true, why);
            }
            Verdict::Configuration => {
                self.defer(&batch);
                self.end_passes(&why);
            }
        }
    }

    /// A request held too many texts: at most `max`, or fewer than these.
    fn too_many(&mut self, at: At, batch: Batch, max: Option<u64>, why: String) {
        let held = batch.inputs.len();
        if held < 2 {
            return self.refused(at, batch, why);
        }
        let said = max.and_then(|max| usize::try_from(max).ok()).filter(|max| *max < held);
        let max = said.unwrap_or(held / 2);
        self.limits.learn_texts(at.now, max);
        self.requeue_in_parts(batch, max);
    }

    /// A request held too many tokens: at most `max`, or fewer than these.
    pub(super) fn too_large(&mut self, at: At, batch: Batch, max: Option<u64>, why: String) {
        let held: usize = batch.texts().map(Text::estimated_tokens).sum();
        let said = max.map(|max| self.limiter.estimate_of(max)).filter(|max| *max < held);
        let max = said.unwrap_or(held / 2);
        if batch.inputs.len() < 2 {
            let length = Length { limit: Some(max as u64), received: Some(held as u64) };
            return self.too_long(at, batch, length, why);
        }
        self.limits.learn_tokens(at.now, max);
        self.halve(batch);
    }

    fn try_again(&mut self, wave: Wave, batch: Batch, reached: bool, why: String) {
        if reached {
            // If the service answers others, or may do so, one of these texts is to blame.
            let known = batch.strikes > 0 || self.limiter.has_succeeded_since(wave);
            let since = if known { wave } else { self.limiter.wave() };
            if known || batch.attempts > 0 {
                return self.suspect(since, batch, SuspectedOf::Failure, why);
            }
            return self.requeue(Batch { attempts: 1, ..batch });
        }
        let many = self.limiter.failures() >= self.policy.max_attempts;
        if !many && batch.attempts + 1 < self.policy.max_attempts {
            return self.requeue(Batch { attempts: batch.attempts + 1, ..batch });
        }
        self.defer(&batch);
        if many {
            // No answers at all: leave the rest to the next pass.
            self.end_passes(&why);
        }
    }

    fn probe_failed(&mut self, now: Instant, verdict: Verdict, why: &str) {
        match verdict {
            Verdict::RateLimited(_) => {}
            Verdict::Transient { .. } | Verdict::TooSlow(_) => {
                // Nothing succeeds, not even a harmless word.
                if self.limiter.failures() >= self.policy.max_attempts {
                    self.end_passes(why);
                }
            }
            Verdict::Configuration => self.end_passes(why),
            Verdict::Input
            | Verdict::Denied
            | Verdict::TooManyTexts(_)
            | Verdict::TooLarge(_)
            | Verdict::TooLong { .. } => {
                // Even a harmless word is refused: the request is to blame, not a text.
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
