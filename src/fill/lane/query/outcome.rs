//! Sends queries, and handles their answers.

use std::time::Instant;

use crate::entity::Text;
use crate::fill::lane::query::{QueryRequest, Vector};
use crate::fill::lane::space::AskedLength;
use crate::fill::lane::{Follow, Lane, Payload};
use crate::fill::port::embedding::{InputType, Reply, by_index};
use crate::fill::port::event::Outcome;
use crate::fill::port::fault::{Malformed, ServiceFault, Verdict};
use crate::fill::port::id::{RunId, Wave};
use crate::fill::port::server::RunFault;
use crate::fill::status::QueryFigures;

/// Maximum bytes of text that users wait for at the same time.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Attempts per request while the service has transient faults.
const TRIES: u32 = 3;

impl Lane {
    /// A user waits for the vectors of these texts.
    pub(crate) fn query(&mut self, now: Instant, run: RunId, asked: AskedLength, texts: Vec<Text>) {
        let bytes: usize = texts.iter().map(|text| text.bytes().len()).sum();
        let full = self.query_bytes() + bytes > MAX_WAITING_BYTES;
        let refusal = self.limiter.refusal(now).map(|why| RunFault::Embed(why.to_owned()));
        if let Some(fault) = full.then_some(RunFault::Busy).or(refusal) {
            return self.follows.push_back(Follow::Answer(run, Err(fault)));
        }
        self.limiter.asked(now);
        let (most, asked) =
            (self.limits.current().texts, asked.filter(|_| asked != self.dimensions(None)));
        self.space(asked).queries.enqueue(run, asked, texts, most);
        self.answer_queries();
    }

    /// Whether a query waits to be sent.
    pub(in crate::fill::lane) fn has_queries(&self) -> bool {
        self.spaces.values().any(|space| space.queries.is_queued())
    }

    fn query_bytes(&self) -> usize {
        self.spaces.values().map(|space| space.queries.bytes()).sum()
    }

    pub(in crate::fill::lane) fn query_figures(&self) -> QueryFigures {
        let mut sums = QueryFigures::default();
        for figures in self.spaces.values().map(|space| space.queries.figures()) {
            sums.asked += figures.asked;
            sums.hits += figures.hits;
            sums.kept += figures.kept;
        }
        sums
    }

    /// The user has given up waiting.
    pub(crate) fn close(&mut self, run: RunId) {
        self.spaces.values_mut().for_each(|space| space.queries.close(run));
    }

    /// **Where queries are sent**, before any batch. `batches` = batches are waiting for room too.
    pub(crate) fn send_queries(&mut self, now: Instant, batches: bool) {
        while self.has_queries() && self.limiter.has_room_for_query(now, batches) {
            self.send_query(now);
        }
        let may_try = self.next_attempt(now).is_some_and(|at| at <= now);
        if may_try && self.has_queries() && self.send_query(now) {
            self.tried = Some(now);
        }
    }

    /// Sends the next query, if somebody still waits for it.
    fn send_query(&mut self, now: Instant) -> bool {
        let next = self.spaces.values_mut().find_map(|space| space.queries.next());
        let Some(request) = next else { return false };
        let texts = request.texts.clone();
        self.submit(now, Payload::Query(request), InputType::Query, texts);
        true
    }

    /// When a query may be sent although the service asked for a pause.
    pub(in crate::fill::lane) fn next_attempt(&self, now: Instant) -> Option<Instant> {
        self.limiter.query_may_try_at(now, self.tried?)
    }

    /// Pairs the answer to a query with its texts.
    pub(in crate::fill::lane) fn pair_query(
        &mut self,
        request: &QueryRequest,
        reply: Reply,
    ) -> Result<Vec<Vector>, ServiceFault> {
        self.figures.tokens += reply.tokens.unwrap_or_default();
        let vectors =
            by_index(reply, request.texts.len(), request.asked.or(self.dimensions(None)))?;
        let unusable = |what| ServiceFault::Malformed(Malformed::Vector(what));
        let vectors = vectors.into_iter().collect::<Result<Vec<Vector>, _>>().map_err(unusable)?;
        self.space(request.asked).length = vectors.first().map(|vector| vector.len());
        Ok(vectors)
    }

    /// The answer to a query is usable.
    pub(in crate::fill::lane) fn answered(
        &mut self,
        now: Instant,
        wave: Wave,
        request: QueryRequest,
        vectors: Vec<Vector>,
    ) {
        self.limiter.succeeded(now, wave, false);
        self.space(request.asked).queries.complete(request.texts, vectors);
        self.answer_queries();
    }

    /// A query failed: it is sent again, or the waiting users get an error.
    pub(in crate::fill::lane) fn query_failed(
        &mut self,
        now: Instant,
        request: QueryRequest,
        verdict: Verdict,
        words: &str,
    ) {
        let request = QueryRequest { tries: request.tries + 1, ..request };
        let again = match verdict {
            // The user's own timeout ends the wait.
            Verdict::RateLimited(_) => true,
            Verdict::Transient { .. } | Verdict::TooSlow(_) => request.tries < TRIES,
            Verdict::TooManyTexts(max) if request.texts.len() > 1 => {
                let max = max.and_then(|max| usize::try_from(max).ok());
                self.limits.learn_texts(now, max.unwrap_or(request.texts.len() / 2));
                let most = self.limits.current().texts;
                return self.space(request.asked).queries.split(&request, most);
            }
            Verdict::Configuration
            | Verdict::Input
            | Verdict::Denied
            | Verdict::TooManyTexts(_)
            | Verdict::TooLarge(_)
            | Verdict::TooLong { .. } => false,
        };
        if again {
            return self.space(request.asked).queries.requeue(request);
        }
        for run in self.space(request.asked).queries.fail(&request.texts) {
            let fault = RunFault::Embed(words.to_owned());
            self.follows.push_back(Follow::Answer(run, Err(fault)));
        }
    }

    fn answer_queries(&mut self) {
        let spaces = self.spaces.values_mut();
        let answered: Vec<_> = spaces.flat_map(|space| space.queries.take_answered()).collect();
        for (run, vectors) in answered {
            self.follows.push_back(Follow::Answer(run, Ok(Outcome::Vectors(vectors))));
        }
    }
}
