//! The body of the thread: one turn after another until it is asked to end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::embed::Embedder;
use crate::embed::config::EmbedderConfig;
use crate::fill::Filler;
use crate::fill::port::embedding::Completion;
use crate::fill::port::event::{Action, Event, QuarantineRequest};
use crate::fill::port::settings::Settings;
use crate::inject::{Point, reached};
use crate::worker::log::Log;
use crate::worker::port::{Answer, Request, Store};
use crate::worker::waiting::{Waiting, WaitingRoom};
use crate::worker::{Inbox, Published, lock};

/// More than can be in flight: `concurrency` is at most 64, for the old and the new embedder each.
const MAX_COMPLETIONS: usize = 1_024;
/// More than the store answers that can be on their way.
const MAX_ANSWERS: usize = 256;
/// Shortest time between two snapshots for STATUS.
const PUBLISH: Duration = Duration::from_millis(50);
/// How often the worker runs a turn when nothing happens; bounds the damage of a lost wake-up.
const IDLE: Duration = Duration::from_secs(1);
/// How long to wait for the embedder's threads to end.
const EMBEDDER_STOP: Duration = Duration::from_millis(50);

/// The state of the running thread.
pub(super) struct Body<'a> {
    inbox: &'a Inbox,
    store: &'a dyn Store,
    filler: Filler,
    embedder: Embedder,
    settings: (Settings, EmbedderConfig),
    completions: (Sender<Completion>, Receiver<Completion>),
    answers: (Sender<Answer>, Receiver<Answer>),
    waiting: WaitingRoom,
    restarts: u32,
    published: Instant,
    changed: bool,
    log: Log,
}

impl<'a> Body<'a> {
    /// A body with the inbox's current settings; starts the embedder.
    pub(super) fn new(inbox: &'a Inbox, store: &'a dyn Store, restarts: u32) -> Self {
        let settings = lock(&inbox.shared.settings).clone();
        let completions = bounded(MAX_COMPLETIONS);
        let now = Instant::now();
        Self {
            inbox,
            store,
            filler: Filler::new(settings.0.clone(), fastrand::u64(..), now),
            embedder: Embedder::start(&settings.1, completions.0.clone()),
            settings,
            completions,
            answers: bounded(MAX_ANSWERS),
            waiting: WaitingRoom::default(),
            restarts,
            published: now,
            changed: true,
            log: Log::default(),
        }
    }

    /// Runs until a stop is requested and nothing is in progress.
    pub(super) fn run(mut self) {
        loop {
            self.hear();
            self.expire_waiters();
            self.note(Event::Tick);
            self.act();
            self.publish_when_due();
            if !self.filler.is_busy() && self.waiting.is_empty() && self.inbox.may_end() {
                self.embedder.stop(EMBEDDER_STOP);
                return;
            }
            self.wait();
        }
    }

    /// Waits until something happens or falls due.
    fn wait(&mut self) {
        let now = Instant::now();
        let publish = self.changed.then(|| self.published + PUBLISH);
        let due = [self.filler.deadline(now), publish, self.waiting.deadline()];
        let due = due.into_iter().flatten().min();
        let limit = due.map_or(IDLE, |at| at.saturating_duration_since(now)).min(IDLE);
        let inbox = self.inbox;
        select! {
            recv(inbox.woken) -> _ => {}
            recv(inbox.requests) -> asked => if let Ok(asked) = asked { self.take_request(asked) },
            recv(self.completions.1) -> done => if let Ok(done) = done { self.note(Event::Embedded(done)) },
            recv(self.answers.1) -> answer => if let Ok(answer) = answer { self.note(answer()) },
            default(limit) => {}
        }
    }

    /// Passes everything that has happened to the core, users first. Acting on it comes later.
    fn hear(&mut self) {
        self.take_what_was_left();
        while let Ok(asked) = self.inbox.requests.try_recv() {
            self.take_request(asked);
        }
        while let Ok(done) = self.completions.1.try_recv() {
            self.note(Event::Embedded(done));
        }
        while let Ok(answer) = self.answers.1.try_recv() {
            self.note(answer());
        }
    }

