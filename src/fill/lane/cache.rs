//! The embedding cache: texts that need not be paid for again, because they are in flight or were
//! embedded recently.
//!
//! Equal texts are common: a title on a hundred chunks, the same name in two graphs, an edit
//! undone. A node whose text is in flight for another node waits for that answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::entity::Text;

/// Memory for vectors that may be needed again.
const MAX_BYTES: usize = 32 << 20;
/// Without a new vector for this long, all are forgotten: the memory is the database's, and a model
/// may have been replaced under the same name.
const REMEMBERED: Duration = Duration::from_mins(5);

/// Texts in flight, and vectors by text.
#[derive(Debug)]
pub(crate) struct EmbeddingCache {
    /// How many requests in flight contain the text.
    in_flight: HashMap<Text, usize>,
    vectors: LruCache<Text, Arc<[f32]>>,
    bytes: usize,
    last: Option<Instant>,
    /// Counts completions: waiting nodes are looked at again when it has changed.
    completed: u64,
}

impl Default for EmbeddingCache {
    fn default() -> Self {
        let (in_flight, vectors) = (HashMap::new(), LruCache::unbounded());
        Self { in_flight, vectors, bytes: 0, last: None, completed: 0 }
    }
}

impl EmbeddingCache {
    /// A request with these texts was sent.
    pub(crate) fn sent<'a>(&mut self, texts: impl Iterator<Item = &'a Text>) {
        for text in texts {
            *self.in_flight.entry(text.clone()).or_default() += 1;
        }
    }

    /// A request with these texts was answered, or never will be.
    pub(crate) fn complete<'a>(&mut self, texts: impl Iterator<Item = &'a Text>) {
        self.completed += 1;
        for text in texts {
            if let Some(count) = self.in_flight.get_mut(text) {
                *count -= 1;
                if *count == 0 {
                    self.in_flight.remove(text);
                }
            }
        }
    }

    /// Changes with each completion.
    pub(crate) fn generation(&self) -> u64 {
        self.completed
    }

    /// Whether the text is in flight.
    pub(crate) fn is_in_flight(&self, text: &Text) -> bool {
        self.in_flight.contains_key(text)
    }

    /// The vector of a text, if it was embedded recently.
    pub(crate) fn get(&mut self, text: &Text) -> Option<Arc<[f32]>> {
        self.vectors.get(text).cloned()
    }

    /// A text was embedded.
    pub(crate) fn put(&mut self, now: Instant, text: &Text, vector: &Arc<[f32]>) {
        self.last = Some(now);
        self.bytes += weight(text, vector);
        if let Some((text, vector)) = self.vectors.push(text.clone(), Arc::clone(vector)) {
            self.bytes -= weight(&text, &vector);
        }
        while self.bytes > MAX_BYTES {
            let Some((text, vector)) = self.vectors.pop_lru() else {
                debug_assert!(false, "an empty cache of {} bytes", self.bytes);
                return;
            };
            self.bytes -= weight(&text, &vector);
        }
    }

    /// Forgets the vectors of a replaced embedder.
    pub(crate) fn forget(&mut self) {
        self.vectors.clear();
        (self.bytes, self.last) = (0, None);
    }

    /// When everything is forgotten.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.last.map(|last| last + REMEMBERED)
    }

    /// Forgets everything once it has expired.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.expires().is_some_and(|at| at <= now) {
            self.forget();
        }
    }
}

fn weight(text: &Text, vector: &Arc<[f32]>) -> usize {
    /// Memory a map needs per entry.
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
        let (mut cache, now) = (EmbeddingCache::default(), Instant::now());
        let vector: Arc<[f32]> = vec![0.0; 1_536].into();
        (0..20_000).for_each(|number| cache.put(now, &text(number), &vector));
        assert!(cache.bytes <= MAX_BYTES && cache.vectors.len() > 5_000);
        assert!(cache.get(&text(19_999)).is_some() && cache.get(&text(0)).is_none());
        cache.put(now, &text(19_999), &vector);
        cache.expire(now + REMEMBERED);
        assert_eq!((cache.bytes, cache.vectors.len()), (0, 0));
    }

    #[test]
    fn a_text_is_on_its_way_until_the_last_request_with_it_is_back() {
        let mut cache = EmbeddingCache::default();
        cache.sent([text(1), text(2)].iter());
        cache.sent([text(1)].iter());
        cache.complete([text(1)].iter());
        assert!(cache.is_in_flight(&text(1)) && cache.is_in_flight(&text(2)));
        cache.complete([text(1)].iter());
        assert!(!cache.is_in_flight(&text(1)));
    }
}
