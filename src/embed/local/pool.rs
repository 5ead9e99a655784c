//! The computing threads: dedicated, at low priority, fed by bounded queues.

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

const NAME: &str = "vectorfill-model";
/// More than the batches that can be in flight, which is one more than there are threads.
const MAX_JOBS: usize = 512;
/// The server and the engine come first.
const NICENESS: i32 = 10;

/// Texts to embed, and the promise to answer.
type Job = (Vec<String>, Promise);

/// A model with its threads. Dropping it cancels their work.
#[derive(Debug)]
pub(in crate::embed) struct Pool {
    jobs: Sender<Job>,
    /// Served by a thread of their own, since a batch takes seconds.
    questions: Sender<Job>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Opened by the first thread that needs it: the caller's thread must not read 90 MB.
    model: OnceLock<Result<Model, String>>,
    cancel: AtomicBool,
}

impl Pool {
    /// Starts the threads. They open the model; if that fails, every request is answered with the
    /// reason.
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
    pub(in crate::embed) fn submit(&self, input: InputType, texts: Vec<String>, promise: Promise) {
        let jobs = if input == InputType::Query { &self.questions } else { &self.jobs };
        // A job that does not fit is dropped, and its promise answers.
        jobs.try_send((texts, promise)).ok();
    }

    /// Ends the threads. Threads check the flag between layers, so they end soon however long their
    /// batch; this waits `limit` at most.
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
    fn embed(&self, texts: &[String]) -> Result<Reply, ServiceFault> {
        let model = self.model.get_or_init(|| Model::open(&self.folder).map_err(|e| e.to_string()));
        let model = model.as_ref().map_err(|reason| self.unusable(reason))?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (vectors, tokens) =
            model.embed(&texts, &self.cancel).map_err(|error| self.fault(&error))?;
        let vectors = vectors.into_iter().enumerate().collect();
        Ok(Reply { vectors, tokens: Some(tokens as u64) })
    }

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

    fn unusable(&self, reason: &str) -> ServiceFault {
        ServiceFault::Misconfigured(format!(
            "vectorfill.model '{}': {reason}",
            self.folder.display()
        ))
    }
}
