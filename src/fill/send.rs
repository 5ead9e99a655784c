//! Sends to the embedders what can be sent now, each at its own pace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::fill::Filler;
use crate::fill::lane::Lane;
use crate::fill::lane::batch::Batch;
use crate::fill::lane::space::{AskedLength, Offer};
use crate::fill::pass::{Ending, Pass, Room};
use crate::rule::Binding;
use crate::rule::name::EmbedderName;

/// Memory that all stages together may hold in texts and vectors.
const HELD_BYTES: usize = 64 << 20;
/// Bytes of text waiting to be sent at which selecting stops.
const HELD_TEXT_BYTES: usize = 16 << 20;
/// Assumed vector length before the first vector arrives.
const GUESSED_DIMENSIONS: usize = 1_536;
/// Assumed memory per node besides its vector: its text, and our own bookkeeping.
const NODE_BYTES: usize = 2_048;

impl Filler {
    /// Sends what users wait for, before any batch.
    pub(super) fn send_queries(&mut self, now: Instant) {
        for embedder in self.lanes.names() {
            let needs = |pass: &Pass| pass.rule().embedder == embedder && pass.has_batch();
            let batches = self.schedule.passes().any(needs);
            self.lanes.get_mut(&embedder).into_iter().for_each(|l| l.send_queries(now, batches));
        }
    }

    /// Sends what one embedder can be sent now. Returns whether a suspect was resolved.
    pub(super) fn serve_lane(&mut self, now: Instant, embedder: &EmbedderName) -> bool {
        // A cooling lane allows one request: spend it on the one that reveals the most.
        let cooling = self.lanes.get(embedder).is_some_and(Lane::is_cooling);
        let resolved = cooling && self.resolve_suspects(now, embedder);
        self.send_batches(now, embedder);
        self.resolve_suspects(now, embedder) || resolved
    }

    /// How much the passes of each lane may hold.
    pub(super) fn rooms(&self) -> BTreeMap<EmbedderName, Room> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), self.room(name, lane))).collect()
    }

    /// How much a pass of a lane may hold: enough to keep the embedder busy twice over, but never
    /// more than its share of the memory.
    fn room(&self, embedder: &EmbedderName, lane: &Lane) -> Room {
        let limits = lane.batch_limits();
        let dimensions = lane.dimensions(None).unwrap_or(GUESSED_DIMENSIONS);
        let (mut ours, mut waiting, mut busy) = (0, 0, BTreeSet::new());
        for pass in self.schedule.passes() {
            busy.insert(&pass.rule().embedder);
            if pass.rule().embedder == *embedder {
                ours += 1;
                waiting += pass.waiting_bytes();
            }
        }
        // Each lane has its share, so that one that is slow fills up only its own.
        let lanes = busy.len().max(1);
        let fitting = HELD_BYTES / lanes / (dimensions * size_of::<f32>() + NODE_BYTES);
        let share = fitting.min(lane.wanted()) / ours.max(1);
        Room {
            nodes: share.max(limits.texts.min(fitting)),
            heavy: waiting > HELD_TEXT_BYTES / lanes,
            limits,
        }
    }

    fn resolve_suspects(&mut self, now: Instant, embedder: &EmbedderName) -> bool {
        let passes = &self.schedule;
        let is_ending = |binding: &Binding| passes.pass(binding).is_none_or(Pass::is_ending);
        let Some(lane) = self.lanes.get_mut(embedder) else { return false };
        let resolved = lane.resolve_suspects(now, is_ending);
        self.follow();
        resolved
    }

    /// **Where pending nodes go to the embedder**, binding by binding in turn.
    fn send_batches(&mut self, now: Instant, embedder: &EmbedderName) {
        self.end_rejected(embedder);
        while self.send_batch(now, embedder) {}
        self.follow();
    }

    /// Sends the next batch, if there is room and a pass has one.
    fn send_batch(&mut self, now: Instant, embedder: &EmbedderName) -> bool {
        let Some(lane) = self.lanes.get(embedder).filter(|lane| lane.has_room(now)) else {
            return false;
        };
        let room = self.room(embedder, lane);
        for binding in self.schedule.in_turn_for(embedder) {
            let Some((pass, lane)) =
                self.schedule.pass_mut(&binding).zip(self.lanes.get_mut(embedder))
            else {
                continue;
            };
            let Some(asked) = settle_length(now, pass, lane) else {
                // A trial may have taken the last room.
                if lane.has_room(now) {
                    continue;
                }
                return false;
            };
            if let Some(batch) = pass.take_batch(now, &binding, room, lane.cache(asked)) {
                let batch = Batch { asked, ..batch };
                lane.send(now, batch);
                self.schedule.serve(&binding);
                return true;
            }
        }
        false
    }

    /// Ends passes with entities to embed while their lane is rejected: they would wait for the
    /// operator.
    fn end_rejected(&mut self, embedder: &EmbedderName) {
        let rejection = self.lanes.get(embedder).and_then(Lane::rejection);
        let Some(reason) = rejection else { return };
        self.schedule.each_pass_of(embedder, |pass| {
            if pass.needs_embedder() {
                pass.end(Ending::Stop, Some(reason));
            }
        });
    }
}

/// The length of vectors to ask for, for a pass. `None` = nothing can be sent for it now: the length
/// is tried first, or the embedder does not give it and the pass ends.
fn settle_length(now: Instant, pass: &mut Pass, lane: &mut Lane) -> Option<AskedLength> {
    let wanted = pass.wanted_length().filter(|_| pass.has_batch());
    match lane.offers(wanted) {
        Offer::Yes(asked) => return Some(asked),
        Offer::No(why) => pass.end(Ending::Stop, Some(&why)),
        Offer::Unknown => wanted.into_iter().for_each(|wanted| lane.try_length(now, wanted)),
    }
    None
}
