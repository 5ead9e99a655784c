//! The thread: waits for something to happen, tells the core, carries out what the core answers.
//!
//! Three parts, as a thread should have: [`Worker`] is the handle others hold, `body` runs on the
//! thread, and [`Worker::stop`] ends it within a bound. A wake-up carries no data: it says "look at
//! what has been left for you", and merges with the one before.

mod body;
mod journal;

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};

use body::Body;

use crate::embed::Config;
use crate::error::Error;
use crate::fill::event::{Event, Outcome, RunFault, Wish};
use crate::fill::node::{GraphName, Text};
use crate::fill::settings::Settings;
use crate::fill::status::Snapshot;
use crate::fill::store::{Read, Write};

/// Users waiting for the worker to take up their request.
const MOST_REQUESTS: usize = 1_024;
/// Graphs that writes can mark between two turns of the worker; beyond that, the schedule finds them.
const MOST_TOUCHED: usize = 4_096;
/// Pause before a worker that panicked begins anew, and the longest such pause.
const RESTART: Duration = Duration::from_secs(1);
const MOST_RESTART: Duration = Duration::from_mins(1);

/// The engine and the server, as the worker needs them. Nothing here waits: what is asked is answered
/// into a channel, from whatever thread, or never, if the server is lost.
pub(crate) trait Store: Send {
    /// Looks at the server and its graphs.
    fn survey(&self, to: Sender<Answer>);
    /// Starts a query.
    fn read(&self, read: Read, to: Sender<Answer>);
    /// Writes, in one hold of the server.
    fn write(&self, write: Write, to: Sender<Answer>);
    /// One line into the server's log.
    fn log(&self, level: Level, line: &str);
}

/// An answer of the store: read by the worker, on its own time and not on the server's.
pub(crate) type Answer = Box<dyn FnOnce() -> Event + Send>;

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What happens.
    Notice,
    /// What somebody should look at.
    Warning,
}

/// A user who waits for what they asked for. Dropped unanswered, it tells the user so.
pub(crate) trait Waiter: Send {
    /// It is done, or cannot be.
    fn answer(self: Box<Self>, outcome: Result<Outcome, WaitFault>);
}

/// Why a user who waits gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WaitFault {
    /// It cannot be.
    Run(RunFault),
    /// The user's own limit has passed; the pass goes on.
    Timeout,
}

/// A user's request.
pub(crate) struct Request {
    /// What is asked.
    pub demand: Demand,
    /// Who waits for the end, and how long at most.
    pub waiter: Option<(Box<dyn Waiter>, Option<Duration>)>,
}

/// What a user asks of the worker.
#[derive(Debug)]
pub(crate) enum Demand {
    /// A pass over one graph, or all.
    Pass(Option<GraphName>),
    /// Something of a graph's quarantine.
    Errand(GraphName, Wish),
    /// The vectors of some texts.
    Question(Vec<Text>),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("demand", &self.demand).finish_non_exhaustive()
    }
}

/// What the worker publishes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    /// The core's picture.
    pub snapshot: Snapshot,
    /// How often the worker began anew after a panic.
    pub restarts: u32,
    /// The last panic, in words.
    pub panic: Option<String>,
}

const RUNNING: u8 = 0;
const STOP_WANTED: u8 = 1;
const ENDED: u8 = 2;

/// What others leave for the worker, and the worker for others.
struct Shared {
    wake: Sender<()>,
    phase: AtomicU8,
    server_changed: AtomicBool,
    settings_changed: AtomicBool,
    graphs_arrive: AtomicBool,
    settings: Mutex<(Settings, Config)>,
    touched: Mutex<BTreeSet<GraphName>>,
    published: ArcSwap<Published>,
}

