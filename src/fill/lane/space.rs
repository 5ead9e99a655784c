//! What a lane keeps of the vectors of one length. A model may be asked for shorter vectors than its
//! own, and vectors of two lengths never meet.

use std::time::Instant;

use crate::entity::Text;
use crate::fill::lane::cache::EmbeddingCache;
use crate::fill::lane::query::QueryEmbeddings;
use crate::fill::lane::{Lane, Payload};
use crate::fill::port::embedding::{InputType, Reply};
use crate::fill::port::fault::{ServiceFault, Verdict, classify};
use crate::fill::status::LaneState;

/// The length of vectors that a model is asked for; `None` = what the embedder is set to, or else
/// the model's own.
pub(crate) type AskedLength = Option<usize>;

/// The text of a trial.
const TRIAL: &str = "ok";

/// The vectors of one length.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) cache: EmbeddingCache,
    pub(super) queries: QueryEmbeddings,
    /// Their length; `None` = not known yet.
    pub(super) length: Option<usize>,
    trial: Trial,
}

/// Whether the model gives vectors of this length. It is tried on one word, before a text is paid
/// for.
#[derive(Debug, PartialEq, Eq)]
enum Trial {
    Open,
    UnderWay,
    Refused(String),
}

impl Space {
    /// Nothing is known yet; the last `kept` queries will be remembered.
    pub(super) fn new(kept: usize) -> Self {
        Self {
            cache: EmbeddingCache::default(),
            queries: QueryEmbeddings::new(kept),
            length: None,
            trial: Trial::Open,
        }
    }

    /// Forgets the vectors of a replaced embedder.
    pub(super) fn forget(&mut self) {
        self.cache.forget();
        self.queries.forget();
        self.length = None;
        self.trial = Trial::Open;
    }
}

/// Whether an embedder can give vectors of a length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Yes, if it is asked for this.
    Yes(AskedLength),
    /// No, and why.
    No(String),
    /// It has to be tried.
    Unknown,
}

impl Lane {
    /// What is kept of the vectors of a length.
    pub(super) fn space(&mut self, asked: AskedLength) -> &mut Space {
        let kept = self.policy.query_cache;
        self.spaces.entry(asked).or_insert_with(|| Space::new(kept))
    }

    /// Whether the embedder gives vectors of the length a pass needs; `None` = of any length.
    pub(crate) fn offers(&self, wanted: Option<usize>) -> Offer {
        let Some(wanted) = wanted else { return Offer::Yes(None) };
        match self.dimensions(None) {
            None => Offer::Unknown,
            Some(own) if own == wanted => Offer::Yes(None),
            Some(own) => match self.spaces.get(&Some(wanted)).map(|space| &space.trial) {
                _ if self.dimensions(Some(wanted)).is_some() => Offer::Yes(Some(wanted)),
                Some(Trial::Refused(why)) => Offer::No(format!(
                    "vectors of {wanted} numbers are needed by the rule or the index, but the \
                     model gives {own} ({why}): drop the index, or choose another model or length"
                )),
                _ => Offer::Unknown,
            },
        }
    }

    /// Tries what length of vectors the embedder gives, with one word.
    pub(crate) fn try_length(&mut self, now: Instant, wanted: usize) {
        let asked = self.dimensions(None).map(|_| wanted);
        let busy = self.space(asked).trial != Trial::Open;
        if busy || !self.limiter.has_room(now) || self.limiter.state() == LaneState::Rejected {
            return;
        }
        self.space(asked).trial = Trial::UnderWay;
        let text = Text::new(TRIAL.as_bytes(), TRIAL.len());
        self.submit(now, Payload::Trial(asked), InputType::Document, vec![text]);
    }

    /// A trial was answered. `Err` = it failed for reasons that have nothing to do with the length.
    pub(super) fn tried(
        &mut self,
        asked: AskedLength,
        outcome: Result<Reply, ServiceFault>,
    ) -> Result<(), ServiceFault> {
        let space = self.space(asked);
        space.trial = Trial::Open;
        match outcome.and_then(|reply| reply.dimensions()) {
            Ok(0) => Ok(()),
            Ok(length) if asked.is_none_or(|asked| asked == length) => {
                space.length = Some(length);
                Ok(())
            }
            Ok(length) => {
                let wanted = asked.unwrap_or_default();
                space.trial = Trial::Refused(format!("asked for {wanted}, it gave {length}"));
                Ok(())
            }
            Err(fault) if asked.is_some() && refuses_length(&fault) => {
                space.trial = Trial::Refused(fault.to_string());
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Whether a service refuses what it is asked for, rather than everything.
fn refuses_length(fault: &ServiceFault) -> bool {
    match classify(fault) {
        Verdict::Input | Verdict::Denied | Verdict::TooLong { .. } | Verdict::TooLarge(_) => true,
        Verdict::RateLimited(_)
        | Verdict::Transient { .. }
        | Verdict::TooSlow(_)
        | Verdict::TooManyTexts(_)
        | Verdict::Configuration => false,
    }
}
