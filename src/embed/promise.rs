//! The duty to answer a request, once.

use std::time::Instant;

use crossbeam_channel::Sender;

use crate::fill::port::embedding::{Completion, RateLimits, Reply};
use crate::fill::port::fault::ServiceFault;
use crate::fill::port::id::RequestId;

/// The duty to answer a request, once.
#[derive(Debug)]
pub(crate) struct Promise {
    request: RequestId,
    sent: Instant,
    completions: Option<Sender<Completion>>,
}

impl Promise {
    pub(crate) fn new(request: RequestId, completions: Sender<Completion>) -> Self {
        Self { request, sent: Instant::now(), completions: Some(completions) }
    }

    pub(crate) fn keep(mut self, outcome: Result<Reply, ServiceFault>, limits: RateLimits) {
        self.answer(outcome, limits);
    }

    fn answer(&mut self, outcome: Result<Reply, ServiceFault>, limits: RateLimits) {
        let Some(completions) = self.completions.take() else { return };
        let (request, took) = (self.request, self.sent.elapsed());
        let completion = Completion { request, outcome, limits, took };
        // The channel holds more than there can be in flight; when it is gone, nobody is waiting.
        completions.try_send(completion).ok();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.answer(Err(ServiceFault::Cancelled), RateLimits::default());
    }
}
