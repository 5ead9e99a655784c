//! Isolation: which text of a refused batch is to blame, or whether the request is.
//!
//! A service answers 400 to a text it will not embed, but also to an unknown parameter, a retired
//! model or a used-up budget. A request that succeeds *beside* the refusal, or after it, tells them
//! apart: the other half of the batch, or a probe of one harmless word. Without this, a proxy's bad
//! day would quarantine a whole graph. A text that a service answers with a bare 500 is isolated
//! the same way.

use std::time::{Duration, Instant};

use crate::entity::Text;
use crate::fill::lane::batch::Batch;
use crate::fill::lane::outcome::At;
use crate::fill::lane::{Follow, Lane, Payload};
use crate::fill::port::embedding::InputType;
use crate::fill::port::id::Wave;
use crate::fill::retry::doubled;
use crate::fill::status::LaneState;
use crate::rule::Binding;

/// How often a text has to fail alone in the same way, each time beside a success, to be
/// quarantined.
const STRIKES: u32 = 5;
/// Pause before a text that failed alone is tried again; doubled each time.
const STRIKE_PAUSE: Duration = Duration::from_millis(100);

/// The text of a probe.
const PROBE: &str = "ok";

/// What a batch is suspected of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SuspectedOf {
    /// The service refuses one of its texts.
    Refusal,
    /// The service fails on one of its texts without saying why.
    Failure,
}

/// A batch under suspicion, with the service's message. To its pass it is still in flight.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) batch: Batch,
    of: SuspectedOf,
    why: String,
    since: Wave,
}

impl Suspect {
    /// Whether it is a single text, to be retested beside a probe.
    fn is_single(&self) -> bool {
        self.batch.inputs.len() == 1
    }

    /// When it may be retested, if it is resting.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.batch.not_before
    }

    fn rests(&self, now: Instant) -> bool {
        self.batch.not_before.is_some_and(|at| at > now)
    }
}

impl Lane {
    /// A batch of this wave was refused. The first time, its halves are tried; a half that is
    /// refused as well waits until something proves that the service answers others.
    pub(super) fn refused(&mut self, at: At, mut batch: Batch, why: String) {
        let At { now, wave } = at;
        let first = batch.refused.replace(wave).is_none();
        if first && batch.inputs.len() > 1 {
            // The cause may be the number of texts rather than one of them.
            batch.family = Some(self.limits.take_apart(now, batch.inputs.len()));
            self.halve(batch);
        } else {
            if let Some(family) = batch.family {
                self.limits.refused_again(family, batch.inputs.len());
            }
            self.suspect(wave, batch, SuspectedOf::Refusal, why);
        }
    }

    /// Sets a batch aside until a request sent since `since` has succeeded.
    pub(super) fn suspect(&mut self, since: Wave, batch: Batch, of: SuspectedOf, why: String) {
        self.suspects.push(Suspect { batch, of, why, since });
    }

    /// Resolves the suspects that can be resolved, and sends probes for the others. `is_ending`
    /// tells whether the pass over a graph is ending. Returns whether any were resolved.
    pub(crate) fn resolve_suspects(
        &mut self,
        now: Instant,
        is_ending: impl Fn(&Binding) -> bool,
    ) -> bool {
        let before = self.suspects.len();
        for suspect in std::mem::take(&mut self.suspects) {
            let rejected = self.limiter.state() == LaneState::Rejected;
            if rejected || is_ending(&suspect.batch.binding) {
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
            // One probe serves many suspects: wait for half a window of them while others are
            // served.
            let group = singles.min(self.limiter.window() / 2).max(1);
            if self.has_room_for(now, group) {
                self.probe(now);
                self.retest(now, group);
            }
        }
        resolved
    }

    /// Whether the lane is cooling, so that its one request is best spent on a probe.
    pub(crate) fn is_cooling(&self) -> bool {
        self.limiter.state() == LaneState::Cooling
    }

    /// Whether a probe and the texts beside it may be sent; with one request at a time, they go one
    /// after the other. Window and rate limits treat the group as one request: sent apart, it would
    /// prove nothing.
    fn has_room_for(&self, now: Instant, group: usize) -> bool {
        let max = self.policy.limits.concurrency;
        let fits = self.limiter.in_flight() + 1 + group <= max;
        self.limiter.has_room(now) && (self.is_one_by_one() || fits)
    }

    /// A single text is blamed only if a request beside it succeeded; with one request at a time,
    /// if a later one did.
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

    /// Sends refused texts once more beside the probe: those refused again while the probe succeeds
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
            return self.halve(batch);
        }
        if of == SuspectedOf::Failure {
            return self.strike(now, batch, why);
        }
        if self.is_one_by_one() && !batch.retested {
            // The service may have recovered in between: only the sequence refused, answered,
            // refused, answered blames the text.
            return self.requeue(Batch { retested: true, ..batch });
        }
        self.quarantine(batch, why);
    }

    /// A text failed alone while others succeeded. That can happen by chance, but not repeatedly.
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
        // Successes in the wave it failed in have been used as proof and must not count again.
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
