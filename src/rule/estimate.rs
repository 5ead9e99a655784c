//! What it would take to fill the entities that wait, reckoned from some of their texts.

use std::collections::HashMap;

use crate::entity::Text;
use crate::rule::template::Composed;

/// Texts of some entities that wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// How many entities it holds, those without a text included.
    pub entities: u64,
    /// Of these, entities of whose properties none gives any text.
    pub blank: u64,
    /// Of these, entities with a property of a type that no text is made from.
    pub unusable: u64,
    /// How often each text occurs.
    texts: HashMap<Text, u64>,
}

/// What is known of an embedder that a sample does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    /// Tokens that are sent with each text.
    pub prefix_tokens: u64,
    /// The service's tokens for each that we estimate; `None` = it has not counted any yet.
    pub scale: Option<f64>,
    /// US$ for a million tokens; `None` = not known.
    pub price: Option<f64>,
    /// Entities filled in a second; `None` = none was filled yet.
    pub per_s: Option<f64>,
}

/// What filling would take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimate {
    /// Entities that wait.
    pub texts: u64,
    /// How many of them were looked at.
    pub sampled: u64,
    /// Different texts among them: the same text is paid for once.
    pub distinct: Option<u64>,
    /// Tokens to be paid for.
    pub tokens: Option<u64>,
    /// Their price in US$.
    pub usd: Option<f64>,
    /// Time at the rate seen so far.
    pub seconds: Option<u64>,
}

impl Sample {
    /// Adds what was made of an entity's properties; of a text, `max_chars` characters are embedded.
    pub(crate) fn add(&mut self, composed: &Composed, max_chars: usize) {
        self.entities += 1;
        match composed {
            Composed::Text(bytes) => {
                *self.texts.entry(Text::new(bytes, max_chars)).or_default() += 1;
            }
            Composed::Blank => self.blank += 1,
            Composed::Unusable => self.unusable += 1,
        }
    }

    /// The number of different texts and of their tokens, if there are `pending` entities in all.
    ///
    /// The chance that the next text is a new one is about the share of the texts that were seen
    /// once (Good and Turing), and what is new is like those. So a few names on many entities do
    /// not grow with their number, and texts that all differ do.
    fn extrapolated(&self, pending: u64, prefix_tokens: u64) -> (f64, f64) {
        let mut seen = (0.0, 0.0);
        let mut once = (0.0, 0.0);
        for (text, times) in &self.texts {
            let tokens = float(text.tokens() as u64 + prefix_tokens);
            seen = (seen.0 + 1.0, seen.1 + tokens);
            if *times == 1 {
                once = (once.0 + 1.0, once.1 + tokens);
            }
        }
        let unseen = float(pending.saturating_sub(self.entities));
        let times = unseen / float(self.entities.max(1));
        (seen.0 + once.0 * times, seen.1 + once.1 * times)
    }
}

impl Estimate {
    /// From the texts of some of the entities that wait.
    pub(crate) fn of_sample(pending: u64, sample: &Sample, rates: Rates) -> Self {
        // Entities may have been added between the two queries.
        let pending = pending.max(sample.entities);
        let (distinct, tokens) = sample.extrapolated(pending, rates.prefix_tokens);
        let tokens = tokens * rates.scale.unwrap_or(1.0);
        let estimate = Self { texts: pending, sampled: sample.entities, ..Self::default() };
        Self { distinct: Some(rounded(distinct)), ..estimate.costing(Some(tokens), rates) }
    }

    /// From the tokens that texts have taken so far on average; `None` = none has been sent yet.
    pub(crate) fn of_average(pending: u64, average: Option<f64>, rates: Rates) -> Self {
        let estimate = Self { texts: pending, ..Self::default() };
        let tokens = if pending == 0 { Some(0.0) } else { average.map(|a| a * float(pending)) };
        estimate.costing(tokens, rates)
    }

    fn costing(self, tokens: Option<f64>, rates: Rates) -> Self {
        let per_s = rates.per_s.filter(|rate| *rate > 0.0);
        let seconds = per_s.map(|rate| rounded((float(self.texts) / rate).ceil()));
        Self {
            tokens: tokens.map(rounded),
            usd: tokens.zip(rates.price).map(|(tokens, price)| tokens * price / 1e6),
            // Nothing takes no time at any rate.
            seconds: if self.texts == 0 { Some(0) } else { seconds },
            ..self
        }
    }

