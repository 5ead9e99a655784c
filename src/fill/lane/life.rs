//! How a lane begins, follows its settings, and ends.

use crate::fill::lane::request_limits::RequestLimits;
use crate::fill::lane::sameness::Sameness;
use crate::fill::lane::space::Space;
use crate::fill::lane::{Follow, Lane, Payload, Policy};
use crate::fill::port::server::RunFault;
use crate::fill::port::settings::LaneSettings;

impl Lane {
    /// Applies new settings.
    pub(crate) fn configure(&mut self, settings: &LaneSettings) {
        self.policy = Policy::of(settings);
        self.limiter.configure(settings.limits);
        self.limits.configure(settings.batch);
        for space in self.spaces.values_mut() {
            space.queries.resize(settings.query_cache);
        }
    }

    /// Forgets an embedder that was replaced by another. Its requests in flight are never answered
    /// and are sent again.
    pub(crate) fn reset(&mut self, settings: &LaneSettings) {
        self.limiter.reset();
        self.limits = RequestLimits::new(settings.batch);
        self.spaces.values_mut().for_each(Space::forget);
        self.sameness = Sameness::default();
        self.take_back();
    }

    /// The embedder is gone: its batches go back to their passes, which end, and its users are told.
    pub(crate) fn close_down(&mut self) {
        self.take_back();
        let users = self.spaces.values_mut().flat_map(|space| space.queries.drain());
        for run in users.collect::<Vec<_>>() {
            let fault = RunFault::NoEmbedder(self.name.clone());
            self.follows.push_back(Follow::Answer(run, Err(fault)));
        }
        self.end_passes(&format!("the embedder '{}' is no longer defined", self.name));
    }

    /// Takes back everything that was sent, to be sent again.
    fn take_back(&mut self) {
        // Requests not handed out yet would be paid for twice.
        self.follows.retain(|follow| !matches!(follow, Follow::Send(..)));
        for flight in std::mem::take(&mut self.in_flight).into_values() {
            match flight.payload {
                Payload::Batch(batch) => {
                    self.space(batch.asked).cache.complete(batch.texts());
                    self.requeue(batch.cleared());
                }
                Payload::Query(request) => self.space(request.asked).queries.requeue(request),
                Payload::Probe | Payload::Trial(_) => {}
            }
        }
        for suspect in std::mem::take(&mut self.suspects) {
            self.requeue(suspect.batch.cleared());
        }
    }
}
