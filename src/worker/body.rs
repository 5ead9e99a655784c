//! What runs on the thread: one turn after the other, until it is told to end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::embed::Embedder;
use crate::embed::config::Config;
use crate::fill::Filler;
use crate::fill::port::embedding::Completion;
use crate::fill::port::event::{Action, Event};
use crate::fill::port::id::RunId;
use crate::fill::port::settings::Settings;
use crate::inject::{Point, reached};
use crate::worker::log::Journal;
use crate::worker::port::{Answer, Demand, Request, Store, WaitFault, Waiter};
use crate::worker::{Inbox, Published, lock};

/// More than the requests that can be in flight: `concurrency` is at most 64, before and after a
/// change of the embedder.
const MOST_COMPLETIONS: usize = 1_024;
/// More than the answers of the store that can be on their way.
const MOST_ANSWERS: usize = 256;
/// How often the picture STATUS shows is renewed at most.
const PUBLISH: Duration = Duration::from_millis(50);
/// How often the worker looks around when nothing happens: no wake-up can be lost for longer.
const IDLE: Duration = Duration::from_secs(1);
/// How long the embedder's threads are waited for.
const EMBEDDER_STOP: Duration = Duration::from_millis(50);

/// A waiting user, with their limit.
struct Waiting {
    waiter: Box<dyn Waiter>,
    until: Option<Instant>,
}

/// What runs on the thread.
pub(super) struct Body<'a> {
    inbox: &'a Inbox,
    store: &'a dyn Store,
    filler: Filler,
    embedder: Embedder,
    settings: (Settings, Config),
    completions: (Sender<Completion>, Receiver<Completion>),
    answers: (Sender<Answer>, Receiver<Answer>),
    waiting: HashMap<RunId, Waiting>,
    run_ids: u64,
    restarts: u32,
    published: Instant,
    changed: bool,
    journal: Journal,
}

impl<'a> Body<'a> {
    pub(super) fn new(inbox: &'a Inbox, store: &'a dyn Store, restarts: u32) -> Self {
        let settings = lock(&inbox.shared.settings).clone();
        let completions = bounded(MOST_COMPLETIONS);
        let now = Instant::now();
        Self {
            inbox,
            store,
            filler: Filler::new(settings.0.clone(), fastrand::u64(..), now),
            embedder: Embedder::start(&settings.1, completions.0.clone()),
            settings,
            completions,
            answers: bounded(MOST_ANSWERS),
            waiting: HashMap::new(),
            run_ids: 0,
            restarts,
            published: now,
            changed: true,
            journal: Journal::default(),
        }
    }

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

    /// Waits until something happens or is due.
    fn wait(&mut self) {
        let now = Instant::now();
        let publish = self.changed.then(|| self.published + PUBLISH);
        let waiters = self.waiting.values().filter_map(|waiting| waiting.until);
        let due = [self.filler.deadline(now), publish].into_iter().flatten().chain(waiters).min();
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

    /// Tells the core all that has happened, users first. What follows is done later.
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
        // Taken out first: in the head of the loop the lock would be held to the loop's end.
        let touched = std::mem::take(&mut *lock(&shared.touched));
        for graph in touched {
            self.note(Event::Touched(graph));
        }
    }

    fn configure(&mut self, settings: (Settings, Config)) {
        let embedder_replaced = settings.1 != self.settings.1;
        if embedder_replaced {
            let fresh = Embedder::start(&settings.1, self.completions.0.clone());
            std::mem::replace(&mut self.embedder, fresh).stop(EMBEDDER_STOP);
        }
        self.settings = settings.clone();
        self.note(Event::Configured { settings: Box::new(settings.0), embedder_replaced });
    }

    fn take_request(&mut self, request: Request) {
        // Settings that were changed before the request was made hold for it.
        self.take_what_was_left();
        let run = request.waiter.map(|(waiter, limit)| {
            self.run_ids += 1;
            let until = limit.map(|limit| Instant::now() + limit);
            self.waiting.insert(RunId(self.run_ids), Waiting { waiter, until });
            RunId(self.run_ids)
        });
        match (request.demand, run) {
            (Demand::Pass(graph), run) => self.note(Event::Run { run, graph }),
            (Demand::Errand(graph, wish), Some(run)) => {
                self.note(Event::Errand { run, graph, wish });
            }
            (Demand::Question(texts), Some(run)) => self.note(Event::Question { run, texts }),
            // Nobody would hear of it.
            (Demand::Errand(..) | Demand::Question(_), None) => {}
        }
    }

    /// Tells the core.
    fn note(&mut self, event: Event) {
        reached(Point::Worker);
        self.changed |= !matches!(event, Event::Tick);
        self.filler.handle(Instant::now(), event);
    }

    /// Does what the core has decided.
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
            Action::Embed { batch, role, texts } => self.embedder.submit(batch, role, &texts),
            Action::Write(write) => self.store.write(write, self.answers.0.clone()),
            Action::Answer { run, outcome } => {
                // Whoever asks STATUS after the answer sees what it says.
                self.publish();
                if let Some(waiting) = self.waiting.remove(&run) {
                    waiting.waiter.answer(outcome.map_err(WaitFault::Run));
                }
            }
            Action::Report(report) => Journal::pass(self.store, &report),
        }
    }

    fn expire_waiters(&mut self) {
        let now = Instant::now();
        let late = |_: &RunId, waiting: &mut Waiting| waiting.until.is_some_and(|at| at <= now);
        let late: Vec<(RunId, Waiting)> = self.waiting.extract_if(late).collect();
        for (run, waiting) in late {
            self.note(Event::GaveUp(run));
            waiting.waiter.answer(Err(WaitFault::Timeout));
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
        self.journal.states(self.store, &snapshot);
        let published = Published { snapshot, restarts: self.restarts, panic: None };
        self.inbox.shared.published.store(Arc::new(published));
        self.published = now;
        self.changed = false;
    }
}