    /// Both together. A figure that one of them lacks is known for neither, unless that one has
    /// nothing to do: part of a price would be taken for all of it.
    pub(crate) fn plus(self, other: Self) -> Self {
        if other.texts == 0 {
            return self;
        }
        if self.texts == 0 {
            return other;
        }
        Self {
            texts: self.texts + other.texts,
            sampled: self.sampled + other.sampled,
            distinct: self.distinct.zip(other.distinct).map(|(a, b)| a.saturating_add(b)),
            tokens: self.tokens.zip(other.tokens).map(|(a, b)| a.saturating_add(b)),
            usd: self.usd.zip(other.usd).map(|(a, b)| a + b),
            seconds: self.seconds.zip(other.seconds).map(|(a, b)| a.saturating_add(b)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; the cast saturates"
)]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 16 bytes, and so 5 tokens.
    fn sample<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Sample {
        let mut sample = Sample::default();
        for text in texts {
            sample.add(&Composed::Text(format!("{:>16}", text.as_ref()).into_bytes()), 99);
        }
        sample
    }

    fn different(number: usize) -> Sample {
        sample((0..number).map(|i| i.to_string()))
    }

    const RATES: Rates =
        Rates { prefix_tokens: 0, scale: None, price: Some(0.02), per_s: Some(10.0) };

    #[test]
    fn a_sample_of_everything_is_counted_and_not_estimated() {
        let estimate = Estimate::of_sample(4, &sample(["a", "b", "b", "c"]), RATES);
        assert_eq!((estimate.texts, estimate.sampled), (4, 4));
        assert_eq!((estimate.distinct, estimate.tokens), (Some(3), Some(15)));
        assert_eq!(estimate.seconds, Some(1), "rounded up");
    }

    #[test]
    fn texts_that_all_differ_grow_with_their_number() {
        let estimate = Estimate::of_sample(1_000_000, &different(500), RATES);
        assert_eq!((estimate.distinct, estimate.tokens), (Some(1_000_000), Some(5_000_000)));
        assert!((estimate.usd.unwrap() - 0.1).abs() < 1e-9, "{estimate:?}");
    }

    #[test]
    fn a_few_names_on_many_entities_are_paid_for_once() {
        let names = sample((0..500).map(|i| (i % 10).to_string()));
        let estimate = Estimate::of_sample(1_000_000, &names, RATES);
        assert_eq!((estimate.distinct, estimate.tokens), (Some(10), Some(50)));
    }

    #[test]
    fn what_has_no_text_counts_for_nothing() {
        let mut half = different(5);
        (0..4).for_each(|_| half.add(&Composed::Blank, 99));
        half.add(&Composed::Unusable, 99);
        assert_eq!((half.entities, half.blank, half.unusable), (10, 4, 1));
        assert_eq!(Estimate::of_sample(100, &half, RATES).tokens, Some(250));
    }

    #[test]
    fn the_service_knows_its_tokens_best_and_prefixes_are_paid_for_too() {
        let scaled = Rates { scale: Some(2.0), prefix_tokens: 3, price: None, per_s: None };
        let estimate = Estimate::of_sample(10, &different(10), scaled);
        assert_eq!((estimate.tokens, estimate.usd, estimate.seconds), (Some(160), None, None));
    }

    #[test]
    fn a_sum_lacks_what_a_part_of_it_lacks() {
        let known = Estimate::of_average(10, Some(7.0), RATES);
        assert_eq!((known.tokens, known.distinct, known.sampled), (Some(70), None, 0));
        let unknown = Estimate::of_average(10, None, RATES);
        let nothing = Estimate::of_average(0, None, Rates::default());
        let sum = known.plus(unknown).plus(nothing);
        assert_eq!((sum.texts, sum.tokens, sum.usd, sum.seconds), (20, None, None, Some(2)));
        assert_eq!(nothing.plus(known), known);
    }
}
