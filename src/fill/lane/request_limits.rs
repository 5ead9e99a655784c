//! How much one request may hold: what the user allows, and what the service was seen to accept.
//!
//! Limits are learned once for all graphs and kept for an hour; then larger requests are tried
//! again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::fill::lane::batch::Family;
use crate::fill::port::settings::BatchLimits;

/// How long a learned limit is kept.
const KEPT: Duration = Duration::from_hours(1);
/// Requests are not made smaller than this fraction of what is configured while it is unknown why one
/// was refused.
const DOUBTFUL_SHARE: usize = 8;
/// How long the parts of a refused request are waited for.
const UNSETTLED: Duration = Duration::from_mins(2);
/// Share of the request timeout that a request should take.
const TIME_SHARE: f64 = 0.5;
/// Divides the number of texts after a request that was too slow.
const TOO_SLOW: usize = 4;

/// A limit, and when it was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Learnt {
    max: usize,
    at: Instant,
}

/// A refused request that was split up, until the last of its texts is settled.
#[derive(Debug)]
struct Apart {
    since: Instant,
    /// Texts not yet settled.
    left: usize,
    /// Number of texts in its largest part that succeeded.
    largest: usize,
    /// Number of texts in its smallest part that was refused.
    refused: usize,
    /// The service answers others, so the refusal is about this request.
    proved: bool,
    /// A text was to blame: nothing is learned about the size.
    explained: bool,
}

/// What one request may hold.
#[derive(Debug)]
pub(super) struct RequestLimits {
    configured: BatchLimits,
    texts: Option<Learnt>,
    tokens: Option<Learnt>,
    /// Maximum tokens per text.
    text_tokens: Option<Learnt>,
    /// The service was too slow for a request within this limit.
    slow: Option<Duration>,
    families: HashMap<Family, Apart>,
    family_ids: u64,
}

impl RequestLimits {
    pub(super) fn new(configured: BatchLimits) -> Self {
        Self {
            configured,
            texts: None,
            tokens: None,
            text_tokens: None,
            slow: None,
            families: HashMap::new(),
            family_ids: 0,
        }
    }

    /// Applies new settings; learned limits are kept.
    pub(super) fn configure(&mut self, configured: BatchLimits) {
        self.configured = configured;
    }

    /// What one request may hold now.
    pub(super) fn current(&self) -> BatchLimits {
        let least = |learnt: Option<Learnt>, most: usize| learnt.map_or(most, |l| l.max.min(most));
        // While it is unknown whether a request was too large, no other is sent as large.
        let doubtful = self.families.values().filter(|apart| apart.proved && !apart.explained);
        // A limit lower than this is learned once the request's last text is settled.
        let floor = self.configured.texts.div_ceil(DOUBTFUL_SHARE);
        let doubtful = doubtful.map(|apart| (apart.refused / 2).max(apart.largest).max(floor));
        let texts = doubtful.min().unwrap_or(usize::MAX).min(self.configured.texts);
        BatchLimits {
            texts: least(self.texts, texts).max(1),
            tokens: least(self.tokens, self.configured.tokens).max(1),
        }
    }

    /// Maximum tokens per text, if known.
    pub(super) fn text_tokens(&self) -> Option<usize> {
        self.text_tokens.map(|learnt| learnt.max)
    }

    /// Forgets limits learned so long ago that they may no longer apply, and requests that were split up
    /// and never settled, because their pass ended.
    pub(super) fn expire(&mut self, now: Instant) {
        self.families.retain(|_, apart| apart.since + UNSETTLED > now);
        for learnt in [&mut self.texts, &mut self.tokens, &mut self.text_tokens] {
            learnt.take_if(|learnt| learnt.at + KEPT <= now);
        }
        if self.texts.is_none() {
            self.slow = None;
        }
    }

    /// A request may hold at most `max` texts.
    pub(super) fn learn_texts(&mut self, now: Instant, max: usize) {
        let max = max.clamp(1, self.current().texts);
        self.texts = Some(Learnt { max, at: now });
    }

    /// A request may hold at most `max` tokens, by our estimate.
    pub(super) fn learn_tokens(&mut self, now: Instant, max: usize) {
        let max = max.clamp(1, self.current().tokens);
        self.tokens = Some(Learnt { max, at: now });
    }

    /// A text may have at most `max` tokens.
    pub(super) fn learn_text_tokens(&mut self, now: Instant, max: usize) {
        self.text_tokens = Some(Learnt { max: max.max(1), at: now });
    }

    /// A request of this many texts was not answered in time.
    pub(super) fn too_slow(&mut self, now: Instant, texts: usize, limit: Duration) {
        self.slow = Some(limit);
        self.learn_texts(now, texts / TOO_SLOW);
    }

    /// A request succeeded after `took`. Returns whether that is near the timeout of a service that
    /// was too slow before.
    pub(super) fn took(&mut self, now: Instant, texts: usize, took: Duration) -> bool {
        let Some(limit) = self.slow else { return false };
        let share = took.as_secs_f64() / limit.as_secs_f64().max(1e-3);
        let full = self.current().texts == texts;
        if share > TIME_SHARE {
            self.learn_texts(now, texts.div_ceil(2));
        } else if full && share < TIME_SHARE / 2.0 {
            self.texts = Some(Learnt { max: texts + texts.div_ceil(4), at: now });
        }
        share > TIME_SHARE / 2.0
    }

