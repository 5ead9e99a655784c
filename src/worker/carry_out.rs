//! Carries out what the core has decided, and publishes what it knows.

use std::sync::Arc;
use std::time::Instant;

use crate::fill::port::embedding::Embed;
use crate::fill::port::event::Action;
use crate::worker::Published;
use crate::worker::body::{Body, PUBLISH};
use crate::worker::log::Log;

impl Body<'_> {
    /// Carries out what the core has decided.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.filler.poll() {
            self.changed = true;
            self.perform(action);
        }
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Survey => self.store.survey(self.answers.0.clone()),
            Action::Read(read) => self.store.read(read, self.answers.0.clone()),
            Action::Embed(request) => self.submit(&request),
            Action::Write(write) => self.store.write(write, self.answers.0.clone()),
            Action::Answer { run, outcome } => {
                // A STATUS right after the answer must agree with it.
                self.publish();
                self.waiting.respond(run, outcome);
            }
            Action::Report(report) => Log::pass(self.store, &report),
        }
    }

    pub(super) fn submit(&self, request: &Embed) {
        let embedder = self.embedders.get(&request.embedder);
        debug_assert!(embedder.is_some(), "a lane without an embedder: {}", request.embedder);
        if let Some(embedder) = embedder {
            embedder.submit(request);
        }
    }

    pub(super) fn publish_when_due(&mut self) {
        if self.changed && self.published.elapsed() >= PUBLISH {
            self.publish();
        }
    }

    pub(super) fn publish(&mut self) {
        let now = Instant::now();
        let snapshot = self.filler.snapshot(now);
        self.log.states(self.store, &snapshot);
        let published = Published { snapshot, restarts: self.restarts, panic: None };
        self.inbox.shared.published.store(Arc::new(published));
        self.published = now;
        self.changed = false;
    }
}
