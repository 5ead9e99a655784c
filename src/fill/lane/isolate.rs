//! Isolation: which text of a refused batch is to blame, or whether the request is.
//!
//! A service says 400 to a text it will not embed, and also to a parameter it does not know, a model
//! it has retired, a budget that is spent. A request that is answered well *beside* the refusal, or
//! after it, tells them apart: the other half of the batch, or a probe of one harmless word. Without
//! this, one bad day of a proxy would quarantine a whole graph. What answers 500 to one text, and
//! says no more, is found out the same way.

use std::time::Instant;

use crate::entity::{GraphName, Text};
use crate::fill::lane::batch::Batch;
use crate::fill::lane::{Follow, Lane, Payload};
use crate::fill::port::embedding::InputType;
use crate::fill::port::id::Wave;
use crate::fill::status::LaneState;

/// What a probe sends.
const PROBE: &str = "ok";

/// What a batch is suspected of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SuspectedOf {
    /// The service refuses one of its texts.
    Refusal,
    /// The service fails over one of its texts, and does not say why.
    Failure,
}

/// A batch under suspicion, with the service's words. For its pass it is still in flight.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) batch: Batch,
    of: SuspectedOf,
    why: String,
    since: Wave,
}

impl Suspect {
    fn is_single_refusal(&self) -> bool {
        self.of == SuspectedOf::Refusal && self.batch.inputs.len() == 1
    }
}

impl Lane {
    /// A batch of this wave was refused. The first time, its halves are tried; when a half is refused
    /// as well, it waits until something proves that the service answers others.
    pub(super) fn refused(&mut self, wave: Wave, mut batch: Batch, why: String) {
        let first = batch.refused.replace(wave).is_none();
        if first && batch.inputs.len() > 1 {
            self.split_or(batch, |lane, single| lane.defer(&single));
        } else {
            self.suspect(wave, batch, SuspectedOf::Refusal, why);
        }
    }

    /// Sets a batch aside until the service has answered something well that was sent after `since`.
    pub(super) fn suspect(&mut self, since: Wave, batch: Batch, of: SuspectedOf, why: String) {
        self.suspects.push(Suspect { batch, of, why, since });
    }

    /// Resolves what can be resolved, and asks for proof where there is none. `is_ending` says whether
    /// the pass of a graph wants nothing more. Returns whether something was resolved.
    pub(crate) fn resolve_suspects(
        &mut self,
        now: Instant,
        is_ending: impl Fn(&GraphName) -> bool,
    ) -> bool {
        let before = self.suspects.len();
        for suspect in std::mem::take(&mut self.suspects) {
            let rejected = self.limiter.state() == LaneState::Rejected;
            if rejected || is_ending(&suspect.batch.graph) {
                self.defer(&suspect.batch);
            } else if self.is_corroborated(&suspect) {
                self.attribute(suspect);
            } else {
                self.suspects.push(suspect);
            }
        }
        let resolved = self.suspects.len() < before;
        if self.suspects.iter().any(|suspect| !self.may_be_corroborated(suspect)) {
            let singles = self.suspects.iter().filter(|s| s.is_single_refusal()).count();
            // A probe serves many: half a window of suspects is waited for, while others are served.
            let group = singles.min(self.limiter.window() / 2).max(1);
            if self.has_room_for(now, group) {
                self.probe(now);
                self.retest(now, group);
            }
        }
        resolved
    }

    /// The one request that a cooling lane allows is the one that tells most.
    pub(crate) fn is_cooling(&self) -> bool {
        self.limiter.state() == LaneState::Cooling
    }

    /// A probe and the texts beside it; with one request at a time, they go one after the other.
    /// Window and rate limits allow the group as one: sent apart, it would prove nothing.
    fn has_room_for(&self, now: Instant, group: usize) -> bool {
        let max = self.policy.limits.concurrency;
        let fits = self.limiter.in_flight() + 1 + group <= max;
        self.limiter.has_room(now) && (self.is_one_by_one() || fits)
    }

    /// A single text is blamed only for what happened beside a good answer; with one request at a
    /// time, for what happened before one.
    fn is_corroborated(&self, suspect: &Suspect) -> bool {
        if suspect.is_single_refusal() && !self.is_one_by_one() {
            self.limiter.has_succeeded_beside(suspect.since)
        } else {
            self.limiter.has_succeeded_since(suspect.since)
        }
    }

    fn is_one_by_one(&self) -> bool {
        self.policy.limits.concurrency < 2
    }

    /// Sends refused texts once more beside the probe: those that are refused again while it is not
    /// are to blame.
    fn retest(&mut self, now: Instant, group: usize) {
        if self.is_one_by_one() {
            return;
        }
        for _ in 0..group {
            let Some(at) = self.suspects.iter().position(Suspect::is_single_refusal) else {
                return;
            };
            let batch = self.suspects.swap_remove(at).batch;
            self.send(now, Batch { repeated: false, ..batch });
        }
    }

    /// Whether something in flight may prove that the service answers others.
    fn may_be_corroborated(&self, suspect: &Suspect) -> bool {
        let beside = suspect.is_single_refusal() && !self.is_one_by_one();
        let mut waves = self.in_flight.values().map(|flight| flight.wave);
        waves.any(|wave| wave == suspect.since || (!beside && wave > suspect.since))
    }

    /// The service answers others: one of these texts is to blame.
    fn attribute(&mut self, suspect: Suspect) {
        if suspect.of == SuspectedOf::Failure {
            return self.once_more(suspect.batch);
        }
        if suspect.is_single_refusal() && self.is_one_by_one() && !suspect.batch.retested {
            // The service may have been mended in between: refused, answered, refused, answered is
            // what blames the text.
            return self.requeue(Batch { retested: true, ..suspect.batch });
        }
        let why = suspect.why;
        self.split_or(suspect.batch, |lane, single| {
            lane.follows.push_back(Follow::Quarantine(single, why));
        });
    }

    fn probe(&mut self, now: Instant) {
        let text = Text::new(PROBE.as_bytes(), PROBE.len());
        self.submit(now, Payload::Probe, InputType::Document, vec![text]);
    }
}
