//! The lane to one embedder: what is sent to it, and what follows from what comes back.
//!
//! A lane owns everything known about its embedder: how fast requests may be sent ([`limiter`]),
//! its recent vectors ([`cache`]), the queries users wait for ([`query`]), the batches it refused
//! ([`isolate`]). So two models can never share a vector. It does not know about passes or graphs:
//! work for others is left for them to pick up ([`Lane::poll`]).

pub(crate) mod batch;
pub(crate) mod batcher;
pub(crate) mod cache;
mod isolate;
mod life;
pub(crate) mod limiter;
mod outcome;
mod query;
mod request_limits;
mod sameness;
mod send;
mod shorten;
pub(crate) mod space;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use crate::fill::lane::batch::Batch;
use crate::fill::lane::cache::EmbeddingCache;
use crate::fill::lane::isolate::Suspect;
use crate::fill::lane::limiter::Limiter;
use crate::fill::lane::query::QueryRequest;
use crate::fill::lane::request_limits::RequestLimits;
use crate::fill::lane::sameness::Sameness;
use crate::fill::lane::space::{AskedLength, Space};
use crate::fill::port::embedding::Embed;
use crate::fill::port::event::Outcome;
use crate::fill::port::id::{RequestId, RunId, Wave};
use crate::fill::port::server::RunFault;
use crate::fill::port::settings::{BatchLimits, LaneLimits, LaneSettings, Overlong};
use crate::fill::port::store::Row;
use crate::fill::status::{LaneFigures, LaneState, QueryFigures};
use crate::rule::Binding;
use crate::rule::name::EmbedderName;

/// Something for others to do as a consequence of what happened in a lane.
#[derive(Debug)]
pub(crate) enum Follow {
    /// Send a request; with the binding whose pass it counts for, if it is a batch.
    Send(Embed, Option<Binding>),
    /// Report the tokens counted by the service to the pass.
    Spent(Binding, u64),
    /// Report a fault to the pass.
    Failed(Binding, String),
    /// Write the vectors of a batch.
    Write(Binding, Vec<Row>),
    /// Send the batch again when it is its turn.
    Requeue(Batch),
    /// Leave this many nodes to a later pass.
    Defer(Binding, usize),
    /// Report to the pass that the texts of this many nodes were shortened.
    Truncated(Binding, usize),
    /// Mark the nodes of a single text with the reason it was refused.
    Quarantine(Batch, String),
    /// End all passes of this lane: it cannot give them anything they need.
    EndPasses(String),
    /// Answer a user.
    Answer(RunId, Result<Outcome, RunFault>),
}

/// What a request was sent for.
#[derive(Debug)]
enum Payload {
    /// Nodes of a graph.
    Batch(Batch),
    /// One harmless word, to see whether the embedder answers at all ([`isolate`]).
    Probe,
    /// One word, to see how long its vector is ([`space`]).
    Trial(AskedLength),
    /// Waiting users.
    Query(QueryRequest),
}

/// A request in flight at the embedder.
#[derive(Debug)]
struct InFlight {
    payload: Payload,
    /// Estimated tokens of its texts.
    tokens: usize,
    wave: Wave,
}

/// The settings for a lane's requests.
#[derive(Debug, Clone, Copy)]
struct Policy {
    limits: LaneLimits,
    /// Number of query embeddings that are cached.
    query_cache: usize,
    /// Texts per request, as the user allows.
    texts: usize,
    /// Attempts per batch in one pass.
    max_attempts: u32,
    /// Length every vector must have; `None` = whatever the model returns.
    dimensions: Option<usize>,
    /// What to do with a text that is too long.
    overlong: Overlong,
}

impl Policy {
    fn of(settings: &LaneSettings) -> Self {
        Self {
            limits: settings.limits,
            query_cache: settings.query_cache,
            texts: settings.batch.texts,
            max_attempts: settings.max_attempts,
            dimensions: settings.dimensions,
            overlong: settings.overlong,
        }
    }
}

/// The lane to one embedder. See the [module documentation](self).
#[derive(Debug)]
pub(crate) struct Lane {
    name: EmbedderName,
    policy: Policy,
    limiter: Limiter,
    limits: RequestLimits,
    /// By the length of vectors that is asked for.
    spaces: BTreeMap<AskedLength, Space>,
    /// When the service last asked for a pause, or a query was sent during one.
    tried: Option<Instant>,
    suspects: Vec<Suspect>,
    sameness: Sameness,
    in_flight: HashMap<RequestId, InFlight>,
    /// Requests sent so far; identifies the next one.
    sent: u64,
    figures: LaneFigures,
    follows: VecDeque<Follow>,
}