    /// A request of this many texts was refused, and is split up.
    pub(super) fn take_apart(&mut self, now: Instant, texts: usize) -> Family {
        self.family_ids += 1;
        let family = Family(self.family_ids);
        let apart = Apart {
            since: now,
            left: texts,
            largest: 0,
            refused: texts,
            proved: false,
            explained: false,
        };
        self.families.insert(family, apart);
        family
    }

    /// A part of such a request was refused as well.
    pub(super) fn refused_again(&mut self, family: Family, texts: usize) {
        if let Some(apart) = self.families.get_mut(&family).filter(|_| texts > 1) {
            apart.refused = apart.refused.min(texts);
        }
    }

    /// The service answers others, but refuses this request.
    pub(super) fn prove(&mut self, family: Family) {
        if let Some(apart) = self.families.get_mut(&family) {
            apart.proved = true;
        }
    }

    /// Some texts of a split request succeeded together.
    pub(super) fn answered(&mut self, now: Instant, family: Family, texts: usize) {
        let Some(apart) = self.families.get_mut(&family) else { return };
        apart.left = apart.left.saturating_sub(texts);
        apart.largest = apart.largest.max(texts);
        apart.proved = true;
        if apart.left == 0
            && let Some(apart) = self.families.remove(&family)
            && !apart.explained
        {
            // All of its texts are good, so there were too many of them.
            self.learn_texts(now, apart.largest);
        }
    }

    /// Some texts of such a request are settled otherwise: to blame, or deferred.
    pub(super) fn explained(&mut self, family: Family, texts: usize) {
        let Some(apart) = self.families.get_mut(&family) else { return };
        apart.left = apart.left.saturating_sub(texts);
        apart.explained = true;
        if apart.left == 0 {
            self.families.remove(&family);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RequestLimits {
        RequestLimits::new(BatchLimits { texts: 50, tokens: 1_000 })
    }

    #[test]
    fn a_limit_is_kept_for_an_hour_and_then_tried_again() {
        let (mut limits, now) = (limits(), Instant::now());
        limits.learn_texts(now, 10);
        limits.learn_texts(now, 40);
        assert_eq!(limits.current().texts, 10, "a limit is not widened by a wider one");
        limits.expire(now + KEPT / 2);
        assert_eq!(limits.current().texts, 10);
        limits.expire(now + KEPT);
        assert_eq!(limits.current().texts, 50);
    }

    #[test]
    fn a_request_whose_texts_are_all_good_was_too_large() {
        let (mut limits, now) = (limits(), Instant::now());
        let family = limits.take_apart(now, 50);
        for texts in [12, 13, 12] {
            limits.answered(now, family, texts);
            assert!(limits.current().texts > 13, "it is not settled yet");
        }
        limits.answered(now, family, 13);
        assert_eq!(limits.current().texts, 13);
    }

    #[test]
    fn no_request_is_as_large_as_one_that_may_have_been_too_large() {
        let (mut limits, now) = (limits(), Instant::now());
        let family = limits.take_apart(now, 50);
        assert_eq!(limits.current().texts, 50, "perhaps all are refused");
        limits.prove(family);
        assert_eq!(limits.current().texts, 25);
        limits.refused_again(family, 25);
        assert_eq!(limits.current().texts, 12);
        limits.explained(family, 1);
        limits.answered(now, family, 49);
        assert_eq!(limits.current().texts, 50, "a text was to blame");
    }

    #[test]
    fn a_text_that_is_to_blame_says_nothing_about_the_size() {
        let (mut limits, now) = (limits(), Instant::now());
        let family = limits.take_apart(now, 50);
        limits.explained(family, 1);
        limits.answered(now, family, 49);
        assert_eq!(limits.current().texts, 50);
        assert!(limits.families.is_empty());
    }

    #[test]
    fn a_refused_request_whose_texts_are_never_settled_is_forgotten() {
        let (mut limits, now) = (limits(), Instant::now());
        let family = limits.take_apart(now, 50);
        limits.prove(family);
        assert_eq!(limits.current().texts, 25);
        limits.expire(now + UNSETTLED);
        assert_eq!(limits.current().texts, 50);
    }

    #[test]
    fn a_slow_service_gets_requests_that_take_a_fraction_of_the_time_limit() {
        let (mut limits, now) = (limits(), Instant::now());
        let limit = Duration::from_secs(1);
        assert!(!limits.took(now, 50, limit), "nothing was too slow");
        limits.too_slow(now, 50, limit);
        assert_eq!(limits.current().texts, 12);
        assert!(limits.took(now, 12, limit * 9 / 10));
        assert_eq!(limits.current().texts, 6);
        assert!(!limits.took(now, 6, limit / 10), "a quick answer is not near the limit");
        assert!(limits.current().texts > 6, "and lets requests grow");
    }
}
