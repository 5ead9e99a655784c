//! The computing threads: dedicated, at low priority, fed by bounded queues.
//!
//! A batch takes one thread from beginning to end: more threads help by taking more batches, not by
//! sharing one. Answers arrive through each request's promise, in any order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::embed::config::EmbedderConfig;
use crate::embed::local::{Error as ModelError, Model};
use crate::embed::promise::Promise;
use crate::error::Error;
use crate::fill::port::embedding::{InputType, RateLimits, Reply};
use crate::fill::port::fault::ServiceFault;

/// All threads have it; Linux shows its first 15 bytes.
const NAME: &str = "vectorfill-model";
/// More than the batches that can be in flight, which is one more than there are threads.
const MAX_JOBS: usize = 512;
/// The server and the engine come first. The scale goes from -20 to 19; a higher number gets less of
/// a busy processor.
const NICENESS: i32 = 10;

/// Texts to embed, and the promise to answer.
type Job = (Vec<String>, Promise);

/// A model with its threads. Dropping it cancels their work.
#[derive(Debug)]
pub(in crate::embed) struct Pool {
    /// Batches, taken by whichever thread is free.
    jobs: Sender<Job>,
    /// Served by a thread of their own, since a batch takes seconds.
    questions: Sender<Job>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Of the model, from `vectorfill.model`.
    folder: PathBuf,
    /// Opened by the first thread that needs it: the caller's thread must not read 90 MB. The
    /// others wait for it. A failure stays: only a new pool tries again.
    model: OnceLock<Result<Model, String>>,
    /// Raised once, never lowered.
    cancel: AtomicBool,
}

impl Pool {
    /// Starts the threads. They open the model; if that fails, every request is answered with the
    /// reason.
    ///
    /// There is one thread more than `config.threads`, for the questions. `Error::Thread` if the
    /// system refuses one; reading the model never delays the caller.
    pub(in crate::embed) fn start(config: &EmbedderConfig) -> Result<Self, Error> {
        let (jobs, queue) = bounded(MAX_JOBS);
        let (questions, asked) = bounded(MAX_JOBS);
        let (model, cancel) = (OnceLock::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { folder: config.model.clone().into(), model, cancel });
        let spawn = |(queue, niceness): (&Receiver<Job>, i32)| {
            let (queue, shared) = (Receiver::clone(queue), Arc::clone(&shared));
            std::thread::Builder::new()
                .name(NAME.into())
                .spawn(move || work(&queue, &shared, niceness))
                .map_err(|e| Error::Thread { name: NAME, reason: e.to_string() })
        };
        let fill = std::iter::repeat_n((&queue, NICENESS), config.threads.get());
        // Normal priority: a user waits for the answer.
        let queues = fill.chain([(&asked, 0)]);
        let threads = queues.map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { jobs, questions, shared, threads })
    }

    /// Queues a request; never waits.
    ///
    /// The promise is kept on a computing thread, or right here, as cancelled, if the queue is
    /// full.
    pub(in crate::embed) fn submit(&self, input: InputType, texts: Vec<String>, promise: Promise) {
        let jobs = if input == InputType::Query { &self.questions } else { &self.jobs };
        // A job that does not fit is dropped, and its promise answers.
        jobs.try_send((texts, promise)).ok();
    }

    /// Ends the threads. Threads check the flag between layers, so they end soon however long their
    /// batch; this waits `limit` at most.
    ///
    /// Queued requests are answered first, each with an error. A thread that is not done in time is
    /// left to end by itself.
    pub(in crate::embed) fn stop(mut self, limit: Duration) {
        let until = Instant::now() + limit;
        self.shared.cancel.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut self.threads);
        drop(self);
        for thread in threads {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if thread.is_finished() {
                thread.join().ok();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
    }
}

/// One thread's life: jobs until the pool is dropped and its queue is empty. A panic costs one job,
/// not the thread.
fn work(queue: &Receiver<Job>, shared: &Shared, niceness: i32) {
    // On Linux niceness is per thread. If it cannot be set, we work all the same.
    rustix::process::nice(niceness).ok();
    for (texts, promise) in queue {
        let embed = AssertUnwindSafe(|| shared.embed(&texts));
        let panicked =
            || Err(ServiceFault::Misconfigured("the local model failed unexpectedly".into()));
        let outcome = catch_unwind(embed).unwrap_or_else(|_| panicked());
        // A local model has no rate limits.
        promise.keep(outcome, RateLimits::default());
    }
}

impl Shared {
    /// The reply numbers the vectors from 0, in the order of the texts, and counts the tokens that
    /// are left after truncation. The first call opens the model.
    fn embed(&self, texts: &[String]) -> Result<Reply, ServiceFault> {
        let model = self.model.get_or_init(|| Model::open(&self.folder).map_err(|e| e.to_string()));
        let model = model.as_ref().map_err(|reason| self.unusable(reason))?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (vectors, tokens) =
            model.embed(&texts, &self.cancel).map_err(|error| self.fault(&error))?;
        let vectors = vectors.into_iter().enumerate().collect();
        Ok(Reply { vectors, tokens: Some(tokens as u64) })
    }

    /// What an error means to whoever asked: only `Text` is the text's own fault, and only after a
    /// stop is it worth trying again.
    fn fault(&self, error: &ModelError) -> ServiceFault {
        match error {
            ModelError::Text { reason } => ServiceFault::Text(reason.clone()),
            ModelError::Cancelled => {
                let host = "the local model".to_owned();
                ServiceFault::Connection { host, reason: "it is being stopped".into() }
            }
            ModelError::Io { .. }
            | ModelError::Format { .. }
            | ModelError::Value { .. }
            | ModelError::NotFinite
            | ModelError::Shape { .. } => self.unusable(&error.to_string()),
        }
    }

    /// Names the setting, so that users know what to change.
    fn unusable(&self, reason: &str) -> ServiceFault {
        ServiceFault::Misconfigured(format!(
            "vectorfill.model '{}': {reason}",
            self.folder.display()
        ))
    }
}