impl Lane {
    /// A lane that has learned nothing yet. `seed` determines the jitter of its backoffs.
    pub(crate) fn new(name: EmbedderName, settings: &LaneSettings, seed: u64) -> Self {
        Self {
            name,
            policy: Policy::of(settings),
            limiter: Limiter::new(settings.limits, seed),
            limits: RequestLimits::new(settings.batch),
            spaces: BTreeMap::from([(None, Space::new(settings.query_cache))]),
            tried: None,
            suspects: Vec::new(),
            sameness: Sameness::default(),
            in_flight: HashMap::new(),
            sent: 0,
            figures: LaneFigures::default(),
            follows: VecDeque::new(),
        }
    }

    /// The next thing for others to do.
    pub(crate) fn poll(&mut self) -> Option<Follow> {
        self.follows.pop_front()
    }

    /// Starts a new wave: requests from now on do not count as sent together with earlier ones.
    pub(crate) fn begin_wave(&mut self, now: Instant) {
        self.limiter.begin_wave();
        self.spaces.values_mut().for_each(|space| space.cache.expire(now));
        self.limits.expire(now);
    }

    /// Lets one request try a rejected embedder: a pass begins, or a setting changed.
    pub(crate) fn half_open(&mut self) {
        if self.limiter.state() == LaneState::Rejected {
            // The dimensions learned from the first answer may have been what was wrong.
            self.spaces.values_mut().for_each(|space| space.length = None);
        }
        self.limiter.half_open();
    }

    /// Whether a write to a graph is a reason to try the embedder.
    pub(crate) fn is_worth_waking_for(&self, now: Instant) -> bool {
        self.limiter.is_worth_waking_for(now)
    }

    /// Whether a batch may be sent now.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.limiter.has_room(now)
    }

    /// Why nothing is sent until the operator acts, if so.
    pub(crate) fn rejection(&self) -> Option<&str> {
        self.limiter.reason().filter(|_| self.limiter.state() == LaneState::Rejected)
    }

    /// What one request may hold.
    pub(crate) fn batch_limits(&self) -> BatchLimits {
        self.limits.current()
    }

    /// How many texts keep the embedder busy twice over.
    pub(crate) fn wanted(&self) -> usize {
        self.policy.limits.concurrency * self.policy.texts * 2
    }

    /// The vectors that need not be paid for again.
    pub(crate) fn cache(&mut self, asked: AskedLength) -> &mut EmbeddingCache {
        &mut self.space(asked).cache
    }

    /// Length of the vectors that come back when this is asked for; `None` = not known yet.
    pub(crate) fn dimensions(&self, asked: AskedLength) -> Option<usize> {
        let learned = self.spaces.get(&asked).and_then(|space| space.length);
        if asked.is_none() { self.policy.dimensions.or(learned) } else { learned }
    }

    /// When a waiting request may be sent, or something expires.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let queued = self.has_queries();
        let query = self.limiter.query_waits_until(now).filter(|_| queued);
        let attempt = self.next_attempt(now).filter(|_| queued);
        let due = [self.limiter.wait_until(now), query, attempt];
        let caches = self.spaces.values().map(|space| space.cache.expires());
        let suspects = self.suspects.iter().map(Suspect::not_before);
        due.into_iter().chain(suspects).chain(caches).flatten().filter(|at| *at > now).min()
    }

    /// Whether users are waiting for answers.
    pub(crate) fn is_awaited(&self) -> bool {
        self.spaces.values().any(|space| space.queries.waiting() > 0)
    }

    /// As STATUS shows it.
    pub(crate) fn figures(&self, now: Instant) -> (LaneFigures, QueryFigures) {
        let lane = LaneFigures {
            state: self.limiter.state(),
            reason: self.limiter.reason().map(str::to_owned),
            warning: self.sameness.warning(),
            in_flight: self.limiter.in_flight(),
            window: self.limiter.window(),
            next_try: self.limiter.wait_until(now),
            dimensions: self.spaces.get(&None).and_then(|space| space.length),
            ..self.figures.clone()
        };
        (lane, self.query_figures())
    }
}
