//! The body of the thread: one turn after another until it is asked to end.
//!
//! A turn hears what has happened, lets the core decide, carries that out, and waits. Only this
//! waits: embedder and store are asked, and answer on channels. So the core sees one event at a
//! time, and needs no locks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::embed::Embedder;
use crate::embed::config::EmbedderConfig;
use crate::fill::Filler;
use crate::fill::port::embedding::Completion;
use crate::fill::port::event::{About, Event, QuarantineRequest};
use crate::inject::{Point, reached};
use crate::rule::name::EmbedderName;
use crate::worker::log::Log;
use crate::worker::port::{Answer, Request, Store};
use crate::worker::waiting::{Waiting, WaitingRoom};
use crate::worker::{Config, Inbox, lock};

/// More than can be in flight: `concurrency` is at most 64, for the old and the new one of each of
/// at most 17 embedders.
const MAX_COMPLETIONS: usize = 4_096;
/// More than the store answers that can be on their way.
const MAX_ANSWERS: usize = 256;
/// Shortest time between two snapshots for STATUS.
pub(super) const PUBLISH: Duration = Duration::from_millis(50);
/// How often the worker runs a turn when nothing happens; bounds the damage of a lost wake-up.
const IDLE: Duration = Duration::from_secs(1);
/// How long to wait for the embedder's threads to end.
const EMBEDDER_STOP: Duration = Duration::from_millis(50);

/// The state of the running thread.
/// Created on the thread and dropped on it, also by a panic.
pub(super) struct Body<'a> {
    pub(super) inbox: &'a Inbox,
    pub(super) store: &'a dyn Store,
    pub(super) filler: Filler,
    pub(super) embedders: BTreeMap<EmbedderName, Embedder>,
    /// What the core and the embedders were last given.
    pub(super) config: Config,
    /// From the embedders, at most [`MAX_COMPLETIONS`]. Both ends are held, so it is never closed.
    pub(super) completions: (Sender<Completion>, Receiver<Completion>),
    /// From the store, at most [`MAX_ANSWERS`].
    pub(super) answers: (Sender<Answer>, Receiver<Answer>),
    pub(super) waiting: WaitingRoom,
    /// How many bodies before this one panicked.
    pub(super) restarts: u32,
    /// When the snapshot for STATUS was last replaced.
    pub(super) published: Instant,
    /// Whether anything has happened since then.
    pub(super) changed: bool,
    pub(super) log: Log,
}

fn start(name: &EmbedderName, config: &EmbedderConfig, to: &Sender<Completion>) -> Embedder {
    Embedder::start(name.clone(), config, to.clone())
}

impl<'a> Body<'a> {
    /// A body with the inbox's current settings; starts the embedder.
    /// Cannot fail: an embedder that cannot be created answers each request with the reason.
    pub(super) fn new(inbox: &'a Inbox, store: &'a dyn Store, restarts: u32) -> Self {
        let config = lock(&inbox.shared.config).clone();
        let completions = bounded(MAX_COMPLETIONS);
        let now = Instant::now();
        Self {
            inbox,
            store,
            filler: Filler::new(config.settings.clone(), fastrand::u64(..), now),
            embedders: config
                .embedders
                .iter()
                .map(|(name, config)| (name.clone(), start(name, config, &completions.0)))
                .collect(),
            config,
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
    /// While something is, the stop is left pending, and its caller may withdraw it.
    pub(super) fn run(mut self) {
        loop {
            self.hear();
            self.expire_waiters();
            self.note(Event::Tick);
            self.act();
            self.publish_when_due();
            if !self.filler.is_busy() && self.waiting.is_empty() && self.inbox.may_end() {
                self.embedders.into_values().for_each(|embedder| embedder.stop(EMBEDDER_STOP));
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
            let config = lock(&shared.config).clone();
            self.configure(config);
        }
        // Taken out first: inside the loop's head, the lock would be held until the loop ends.
        let touched = std::mem::take(&mut *lock(&shared.touched));
        for graph in touched {
            self.note(Event::Touched(graph));
        }
    }

    /// Applies new settings. Embedders that changed are created anew; those that are gone end.
    /// Completions of the old embedders may still arrive; the core tells them by the request.
    fn configure(&mut self, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        let (old, new) = (&before.embedders, &self.config.embedders);
        for name in old.keys().filter(|name| old.get(*name) != new.get(*name)) {
            if let Some(embedder) = self.embedders.remove(name) {
                embedder.stop(EMBEDDER_STOP);
            }
        }
        let mut replaced = BTreeSet::new();
        for (name, config) in new {
            if !self.embedders.contains_key(name) {
                let embedder = start(name, config, &self.completions.0);
                self.embedders.insert(name.clone(), embedder);
                self.log.embedder_replaced(name);
                replaced.insert(name.clone());
            }
        }
        let settings = Box::new(self.config.settings.clone());
        self.note(Event::Configured { settings, replaced });
    }

    fn take_request(&mut self, request: Request) {
        // Settings changed before the request was made apply to it.
        self.take_what_was_left();
        let now = Instant::now();
        let mut wait = |waiting| self.waiting.enter(waiting, now);
        let event = match request {
            Request::Run(graph, rule, user) => {
                Event::Run { run: user.map(|user| wait(Waiting::Pass(user))), graph, rule }
            }
            Request::List(graph, rule, most, user) => Event::Quarantine {
                run: wait(Waiting::Failures(user)),
                about: About { graph, rule },
                request: QuarantineRequest::List { most },
            },
            Request::Release(graph, rule, ids, user) => Event::Quarantine {
                run: wait(Waiting::Released(user)),
                about: About { graph, rule },
                request: QuarantineRequest::Release { ids },
            },
            Request::Query(embedder, length, texts, user) => {
                Event::Query { run: wait(Waiting::Vectors(user)), embedder, length, texts }
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
}
