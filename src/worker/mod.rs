//! The thread: waits for something to happen, passes it to the core, carries out what the core
//! decides.
//!
//! It has three parts: [`Worker`] is the handle others hold, `body` runs on the thread, and
//! [`Worker::stop`] ends it within a time limit. A wake-up carries no data: it means "look at what
//! was left for you", and merges with one that is still pending.
//!
//! The handle is used on the server's main thread, so none of its functions waits, except `stop`.

mod body;
mod carry_out;
mod log;
pub(crate) mod port;
mod supervisor;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::embed::config::EmbedderConfig;
use crate::entity::GraphName;
use crate::error::Error;
use crate::fill::port::settings::Settings;
use crate::fill::status::Snapshot;
use crate::rule::name::EmbedderName;
use crate::worker::port::{Request, Store};
use crate::worker::supervisor::supervise;

/// Maximum number of requests that the worker has not taken up yet.
const MAX_REQUESTS: usize = 1_024;
/// Maximum number of graphs that writes mark between two turns of the worker; the schedule finds
/// any others.
const MAX_TOUCHED: usize = 4_096;

/// What the worker publishes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    /// The core's snapshot.
    pub snapshot: Snapshot,
    /// How often the worker restarted after a panic.
    pub restarts: u32,
    /// The message of the last panic.
    pub panic: Option<String>,
}

/// The phase from the start on, and again after a stop that was withdrawn.
const RUNNING: u8 = 0;
/// `stop` is waiting; it withdraws this if the worker does not end in time.
const STOP_WANTED: u8 = 1;
/// The worker is on its way out, which cannot be withdrawn.
const ENDED: u8 = 2;

/// Everything the user has set: what the core follows, and how the embedders work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// For the core; it has a lane for each embedder.
    pub settings: Settings,
    /// By name.
    pub embedders: BTreeMap<EmbedderName, EmbedderConfig>,
}

/// Shared state: what others leave for the worker, and what it leaves for them.
struct Shared {
    /// Holds at most one wake-up: more would say nothing new.
    wake: Sender<()>,
    /// `RUNNING`, `STOP_WANTED` or `ENDED`; only the worker sets `ENDED`.
    phase: AtomicU8,
    /// Like the flags below, cleared by the worker when it acts on it.
    server_changed: AtomicBool,
    settings_changed: AtomicBool,
    graphs_arrive: AtomicBool,
    /// Does not say which: the worker asks all who are waiting.
    client_gone: AtomicBool,
    /// The latest settings: an older version not taken up yet is lost, as it should be.
    config: Mutex<Config>,
    /// At most [`MAX_TOUCHED`] graphs that clients may have written to.
    touched: Mutex<BTreeSet<GraphName>>,
    /// Replaced as a whole, so that readers never wait.
    /// While something happens, about 50 ms old at most.
    published: ArcSwap<Published>,
}

/// The handle of the worker thread.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    /// At most [`MAX_REQUESTS`]; beyond that, users are told that the worker is busy.
    requests: Sender<Request>,
    /// Readable or closed once the thread is on its way out.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts the thread, which starts the embedders and then surveys the server. Fails if the
    /// system refuses the thread.
    pub(crate) fn start(config: Config, store: Box<dyn Store>) -> Result<Self, Error> {
        let (wake, woken) = bounded(1);
        let (requests, inbound) = bounded(MAX_REQUESTS);
        let (end, ended) = bounded(1);
        let shared = Arc::new(Shared {
            wake,
            phase: AtomicU8::new(RUNNING),
            server_changed: AtomicBool::new(false),
            settings_changed: AtomicBool::new(false),
            graphs_arrive: AtomicBool::new(false),
            client_gone: AtomicBool::new(false),
            config: Mutex::new(config),
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

    /// Leaves new settings for the worker, which takes them up before any later request.
    /// Embedders whose settings differ are replaced, and their requests in flight are abandoned.
    pub(crate) fn configure(&self, config: Config) {
        *lock(&self.shared.config) = config;
        self.shared.settings_changed.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Reports that the server's state has changed: its role, its modules, what it has loaded. A
    /// survey follows.
    pub(crate) fn server_changed(&self) {
        self.shared.server_changed.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Reports that a waiting client has gone, so that its texts need not be embedded.
    pub(crate) fn client_gone(&self) {
        self.shared.client_gone.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Reports that graphs written elsewhere are about to arrive. Any client can trigger this, even
    /// one without permissions: it causes no more work than a write does.
    pub(crate) fn graphs_arrive(&self) {
        self.shared.graphs_arrive.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Reports that a client is about to write to a graph. Called for every write command, so it
    /// costs a lock and, for the first one, a wake-up.
    pub(crate) fn touched(&self, graph: GraphName) {
        let mut touched = lock(&self.shared.touched);
        // Nothing is lost beyond the bound: the next scheduled pass finds the graph.
        if touched.len() < MAX_TOUCHED && touched.insert(graph) {
            drop(touched);
            self.wake();
        }
    }

    /// Queues a request; fails with [`Error::Busy`] when the queue is full.
    /// A request that is refused is dropped, which answers its user with an error. The same happens
    /// to one that is queued when the worker ends.
    pub(crate) fn request(&self, request: Request) -> Result<(), Error> {
        self.requests.try_send(request).map_err(|_| Error::Busy)
    }

    /// The last published snapshot; never waits.
    /// Right after the start it is empty. After a panic it is that of the worker that panicked,
    /// with the message.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.shared.published.load_full()
    }

    /// Ends the thread if it has nothing to do, waiting at most `limit`. Gives the handle back when
    /// the worker is busy.
    /// Blocks the calling thread, which is the server's. An `Err` leaves the worker running as
    /// before.
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
        // Full means that a wake-up is already pending.
        self.shared.wake.try_send(()).ok();
    }
}

/// Ignores poisoning: the locks hold plain data that a panic leaves valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The worker's end of the handle.
/// Outlives the body: one that is started after a panic goes on with what is left in it.
struct Inbox {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    /// In the order they were made.
    requests: Receiver<Request>,
}

impl Inbox {
    /// Ends the worker if that is wanted; from then on the stop cannot be withdrawn.
    fn may_end(&self) -> bool {
        let phase = &self.shared.phase;
        phase.compare_exchange(STOP_WANTED, ENDED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests;
