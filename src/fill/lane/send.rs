//! How a lane sends its batches, and sends them again.

use std::time::Instant;

use crate::entity::Text;
use crate::fill::lane::batch::Batch;
use crate::fill::lane::{Follow, InFlight, Lane, Payload};
use crate::fill::port::embedding::{Embed, InputType};
use crate::fill::port::id::RequestId;

impl Lane {
    /// **Where a batch is sent.** Its pass counts its nodes as in flight.
    pub(crate) fn send(&mut self, now: Instant, batch: Batch) {
        let mut batch = self.cap(batch);
        self.shorten_known(&mut batch);
        self.figures.retries += u64::from(batch.repeated);
        self.space(batch.asked).cache.sent(batch.texts());
        let texts = batch.texts().cloned().collect();
        self.submit(now, Payload::Batch(batch), InputType::Document, texts);
    }

    /// Cuts a batch down to what one request may hold, as far as known by now.
    fn cap(&mut self, batch: Batch) -> Batch {
        let max = self.limits.current().texts;
        if batch.family.is_none() || batch.inputs.len() <= max {
            return batch;
        }
        let mut parts = batch.split(max);
        let first = parts.remove(0);
        for part in parts {
            self.requeue(part);
        }
        first
    }

    pub(super) fn submit(
        &mut self,
        now: Instant,
        payload: Payload,
        input: InputType,
        texts: Vec<Text>,
    ) {
        self.sent += 1;
        self.figures.requests += 1;
        let id = RequestId(self.sent);
        let tokens = texts.iter().map(Text::estimated_tokens).sum();
        let wave = self.limiter.sent(now, tokens);
        match &payload {
            Payload::Query(_) => self.limiter.sent_query(),
            Payload::Batch(_) | Payload::Probe | Payload::Trial(_) => self.limiter.sent_batch(),
        }
        let payer = match &payload {
            Payload::Batch(batch) => Some(batch.binding.clone()),
            Payload::Probe | Payload::Trial(_) | Payload::Query(_) => None,
        };
        let asked = match &payload {
            Payload::Batch(batch) => batch.asked,
            Payload::Query(request) => request.asked,
            Payload::Trial(asked) => *asked,
            Payload::Probe => None,
        };
        self.in_flight.insert(id, InFlight { payload, tokens, wave });
        self.follows.push_back(Follow::Send(
            Embed {
                embedder: self.name.clone(),
                id,
                input,
                texts,
                asked,
                dimensions: self.dimensions(asked),
            },
            payer,
        ));
    }

    /// Queues the batch to be sent again in its turn.
    pub(super) fn requeue(&mut self, batch: Batch) {
        self.follows.push_back(Follow::Requeue(Batch { repeated: true, ..batch }));
    }

    /// Leaves the batch to a later pass.
    pub(super) fn defer(&mut self, batch: &Batch) {
        if let Some(family) = batch.family {
            self.limits.explained(family, batch.inputs.len());
        }
        self.follows.push_back(Follow::Defer(batch.binding.clone(), batch.nodes()));
    }

    pub(super) fn end_passes(&mut self, why: &str) {
        self.follows.push_back(Follow::EndPasses(why.to_owned()));
    }

    /// Sends both halves of a batch again. One that cannot be halved is left to a later pass.
    pub(super) fn halve(&mut self, batch: Batch) {
        match batch.bisect() {
            Ok((first, second)) => {
                self.requeue(first);
                self.requeue(second);
            }
            Err(single) => self.defer(&single),
        }
    }

    /// Sends a batch again in parts of at most `max` texts.
    pub(super) fn requeue_in_parts(&mut self, batch: Batch, max: usize) {
        for part in batch.split(max) {
            self.requeue(part);
        }
    }
}
