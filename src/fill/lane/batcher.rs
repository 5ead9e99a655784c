//! Turns pending nodes into batches: within the limits of count and tokens, equal texts only once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::entity::Text;
use crate::fill::lane::batch::{Batch, Input, Pending};
use crate::fill::lane::cache::EmbeddingCache;
use crate::fill::port::settings::BatchLimits;
use crate::fill::port::store::Row;
use crate::rule::Binding;

/// The selected nodes of one graph that wait for a request.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    /// Distinct texts in order of arrival.
    queue: BTreeMap<u64, Input>,
    /// Each text's position in the queue.
    place: HashMap<Text, u64>,
    places: u64,
    /// Nodes in the queue.
    nodes: usize,
    /// Estimated tokens in the queue.
    tokens: usize,
    /// Nodes whose text is in flight for another node.
    waiting: Vec<Pending>,
}

impl Batcher {
    /// Adds a node at the end, or to those that hold the same text.
    pub(crate) fn push(&mut self, Pending { entity, text }: Pending) {
        self.nodes += 1;
        if let Some(input) = self.place.get(&text).and_then(|place| self.queue.get_mut(place)) {
            input.entities.push(entity);
            return;
        }
        self.places += 1;
        self.tokens += text.estimated_tokens();
        self.place.insert(text.clone(), self.places);
        self.queue.insert(self.places, Input { text, entities: vec![entity] });
    }

    fn take(&mut self, place: u64) -> Option<Input> {
        let input = self.queue.remove(&place)?;
        self.place.remove(&input.text);
        self.tokens = self.tokens.saturating_sub(input.text.estimated_tokens());
        self.nodes = self.nodes.saturating_sub(input.entities.len());
        Some(input)
    }

    /// Number of waiting nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes + self.waiting.len()
    }

    /// Estimated bytes of waiting text.
    pub(crate) fn bytes(&self) -> usize {
        self.tokens * 4
    }

    /// Whether there is enough for a full request.
    pub(crate) fn is_full(&self, limits: BatchLimits) -> bool {
        self.queue.len() >= limits.texts || self.tokens >= limits.tokens
    }

    /// Removes all nodes, and returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(self).len()
    }

    /// Takes out the nodes whose vector is known, if the index accepts it, and sets aside those
    /// whose text is in flight.
    pub(crate) fn sort(
        &mut self,
        cache: &mut EmbeddingCache,
        indexes: &BTreeMap<String, usize>,
    ) -> VecDeque<Row> {
        let mut rows = VecDeque::new();
        let Self { queue, waiting, .. } = std::mem::take(self);
        // First come, first served.
        for Pending { entity, text } in
            waiting.into_iter().chain(queue.into_values().flat_map(apart))
        {
            let index = entity.label.as_deref().and_then(|label| indexes.get(label));
            let fits = |vector: &Arc<[f32]>| index.is_none_or(|length| *length == vector.len());
            if let Some(vector) = cache.get(&text).filter(fits) {
                rows.push_back(Row { entity, text, vector });
            } else if cache.is_in_flight(&text) {
                self.waiting.push(Pending { entity, text });
            } else {
                self.push(Pending { entity, text });
            }
        }
        rows
    }

    /// **Where pending nodes become a batch.** A text that no longer fits waits for the next one,
    /// and later ones that fit are included. A text over the token limit becomes a batch of its own
    /// rather than none: the service, not us, decides whether it is too long.
    pub(crate) fn next(
        &mut self,
        binding: &Binding,
        limits: BatchLimits,
        cache: &EmbeddingCache,
    ) -> Option<Batch> {
        let (mut chosen, mut elsewhere, mut tokens) = (Vec::new(), Vec::new(), 0);
        for (place, input) in &self.queue {
            let cost = input.text.estimated_tokens();
            if cache.is_in_flight(&input.text) {
                elsewhere.push(*place);
            } else if chosen.is_empty() || tokens + cost <= limits.tokens {
                tokens += cost;
                chosen.push(*place);
            }
            if chosen.len() >= limits.texts || tokens >= limits.tokens {
                break;
            }
        }
        for place in elsewhere {
            let input = self.take(place);
            self.waiting.extend(input.into_iter().flat_map(apart));
        }
        let inputs: Vec<Input> = chosen.into_iter().filter_map(|place| self.take(place)).collect();
        (!inputs.is_empty()).then(|| Batch::new(binding.clone(), inputs))
    }
}

/// One node each.
fn apart(Input { text, entities }: Input) -> impl Iterator<Item = Pending> {
    entities.into_iter().map(move |entity| Pending { entity, text: text.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::fill::fixture::binding;

    fn batcher(texts: &[&str]) -> Batcher {
        let mut batcher = Batcher::default();
        for (i, text) in texts.iter().enumerate() {
            let entity = Entity::node(i as u64);
            batcher.push(Pending { entity, text: Text::new(text.as_bytes(), 1_000) });
        }
        batcher
    }

    fn sizes(batcher: &mut Batcher, texts: usize, tokens: usize) -> Vec<(usize, usize)> {
        let binding = binding("g");
        std::iter::from_fn(|| {
            batcher.next(&binding, BatchLimits { texts, tokens }, &EmbeddingCache::default())
        })
        .map(|batch| (batch.inputs.len(), batch.nodes()))
        .collect()
    }

    #[test]
    fn a_batch_holds_no_more_texts_than_allowed() {
        assert_eq!(
            sizes(&mut batcher(&["a", "b", "c", "d", "e"]), 2, 1_000),
            [(2, 2), (2, 2), (1, 1)]
        );
    }

    #[test]
    fn equal_texts_are_sent_once() {
        assert_eq!(sizes(&mut batcher(&["a", "b", "a", "a"]), 2, 1_000), [(2, 4)]);
    }

    #[test]
    fn what_came_later_and_fits_goes_along() {
        let [half, little] = ["x".repeat(120), "y".repeat(60)];
        let texts = [&half, &(half.clone() + "z"), &little, "a"];
        assert_eq!(sizes(&mut batcher(&texts.map(|text| text as &str)), 10, 50), [(3, 3), (1, 1)]);
    }

    #[test]
    fn a_request_is_full_when_its_distinct_texts_are_enough() {
        let limits = BatchLimits { texts: 2, tokens: 1_000 };
        assert!(!batcher(&["a", "a", "a"]).is_full(limits));
        assert!(batcher(&["a", "a", "b"]).is_full(limits));
    }

    #[test]
    fn a_text_over_the_token_limit_is_a_batch_of_its_own() {
        let [long, other] = ["x".repeat(400), "y".repeat(400)];
        assert_eq!(sizes(&mut batcher(&[&long, "a", &other]), 10, 50), [(1, 1), (1, 1), (1, 1)]);
    }
}
