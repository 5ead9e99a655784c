//! Isolation: which text of a refused batch is to blame, or whether the request is.
//!
//! A service says 400 to a text it will not embed, and also to a parameter it does not know, a model
//! it has retired, a budget that is spent. A request that is answered well *beside* the refusal, or
//! after it, tells them apart: the other half of the batch, or a probe of one harmless word. Without
//! this, one bad day of a proxy would quarantine a whole graph. What answers 500 to one text, and
//! says no more, is found out the same way.

use std::time::{Duration, Instant};

use crate::entity::{GraphName, Text};
use crate::fill::lane::batch::Batch;
use crate::fill::lane::{Follow, Lane, Payload};
use crate::fill::port::embedding::InputType;
use crate::fill::port::id::Wave;
use crate::fill::retry::doubled;
use crate::fill::status::LaneState;

/// How often a text has to fail alone in the same way, each time beside a good answer, to be set aside.
const STRIKES: u32 = 5;
/// Pause before a text that failed alone is tried again; doubled each time.
const STRIKE_PAUSE: Duration = Duration::from_millis(100);

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
    /// A text that is tried once more beside a probe.
    fn is_single(&self) -> bool {
        self.batch.inputs.len() == 1
    }

    /// When it may be tried, if it rests.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.batch.not_before
    }

    fn rests(&self, now: Instant) -> bool {
        self.batch.not_before.is_some_and(|at| at > now)
    }
}

impl Lane {
    /// A batch of this wave was refused. The first time, its halves are tried; when a half is refused
    /// as well, it waits until something proves that the service answers others.
    pub(super) fn refused(&mut self, wave: Wave, mut batch: Batch, why: String) {
        let first = batch.refused.replace(wave).is_none();
        if first && batch.inputs.len() > 1 {
            // Perhaps it is no text but their number.
            batch.family = Some(self.limits.take_apart(batch.inputs.len()));
            self.split_or(batch, |lane, single| lane.defer(&single));
        } else {
            if let Some(family) = batch.family {
                self.limits.refused_again(family, batch.inputs.len());
            }
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
            } else if !suspect.rests(now) && self.is_corroborated(&suspect) {
                self.attribute(now, suspect);
            } else {
                self.suspects.push(suspect);
            }
        }
        let resolved = self.suspects.len() < before;
        let ready = |suspect: &&Suspect| !suspect.rests(now);
        if self.suspects.iter().filter(ready).any(|suspect| !self.may_be_corroborated(suspect)) {
            let singles = self.suspects.iter().filter(ready).filter(|s| s.is_single()).count();
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
        if suspect.is_single() && !self.is_one_by_one() {
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
            let Some(at) = self.suspects.iter().position(Suspect::is_single) else {
                return;
            };
            let batch = self.suspects.swap_remove(at).batch;
            self.send(now, Batch { repeated: false, ..batch });
        }
    }

    /// Whether something in flight may prove that the service answers others.
    fn may_be_corroborated(&self, suspect: &Suspect) -> bool {
        let beside = suspect.is_single() && !self.is_one_by_one();
        let mut waves = self.in_flight.values().map(|flight| flight.wave);
        waves.any(|wave| wave == suspect.since || (!beside && wave > suspect.since))
    }

    /// The service answers others: one of these texts is to blame.
    fn attribute(&mut self, now: Instant, suspect: Suspect) {
        let Suspect { batch, of, why, .. } = suspect;
        if let Some(family) = batch.family {
            self.limits.prove(family);
        }
        if batch.inputs.len() > 1 {
            return self.split_or(batch, |lane, single| lane.defer(&single));
        }
        if of == SuspectedOf::Failure {
            return self.strike(now, batch, why);
        }
        if self.is_one_by_one() && !batch.retested {
            // The service may have been mended in between: refused, answered, refused, answered is
            // what blames the text.
            return self.requeue(Batch { retested: true, ..batch });
        }
        self.quarantine(batch, why);
    }

    /// A text failed alone while others were answered well. By chance, that happens; again and again,
    /// it does not.
    pub(super) fn strike(&mut self, now: Instant, batch: Batch, why: String) {
        let strikes = batch.strikes + 1;
        if strikes >= STRIKES {
            return self.quarantine(batch, why);
        }
        let not_before = Some(now + doubled(STRIKE_PAUSE, batch.strikes, STRIKE_PAUSE * 8));
        let batch = Batch { strikes, not_before, ..batch };
        if self.is_one_by_one() {
            return self.requeue(batch);
        }
        // What is known of the wave it failed in proves nothing any more.
        let (of, since) = (SuspectedOf::Failure, Wave::NEVER);
        self.suspects.push(Suspect { batch, of, why, since });
    }

    fn quarantine(&mut self, batch: Batch, why: String) {
        if let Some(family) = batch.family {
            self.limits.explained(family, batch.inputs.len());
        }
        self.follows.push_back(Follow::Quarantine(batch, why));
    }

    fn probe(&mut self, now: Instant) {
        let text = Text::new(PROBE.as_bytes(), PROBE.len());
        self.submit(now, Payload::Probe, InputType::Document, vec![text]);
    }
}
