//! The obligation to answer a request exactly once.

use std::time::Instant;

use crossbeam_channel::Sender;

use crate::fill::port::embedding::{Completion, RateLimits, Reply};
use crate::fill::port::fault::ServiceFault;
use crate::fill::port::id::RequestId;
use crate::rule::name::EmbedderName;

/// The obligation to answer a request exactly once. Dropped unkept, it answers
/// [`ServiceFault::Cancelled`].
#[derive(Debug)]
pub(crate) struct Promise {
    embedder: EmbedderName,
    request: RequestId,
    sent: Instant,
    completions: Option<Sender<Completion>>,
}

impl Promise {
    /// Starts the clock for the request's duration.
    pub(crate) fn new(
        embedder: EmbedderName,
        request: RequestId,
        completions: Sender<Completion>,
    ) -> Self {
        Self { embedder, request, sent: Instant::now(), completions: Some(completions) }
    }

    /// Answers the request. `limits` is what the service reported about its rate limits.
    pub(crate) fn keep(mut self, outcome: Result<Reply, ServiceFault>, limits: RateLimits) {
        self.answer(outcome, limits);
    }

    fn answer(&mut self, outcome: Result<Reply, ServiceFault>, limits: RateLimits) {
        let Some(completions) = self.completions.take() else { return };
        let (request, took) = (self.request, self.sent.elapsed());
        let embedder = self.embedder.clone();
        let completion = Completion { embedder, request, outcome, limits, took };
        // The channel has room for more than can be in flight; if it is closed, nothing is waiting.
        completions.try_send(completion).ok();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.answer(Err(ServiceFault::Cancelled), RateLimits::default());
    }
}