/// The handle of the worker thread.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(
        settings: Settings,
        config: Config,
        store: Box<dyn Store>,
    ) -> Result<Self, Error> {
        let (wake, woken) = bounded(1);
        let (requests, inbound) = bounded(MOST_REQUESTS);
        let (end, ended) = bounded(1);
        let shared = Arc::new(Shared {
            wake,
            phase: AtomicU8::new(RUNNING),
            server_changed: AtomicBool::new(false),
            settings_changed: AtomicBool::new(false),
            graphs_arrive: AtomicBool::new(false),
            settings: Mutex::new((settings, config)),
            touched: Mutex::new(BTreeSet::new()),
            published: ArcSwap::default(),
        });
        let name = "vectorfill";
        let inbox = Inbox { shared: Arc::clone(&shared), woken, requests: inbound };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                supervise(&inbox, &*store);
                end.send(()).ok();
            })
            .map_err(|e| Error::Thread { name, reason: e.to_string() })?;
        Ok(Self { shared, requests, ended, thread })
    }

    /// Leaves new settings.
    pub(crate) fn configure(&self, settings: Settings, config: Config) {
        *lock(&self.shared.settings) = (settings, config);
        self.shared.settings_changed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Something about the server has changed.
    pub(crate) fn server_changed(&self) {
        self.shared.server_changed.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Graphs are about to come that were written elsewhere. Anybody can say so, even a client that may
    /// do nothing: it leads to no more looks than a write does.
    pub(crate) fn graphs_arrive(&self) {
        self.shared.graphs_arrive.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Somebody is about to write to a graph.
    pub(crate) fn touched(&self, graph: GraphName) {
        let mut touched = lock(&self.shared.touched);
        // Past the bound nothing is lost: the next scheduled pass finds it.
        if touched.len() < MOST_TOUCHED && touched.insert(graph) {
            drop(touched);
            self.wake();
        }
    }

    /// Asks for something.
    pub(crate) fn request(&self, request: Request) -> Result<(), Error> {
        self.requests.try_send(request).map_err(|_| Error::Busy)
    }

    /// The last published picture; never waits.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.shared.published.load_full()
    }

    /// Ends the thread if it has nothing to do, waiting at most `limit`. Gives the handle back when
    /// the worker is busy.
    pub(crate) fn stop(self, limit: Duration) -> Result<(), Self> {
        self.shared.phase.store(STOP_WANTED, Ordering::SeqCst);
        self.wake();
        let ended = self.ended.recv_timeout(limit).is_ok();
        let withdrawn = self
            .shared
            .phase
            .compare_exchange(STOP_WANTED, RUNNING, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if !ended && withdrawn {
            return Err(self);
        }
        // It has ended, or is past the point of return: nothing on its way out waits for us.
        self.thread.join().ok();
        Ok(())
    }

    fn wake(&self) {
        // Full means that a wake-up is on its way already.
        self.shared.wake.try_send(()).ok();
    }
}

/// A poisoned lock holds plain data that is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The worker's end of the handle.
struct Inbox {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    requests: Receiver<Request>,
}

/// Runs bodies until one ends by request. A panic costs the pass, never the server.
fn supervise(inbox: &Inbox, store: &dyn Store) {
    let mut pause = RESTART;
    let mut restarts = 0;
    loop {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| Body::new(inbox, store, restarts).run()));
        let Err(panic) = outcome else { return };
        restarts += 1;
        let words = panic_words(&*panic);
        store.log(Level::Warning, &format!("worker panicked, restarting in {pause:?}: {words}"));
        let mut published = Published::clone(&inbox.shared.published.load());
        published.restarts = restarts;
        published.panic = Some(words);
        inbox.shared.published.store(Arc::new(published));
        if begun.elapsed() > MOST_RESTART {
            pause = RESTART;
        }
        let until = Instant::now() + pause;
        while inbox.woken.recv_deadline(until).is_ok() {
            if inbox.may_end() {
                return;
            }
        }
        pause = (pause * 2).min(MOST_RESTART);
    }
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl Inbox {
    /// Ends the worker if that is wanted; from then on the stop cannot be withdrawn.
    fn may_end(&self) -> bool {
        let phase = &self.shared.phase;
        phase.compare_exchange(STOP_WANTED, ENDED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
