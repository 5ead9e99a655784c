//! The embedding service of a simulated world, with its lies and limits.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::entity::Text;
use crate::fill::port::embedding::{Allowance, Completion, Embed, RateLimits, Reply};
use crate::fill::port::event::Event;
use crate::fill::port::fault::{Says, ServiceFault};
use crate::fill::sim::*;

impl World {
    pub(super) fn perform_embed(&mut self, request: &Embed) {
        let texts = &request.texts;
        let in_flight = self.in_flight.entry(request.embedder.clone()).or_default();
        *in_flight += 1;
        assert!(*in_flight <= CONCURRENCY, "seed {}: too many in flight", self.seed);
        self.requests += 1;
        self.check_rate(&request.embedder);
        assert!(!texts.is_empty() && texts.len() <= BATCH, "seed {}", self.seed);
        let distinct: BTreeSet<_> = texts.iter().map(Text::bytes).collect();
        assert_eq!(distinct.len(), texts.len(), "seed {}: a text is paid for twice", self.seed);
        let took = Duration::from_millis(self.rng.u64(1..80));
        let outcome = self.service(&request.embedder, texts);
        let limits = self.headers();
        self.later(
            80,
            Event::Embedded(Completion {
                embedder: request.embedder.clone(),
                request: request.id,
                outcome,
                limits,
                took,
            }),
        );
    }

    /// The quota the service reports: the truth, a lie, or nothing.
    pub(super) fn headers(&mut self) -> RateLimits {
        let limit = 6_000;
        let lie = self.unlucky();
        let remaining = if lie { self.rng.u64(..limit) } else { limit };
        let reset = Duration::from_millis(self.rng.u64(..if lie { 100_000 } else { 100 }));
        let says = self.rng.bool().then_some(Allowance { limit, remaining, reset });
        RateLimits { requests: says, tokens: says.filter(|_| self.rng.bool()) }
    }

    /// No minute holds more requests than the user's limit allows; a probe and the suspects beside
    /// it count as one.
    pub(super) fn check_rate(&mut self, embedder: &EmbedderName) {
        let lane = settings(self.seed).lanes.into_values().next().unwrap();
        let (now, most) = (self.now, lane.limits.requests_per_minute as usize);
        let sent = self.sent.entry(embedder.clone()).or_default();
        sent.retain(|at| *at + Duration::from_mins(1) > now);
        sent.push_back(now);
        let within = most == 0 || sent.len() <= most + CONCURRENCY;
        assert!(within, "seed {}: {} requests in a minute", self.seed, sent.len());
    }

    /// Without a fault, no text is paid for twice while it is cached.
    pub(super) fn check_paid(&mut self, embedder: &EmbedderName, texts: &[Text]) {
        for text in texts {
            let before =
                self.paid.insert((embedder.clone(), text.to_utf8().into_owned()), self.now);
            let again = before.is_some_and(|at| at + Duration::from_mins(5) > self.now);
            let explained = text.to_utf8() == "ok" || self.faulted.contains(&*text.to_utf8());
            assert!(
                !again || self.malice_ever > 0 || explained,
                "seed {}: {text:?} again",
                self.seed
            );
        }
    }

    pub(super) fn service(
        &mut self,
        embedder: &EmbedderName,
        texts: &[Text],
    ) -> Result<Reply, ServiceFault> {
        let refused = |status, retry_after, empty: bool| ServiceFault::Refused {
            status,
            message: "no".into(),
            retry_after,
            says: if empty { Says::NoMoney } else { Says::Nothing },
        };
        let holds = |word: &str| texts.iter().any(|text| text.to_utf8().contains(word));
        if self.refusing || holds("poison") || holds("stumble") {
            // Texts that shared a request with it have to be sent again.
            self.faulted.extend(texts.iter().map(|text| text.to_utf8().into_owned()));
        }
        if self.refusing || holds("poison") {
            return Err(refused(400, None, false));
        }
        if holds("stumble") {
            return Err(refused(500, None, false));
        }
        let mut vectors: Vec<(usize, Vec<f32>)> =
            texts.iter().map(|text| vector_of(&text.to_utf8())).enumerate().collect();
        self.rng.shuffle(&mut vectors);
        self.check_paid(embedder, texts);
        if !self.unlucky() {
            return Ok(Reply { vectors, tokens: None });
        }
        match self.rng.u32(..11) {
            10 => Err(ServiceFault::Timeout { host: "h".into(), limit: Duration::from_secs(30) }),
            0 => Err(refused(429, None, false)),
            1 => Err(refused(429, Some(Duration::from_secs(2)), false)),
            2 => Err(refused(429, None, true)),
            3 => Err(refused(401, None, false)),
            4 => Err(refused(500, None, false)),
            5 => Err(ServiceFault::Connection { host: "h".into(), reason: "reset".into() }),
            6 => Ok(Reply { vectors: vectors[1..].to_vec(), tokens: None }),
            7 => {
                vectors[0].1[0] = f32::NAN;
                Ok(Reply { vectors, tokens: None })
            }
            // Only among others: a wrong length in the very first answer cannot be recognized.
            8 if vectors.len() > 1 => {
                vectors[0].1.push(1.0);
                Ok(Reply { vectors, tokens: None })
            }
            _ => Err(refused(503, Some(Duration::from_secs(1)), false)),
        }
    }
}
