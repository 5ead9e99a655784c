//! The texts that need not be paid for again: those on their way, and the last that came back.
//!
//! Equal texts are common: a title on a hundred chunks, the same name in two graphs, an edit taken
//! back. A node whose text is on its way waits for the answer of the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::entity::Text;

/// Memory for vectors that may be needed again.
const MOST_BYTES: usize = 32 << 20;
/// Without a new vector for so long, all are forgotten: the memory is the database's, and a model
/// may have been replaced under its name.
const REMEMBERED: Duration = Duration::from_mins(5);

/// Texts on their way, and vectors by text.
#[derive(Debug)]
pub(crate) struct Known {
    /// How many requests in flight hold the text.
    sent: HashMap<Text, usize>,
    vectors: LruCache<Text, Arc<[f32]>>,
    bytes: usize,
    last: Option<Instant>,
    /// Counts what came back: who waits for a text looks again when it has changed.
    landed: u64,
}

impl Default for Known {
    fn default() -> Self {
        let (sent, vectors) = (HashMap::new(), LruCache::unbounded());
        Self { sent, vectors, bytes: 0, last: None, landed: 0 }
    }
}

impl Known {
    /// A request with these texts was sent.
    pub(crate) fn sent(&mut self, texts: &[Text]) {
        for text in texts {
            *self.sent.entry(text.clone()).or_default() += 1;
        }
    }

    /// A request with these texts came back, or never will.
    pub(crate) fn landed<'a>(&mut self, texts: impl Iterator<Item = &'a Text>) {
        self.landed += 1;
        for text in texts {
            if let Some(count) = self.sent.get_mut(text) {
                *count -= 1;
                if *count == 0 {
                    self.sent.remove(text);
                }
            }
        }
    }

    /// Changes whenever something came back.
    pub(crate) fn landings(&self) -> u64 {
        self.landed
    }

    /// Whether the text is on its way.
    pub(crate) fn is_sent(&self, text: &Text) -> bool {
        self.sent.contains_key(text)
    }

    /// The vector of a text, if it was embedded lately.
    pub(crate) fn vector(&mut self, text: &Text) -> Option<Arc<[f32]>> {
        self.vectors.get(text).cloned()
    }

    /// A text was embedded.
    pub(crate) fn learn(&mut self, now: Instant, text: &Text, vector: &Arc<[f32]>) {
        self.last = Some(now);
        self.bytes += weight(text, vector);
        if let Some((text, vector)) = self.vectors.push(text.clone(), Arc::clone(vector)) {
            self.bytes -= weight(&text, &vector);
        }
        while self.bytes > MOST_BYTES {
            let Some((text, vector)) = self.vectors.pop_lru() else { return };
            self.bytes -= weight(&text, &vector);
        }
    }

    /// Another embedder: what the old one said is worth nothing.
    pub(crate) fn forget(&mut self) {
        self.vectors.clear();
        (self.bytes, self.last) = (0, None);
    }

    /// When everything is forgotten.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.last.map(|last| last + REMEMBERED)
    }

    /// Forgets everything when its time has come.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.expires().is_some_and(|at| at <= now) {
            self.forget();
        }
    }
}

fn weight(text: &Text, vector: &Arc<[f32]>) -> usize {
    /// What a map needs for an entry.
    const ENTRY: usize = 128;
    text.bytes().len() + size_of_val::<[f32]>(vector) + ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> Text {
        Text::new(number.to_string().as_bytes(), 100)
    }

    #[test]
    fn the_last_vectors_are_kept_and_no_more_than_fit() {
        let (mut known, now) = (Known::default(), Instant::now());
        let vector: Arc<[f32]> = vec![0.0; 1_536].into();
        (0..20_000).for_each(|number| known.learn(now, &text(number), &vector));
        assert!(known.bytes <= MOST_BYTES && known.vectors.len() > 5_000);
        assert!(known.vector(&text(19_999)).is_some() && known.vector(&text(0)).is_none());
        known.learn(now, &text(19_999), &vector);
        known.expire(now + REMEMBERED);
        assert_eq!((known.bytes, known.vectors.len()), (0, 0));
    }

    #[test]
    fn a_text_is_on_its_way_until_the_last_request_with_it_is_back() {
        let mut known = Known::default();
        known.sent(&[text(1), text(2)]);
        known.sent(&[text(1)]);
        known.landed([text(1)].iter());
        assert!(known.is_sent(&text(1)) && known.is_sent(&text(2)));
        known.landed([text(1)].iter());
        assert!(!known.is_sent(&text(1)));
    }
}
