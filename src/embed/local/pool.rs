//! The threads that compute: own ones, of low priority, behind a bounded queue.

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
/// More than the batches that can be in flight: one more than there are threads.
const MAX_JOBS: usize = 512;
/// The server and the engine come first.
const NICENESS: i32 = 10;

/// Texts to embed, and whom to answer.
type Job = (Vec<String>, Promise);

/// A model with its threads. Dropped, it cancels what they compute.
#[derive(Debug)]
pub(in crate::embed) struct Pool {
    jobs: Sender<Job>,
    /// A thread of their own answers these: a batch takes seconds.
    questions: Sender<Job>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Opened by the first thread that needs it: reading 90 MB is nothing for the caller's thread.
    model: OnceLock<Result<Model, String>>,
    cancel: AtomicBool,
}

impl Pool {
    /// Starts the threads; the model is opened by them, and what is wrong with it is answered to
    /// each request.
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
        // A user waits for the answer.
        let queues = fill.chain([(&asked, 0)]);
        let threads = queues.map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { jobs, questions, shared, threads })
    }

    pub(in crate::embed) fn submit(&self, input: InputType, texts: Vec<String>, promise: Promise) {
        let jobs = if input == InputType::Query { &self.questions } else { &self.jobs };
        // What does not fit is dropped, and so answered: the promise sees to it.
        jobs.try_send((texts, promise)).ok();
    }

    /// Ends the threads. A thread looks at the flag between two layers, so it is not waited for
    /// much longer than `limit`, however long its batch.
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
    // On Linux niceness is a property of the thread. Without it we work all the same.
    rustix::process::nice(niceness).ok();
    for (texts, promise) in queue {
        let embed = AssertUnwindSafe(|| shared.embed(&texts));
        let panicked =
            || Err(ServiceFault::Misconfigured("the local model failed unexpectedly".into()));
        let outcome = catch_unwind(embed).unwrap_or_else(|_| panicked());
        // Nobody limits us here.
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
