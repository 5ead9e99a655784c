//! A refused batch, while nobody knows yet whether a text is to blame or the request.
//!
//! A service says 400 to a text it will not embed, and also to a parameter it does not know, a model
//! it has retired, a budget that is spent. A request that is answered well *beside* the refusal, or
//! after it, tells them apart: the other half of the batch, or a probe of one harmless word. Without
//! this, one bad day of a proxy would quarantine a whole graph. What answers 500 to one text, and
//! says no more, is found out the same way.

use std::time::Instant;

use crate::entity::Text;
use crate::fill::lane::batch::Batch;
use crate::fill::pass::Ending;
use crate::fill::port::embedding::{Reply, Role};
use crate::fill::port::fault::{ServiceFault, Verdict, judge};
use crate::fill::status::LaneState;
use crate::fill::{Cargo, Filler};

/// What a probe sends.
const PROBE: &str = "ok";

/// What a batch is suspected of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The service refuses one of its texts.
    Refusal,
    /// The service fails over one of its texts, and does not say why.
    Stumble,
}

/// A batch under suspicion, with the service's words. For its pass it is still in flight.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) batch: Batch,
    blame: Blame,
    why: String,
    since: Instant,
}

impl Doubt {
    fn is_single_refusal(&self) -> bool {
        self.blame == Blame::Refusal && self.batch.inputs.len() == 1
    }
}

impl Filler {
    /// A batch sent at `sent` was refused. The first time, its halves are tried; when a half is
    /// refused as well, it waits until something proves that the service answers others.
    pub(crate) fn refused(&mut self, sent: Instant, mut batch: Batch, why: String) {
        let first = batch.refused.replace(sent).is_none();
        if first && batch.inputs.len() > 1 {
            self.split_or(batch, Self::defer);
        } else {
            self.doubt(sent, batch, Blame::Refusal, why);
        }
    }

    /// Puts a batch aside until the service has answered well to something sent after `since`.
    pub(crate) fn doubt(&mut self, since: Instant, batch: Batch, blame: Blame, why: String) {
        self.doubts.push(Doubt { batch, blame, why, since });
    }

    /// Settles what can be settled, and asks for proof where there is none. Returns whether something
    /// was settled.
    pub(crate) fn settle_doubts(&mut self, now: Instant) -> bool {
        let before = self.doubts.len();
        for doubt in std::mem::take(&mut self.doubts) {
            let ending = self.pass_mut(&doubt.batch.graph).is_none_or(|pass| pass.ending.is_some());
            if ending || self.lane.state() == LaneState::Rejected {
                self.defer(&doubt.batch);
            } else if self.is_proven(&doubt) {
                self.convict(doubt);
            } else {
                self.doubts.push(doubt);
            }
        }
        let settled = self.doubts.len() < before;
        let open = |doubt: &Doubt| !self.may_be_proven(doubt);
        if self.doubts.iter().any(open) {
            let suspects = self.doubts.iter().filter(|doubt| doubt.is_single_refusal()).count();
            // A probe serves many: half a window of suspects is waited for, while others are served.
            let group = suspects.min(self.lane.window() / 2).max(1);
            if self.has_room_for(now, group) {
                self.probe(now);
                self.confront(now, group);
            }
        }
        settled
    }

    /// A probe and the texts beside it; with one request at a time, they go one after the other.
    /// Window and rate ceilings allow the group as one: sent apart, it would prove nothing.
    fn has_room_for(&self, now: Instant, group: usize) -> bool {
        let most = self.settings.lane.concurrency;
        let fits = self.lane.in_flight() + 1 + group <= most;
        self.lane.has_room(now) && (self.is_one_by_one() || fits)
    }

    /// A single text is blamed only for what happened beside a good answer; with one request at a
    /// time, for what happened before one.
    fn is_proven(&self, doubt: &Doubt) -> bool {
        if doubt.is_single_refusal() && !self.is_one_by_one() {
            self.lane.has_succeeded_beside(doubt.since)
        } else {
            self.lane.has_succeeded_since(doubt.since)
        }
    }

    fn is_one_by_one(&self) -> bool {
        self.settings.lane.concurrency < 2
    }

    /// Sends refused texts once more beside the probe: those that are refused again while it is not
    /// are to blame.
    fn confront(&mut self, now: Instant, group: usize) {
        if self.is_one_by_one() {
            return;
        }
        for _ in 0..group {
            let Some(at) = self.doubts.iter().position(Doubt::is_single_refusal) else { return };
            let batch = self.doubts.swap_remove(at).batch;
            self.send(now, batch);
        }
    }

    /// Whether something in flight may prove that the service answers.
    fn may_be_proven(&self, doubt: &Doubt) -> bool {
        let beside = doubt.is_single_refusal() && !self.is_one_by_one();
        let mut flights = self.flights.values().map(|flight| flight.sent);
        flights.any(|sent| sent == doubt.since || (!beside && sent > doubt.since))
    }

    /// The service answers others: one of these texts is to blame.
    fn convict(&mut self, doubt: Doubt) {
        if doubt.blame == Blame::Stumble {
            return self.once_more(doubt.batch);
        }
        if doubt.is_single_refusal() && self.is_one_by_one() && !doubt.batch.confronted {
            // The service may have been mended in between: refused, answered, refused, answered is
            // what blames the text.
            return self.again(Batch { confronted: true, ..doubt.batch });
        }
        let why = doubt.why;
        self.split_or(doubt.batch, |filler, single| {
            if let Some(pass) = filler.pass_mut(&single.graph) {
                pass.land(single.nodes());
                pass.quarantine(single.clone(), &why);
            }
        });
    }

    fn probe(&mut self, now: Instant) {
        let text = Text::new(PROBE.as_bytes(), PROBE.len());
        self.submit(now, Cargo::Probe, Role::Document, vec![text]);
    }

    /// A probe came back.
    pub(crate) fn probed(
        &mut self,
        now: Instant,
        sent: Instant,
        outcome: Result<Reply, ServiceFault>,
    ) {
        let Err(fault) = outcome else { return self.lane.succeeded(now, sent) };
        let why = fault.to_string();
        match judge(&fault) {
            Verdict::Throttle(wait) => self.lane.throttled(now, sent, wait, &why),
            Verdict::Transient => {
                self.lane.failed(now, sent, &why);
                // Nothing is answered well, not even a harmless word.
                self.end_all(Ending::Stop, Some(&why));
            }
            Verdict::Row | Verdict::Batch => {
                // Even a harmless word is refused: the request is to blame, and no text.
                self.lane.rejected(now, &why);
                self.end_all(Ending::Stop, Some(&why));
            }
        }
    }
}
