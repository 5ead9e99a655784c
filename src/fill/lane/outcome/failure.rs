//! What follows from a fault of the embedder, for its texts and for the lane.

use std::time::Instant;

use crate::entity::Text;
use crate::fill::lane::batch::Batch;
use crate::fill::lane::isolate::SuspectedOf;
use crate::fill::lane::outcome::{At, REASON_CHARS};
use crate::fill::lane::shorten::Length;
use crate::fill::lane::{Follow, Lane, Payload};
use crate::fill::port::fault::{ServiceFault, Verdict, classify};
use crate::fill::port::id::Wave;
use crate::text::one_line;

impl Lane {
    /// **What follows from a fault of the embedder.** What it means is decided by [`classify`].
    pub(super) fn fail(
        &mut self,
        now: Instant,
        wave: Wave,
        payload: Payload,
        fault: &ServiceFault,
    ) {
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
            Payload::Probe | Payload::Trial(_) => self.probe_failed(now, verdict, &why),
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
            Payload::Probe | Payload::Trial(_) => false,
        }
    }

    fn batch_failed(&mut self, at: At, batch: Batch, verdict: Verdict, why: String) {
        let At { now, wave } = at;
        self.follows.push_back(Follow::Failed(batch.binding.clone(), why.clone()));
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
    pub(in crate::fill::lane) fn too_large(
        &mut self,
        at: At,
        batch: Batch,
        max: Option<u64>,
        why: String,
    ) {
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
}
