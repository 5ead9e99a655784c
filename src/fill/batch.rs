//! Pending nodes become batches: under the limits of count and tokens, equal texts once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::known::Known;
use super::node::{Batch, GraphName, Input, Pending, Row, Text};

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    /// Most texts (`batch-size`).
    pub texts: usize,
    /// Most estimated tokens (`batch-tokens`).
    pub tokens: usize,
}

/// The selected nodes of one graph that wait for a request.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    queue: VecDeque<Pending>,
    /// Nodes whose text is on its way for another node.
    waiting: Vec<Pending>,
    /// Of what is in the queue.
    tokens: usize,
}

impl Batcher {
    /// Adds a node behind the others.
    pub(crate) fn push(&mut self, pending: Pending) {
        self.tokens += pending.text.estimated_tokens();
        self.queue.push_back(pending);
    }

    /// Nodes that wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.waiting.len()
    }

    /// Bytes of text that wait, estimated.
    pub(crate) fn bytes(&self) -> usize {
        self.tokens * 4
    }

    /// Whether there is enough for a full request.
    pub(crate) fn is_full(&self, limits: BatchLimits) -> bool {
        self.queue.len() >= limits.texts || self.tokens >= limits.tokens
    }

    /// Takes all nodes out again, and returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        self.tokens = 0;
        self.queue.drain(..).len() + self.waiting.drain(..).len()
    }

    /// Takes out the nodes whose vector is known, where the index takes it, and puts those aside
    /// whose text is on its way.
    pub(super) fn sort(
        &mut self,
        known: &mut Known,
        indexes: &BTreeMap<String, usize>,
    ) -> VecDeque<Row> {
        let mut rows = VecDeque::new();
        let queue = std::mem::take(&mut self.queue);
        let waiting = std::mem::take(&mut self.waiting);
        self.tokens = 0;
        // What came first goes first.
        for Pending { node, text } in waiting.into_iter().chain(queue) {
            let index = node.label.as_deref().and_then(|label| indexes.get(label));
            let fits = |vector: &Arc<[f32]>| index.is_none_or(|length| *length == vector.len());
            if let Some(vector) = known.vector(&text).filter(fits) {
                rows.push_back(Row { node, text, vector });
            } else if known.is_sent(&text) {
                self.waiting.push(Pending { node, text });
            } else {
                self.push(Pending { node, text });
            }
        }
        rows
    }

    /// **Where pending nodes become a batch.** A text over the token limit is a batch of its own,
    /// never none: the service, not we, says whether it is too long.
    pub(super) fn next(
        &mut self,
        graph: &GraphName,
        limits: BatchLimits,
        known: &Known,
    ) -> Option<Batch> {
        let mut inputs: Vec<Input> = Vec::new();
        let mut position: HashMap<Text, usize> = HashMap::new();
        let mut tokens = 0;
        while let Some(first) = self.queue.front() {
            let here = position.get(&first.text).copied();
            let elsewhere = known.is_sent(&first.text);
            let free = here.is_some() || elsewhere;
            let cost = if free { 0 } else { first.text.estimated_tokens() };
            let fits = inputs.len() < limits.texts && tokens + cost <= limits.tokens;
            if !free && !fits && !inputs.is_empty() {
                break;
            }
            let Some(pending) = self.queue.pop_front() else { break };
            self.tokens = self.tokens.saturating_sub(pending.text.estimated_tokens());
            tokens += cost;
            if elsewhere {
                self.waiting.push(pending);
            } else if let Some(input) = here.and_then(|at| inputs.get_mut(at)) {
                input.nodes.push(pending.node);
            } else {
                position.insert(pending.text.clone(), inputs.len());
                inputs.push(Input { text: pending.text, nodes: vec![pending.node] });
            }
        }
        let graph = graph.clone();
        (!inputs.is_empty()).then_some(Batch {
            graph,
            inputs,
            attempts: 0,
            refused: None,
            confronted: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::node::{Node, NodeId};

    fn batcher(texts: &[&str]) -> Batcher {
        let mut batcher = Batcher::default();
        for (i, text) in texts.iter().enumerate() {
            let node = Node { id: NodeId(i as u64), label: None };
            batcher.push(Pending { node, text: Text::new(text.as_bytes(), 1_000) });
        }
        batcher
    }

    fn sizes(batcher: &mut Batcher, texts: usize, tokens: usize) -> Vec<(usize, usize)> {
        let graph = GraphName::new("g");
        std::iter::from_fn(|| {
            batcher.next(&graph, BatchLimits { texts, tokens }, &Known::default())
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
    fn a_text_over_the_token_limit_is_a_batch_of_its_own() {
        let long = "x".repeat(400);
        assert_eq!(sizes(&mut batcher(&[&long, "a", &long]), 10, 50), [(1, 1), (1, 1), (1, 1)]);
    }
}