    fn take_what_was_left(&mut self) {
        let inbox = self.inbox;
        let shared = &inbox.shared;
        if shared.server_changed.swap(false, Ordering::Relaxed) {
            self.note(Event::ServerChanged);
        }
        if shared.graphs_arrive.swap(false, Ordering::Relaxed) {
            self.note(Event::GraphsArrive);
        }
        if shared.settings_changed.swap(false, Ordering::SeqCst) {
            let settings = lock(&shared.settings).clone();
            self.configure(settings);
        }
        // Taken out first: inside the loop's head, the lock would be held until the loop ends.
        let touched = std::mem::take(&mut *lock(&shared.touched));
        for graph in touched {
            self.note(Event::Touched(graph));
        }
    }

    fn configure(&mut self, settings: (Settings, EmbedderConfig)) {
        let embedder_replaced = settings.1 != self.settings.1;
        if embedder_replaced {
            let fresh = Embedder::start(&settings.1, self.completions.0.clone());
            std::mem::replace(&mut self.embedder, fresh).stop(EMBEDDER_STOP);
            self.log.embedder_replaced();
        }
        self.settings = settings.clone();
        self.note(Event::Configured { settings: Box::new(settings.0), embedder_replaced });
    }

    fn take_request(&mut self, request: Request) {
        // Settings changed before the request was made apply to it.
        self.take_what_was_left();
        let now = Instant::now();
        let mut wait = |waiting| self.waiting.enter(waiting, now);
        let event = match request {
            Request::Run(graph, user) => {
                Event::Run { run: user.map(|user| wait(Waiting::Pass(user))), graph }
            }
            Request::List(graph, most, user) => Event::Quarantine {
                run: wait(Waiting::Failures(user)),
                graph,
                request: QuarantineRequest::List { most },
            },
            Request::Release(graph, ids, user) => Event::Quarantine {
                run: wait(Waiting::Released(user)),
                graph,
                request: QuarantineRequest::Release { ids },
            },
            Request::Query(texts, user) => {
                Event::Query { run: wait(Waiting::Vectors(user)), texts }
            }
        };
        self.note(event);
    }

    /// Passes one event to the core.
    fn note(&mut self, event: Event) {
        reached(Point::Worker);
        self.changed |= !matches!(event, Event::Tick);
        self.filler.handle(Instant::now(), event);
    }

    /// Carries out what the core has decided.
    fn act(&mut self) {
        while let Some(action) = self.filler.poll() {
            self.changed = true;
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Survey => self.store.survey(self.answers.0.clone()),
            Action::Read(read) => self.store.read(read, self.answers.0.clone()),
            Action::Embed(request) => self.embedder.submit(&request),
            Action::Write(write) => self.store.write(write, self.answers.0.clone()),
            Action::Answer { run, outcome } => {
                // A STATUS right after the answer must agree with it.
                self.publish();
                self.waiting.respond(run, outcome);
            }
            Action::Report(report) => Log::pass(self.store, &report),
        }
    }

    fn expire_waiters(&mut self) {
        if self.inbox.shared.client_gone.swap(false, Ordering::Relaxed) {
            for run in self.waiting.take_gone() {
                self.note(Event::GaveUp(run));
            }
        }
        for run in self.waiting.expire(Instant::now()) {
            self.note(Event::GaveUp(run));
        }
    }

    fn publish_when_due(&mut self) {
        if self.changed && self.published.elapsed() >= PUBLISH {
            self.publish();
        }
    }

    fn publish(&mut self) {
        let now = Instant::now();
        let snapshot = self.filler.snapshot(now);
        self.log.states(self.store, &snapshot);
        let published = Published { snapshot, restarts: self.restarts, panic: None };
        self.inbox.shared.published.store(Arc::new(published));
        self.published = now;
        self.changed = false;
    }
}
