//! The stages a node passes through: `Pending`, part of a `Batch`, `Embedded`, a `Row` of a slice.
//!
//! Each stage is created by consuming the previous one, so a vector paired with another node's text
//! cannot be represented.

use std::sync::Arc;
use std::time::Instant;

use crate::entity::{Entity, Text};
use crate::fill::lane::space::AskedLength;
use crate::fill::port::embedding::{Reply, by_index};
use crate::fill::port::fault::{FaultKind, ServiceFault};
use crate::fill::port::id::Wave;
use crate::fill::port::store::Row;
use crate::rule::Binding;

/// A selected node that has a text and no vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The node.
    pub entity: Entity,
    /// The text to embed.
    pub text: Text,
}

/// One text of a request, with every node that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// Sent once.
    pub text: Text,
    /// Each of them receives the vector.
    pub entities: Vec<Entity>,
}

/// The texts of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Whose entities they are.
    pub binding: Binding,
    /// The length of vectors that is asked for.
    pub(crate) asked: AskedLength,
    /// Distinct texts, in the order they are sent.
    pub inputs: Vec<Input>,
    /// Failed attempts so far that count against `max-attempts`.
    pub(crate) attempts: u32,
    /// When this batch, or the one it is half of, was first refused.
    pub(crate) refused: Option<Wave>,
    /// It was refused, sent again on its own, and refused again.
    pub(crate) retested: bool,
    /// Sending it counts as a retry.
    pub(crate) repeated: bool,
    /// How often its only text failed alone, in the same way, while others succeeded.
    pub(crate) strikes: u32,
    /// How it failed last.
    pub(crate) failed: Option<FaultKind>,
    /// Not to be sent before this time.
    pub(crate) not_before: Option<Instant>,
    /// The refused request it is part of, while it is unknown whether that held too many texts.
    pub(crate) family: Option<Family>,
}

/// Identifies a request that was refused and split up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Family(pub u64);

impl Batch {
    /// Number of nodes waiting for this batch.
    pub(crate) fn nodes(&self) -> usize {
        self.inputs.iter().map(|input| input.entities.len()).sum()
    }

    /// The texts of the request.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.inputs.iter().map(|input| &input.text)
    }

    /// A batch that has not been sent yet.
    pub(crate) fn new(binding: Binding, inputs: Vec<Input>) -> Self {
        Self {
            binding,
            asked: None,
            inputs,
            attempts: 0,
            refused: None,
            retested: false,
            repeated: false,
            strikes: 0,
            failed: None,
            not_before: None,
            family: None,
        }
    }

    fn take_inputs(mut self) -> (Vec<Input>, Self) {
        (std::mem::take(&mut self.inputs), self)
    }

    /// Notes how it failed: earlier failures of another kind no longer count.
    pub(crate) fn failed(self, kind: FaultKind) -> Self {
        let strikes = if self.failed == Some(kind) { self.strikes } else { 0 };
        Self { strikes, failed: Some(kind), ..self }
    }

    /// Splits it into parts of at most `max` texts.
    pub(crate) fn split(self, max: usize) -> Vec<Self> {
        let (mut inputs, batch) = self.take_inputs();
        // As many parts as it takes, of about the same size.
        let number = inputs.len().div_ceil(max.max(1)).max(1);
        let size = inputs.len().div_ceil(number).max(1);
        let mut parts = Vec::new();
        while !inputs.is_empty() {
            let rest = inputs.split_off(size.min(inputs.len()));
            parts.push(Self { inputs: std::mem::replace(&mut inputs, rest), ..batch.clone() });
        }
        parts
    }

    /// The same batch without anything learned from another embedder.
    pub(crate) fn cleared(self) -> Self {
        Self { inputs: self.inputs, asked: self.asked, ..Self::new(self.binding, Vec::new()) }
    }

    /// Two halves to be tried on their own; `Err` returns a single text unchanged.
    pub(crate) fn bisect(mut self) -> Result<(Self, Self), Box<Self>> {
        if self.inputs.len() < 2 {
            return Err(Box::new(self));
        }
        let back = self.inputs.split_off(self.inputs.len() / 2);
        let second = Self { inputs: back, binding: self.binding.clone(), ..self };
        Ok((self, second))
    }
}

/// A batch in which every text has its vector.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// Whose entities they are.
    pub binding: Binding,
    /// The length of vectors that was asked for.
    pub asked: AskedLength,
    /// One row per node.
    pub rows: Vec<Row>,
    /// Length of every vector.
    pub dimensions: usize,
}

/// A batch with its answer: the texts that have a vector, and those whose vector is unusable.
#[derive(Debug)]
pub(crate) struct Paired {
    /// Texts with their vectors; at least one.
    pub embedded: Embedded,
    /// The others, one batch per text, each with what is wrong with its vector.
    pub unusable: Vec<(Batch, &'static str)>,
    /// Number of texts sent.
    pub sent: usize,
    /// The refused request they are part of.
    pub family: Option<Family>,
}

impl Embedded {
    /// Pairs texts with vectors by index: the only way to create one. `dimensions` is the length
    /// the vectors must have, once known.
    pub(crate) fn pair(
        batch: Batch,
        reply: Reply,
        dimensions: Option<usize>,
    ) -> Result<Paired, Box<(Batch, ServiceFault)>> {
        let vectors = match by_index(reply, batch.inputs.len(), dimensions) {
            Ok(vectors) => vectors,
            Err(fault) => return Err(Box::new((batch, fault))),
        };
        let (inputs, batch) = batch.take_inputs();
        let (sent, family) = (inputs.len(), batch.family);
        let mut embedded = Self {
            binding: batch.binding.clone(),
            asked: batch.asked,
            rows: Vec::new(),
            dimensions: 0,
        };
        let mut unusable = Vec::new();
        for (input, vector) in inputs.into_iter().zip(vectors) {
            match vector {
                Ok(vector) => {
                    embedded.dimensions = vector.len();
                    embedded.rows.extend(rows_of(input, &vector));
                }
                Err(what) => unusable.push((Batch { inputs: vec![input], ..batch.clone() }, what)),
            }
        }
        Ok(Paired { embedded, unusable, sent, family })
    }
}

/// Every node of one text gets the same vector.
fn rows_of(input: Input, vector: &Arc<[f32]>) -> impl Iterator<Item = Row> {
    let Input { text, entities } = input;
    entities.into_iter().map(move |entity| Row {
        entity,
        text: text.clone(),
        vector: Arc::clone(vector),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fixture::binding;

    fn batch(texts: &[&str]) -> Batch {
        let input = |(i, text): (usize, &&str)| Input {
            text: Text::new(text.as_bytes(), 100),
            entities: vec![Entity::node(i as u64)],
        };
        let inputs = texts.iter().enumerate().map(input).collect();
        Batch::new(binding("g"), inputs)
    }

    fn reply(vectors: Vec<(usize, Vec<f32>)>) -> Reply {
        Reply { vectors, tokens: None }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let cut = |text: &str, chars| Text::new(text.as_bytes(), chars);
        assert_eq!(cut("äöü", 2).bytes(), "äö".as_bytes());
        assert!(cut("äöü", 2).is_cut() && !cut("äöü", 3).is_cut());
        assert_eq!(cut("日本語", 1).to_utf8(), "日");
        assert_eq!(Text::new(b"\xff\xfe\xfd", 2).bytes(), b"\xff\xfe");
    }

    #[test]
    fn vectors_are_matched_by_index_and_not_by_position() {
        let reply = reply(vec![(1, vec![2.0]), (0, vec![0.5])]);
        let embedded = Embedded::pair(batch(&["a", "b"]), reply, None).unwrap().embedded;
        let of = |at: usize| {
            (embedded.rows[at].text.to_utf8().into_owned(), embedded.rows[at].vector[0])
        };
        assert_eq!((of(0), of(1)), (("a".into(), 0.5), ("b".into(), 2.0)));
    }

    #[test]
    fn a_reply_that_does_not_fit_is_refused() {
        let refused = |vectors, dimensions| {
            Embedded::pair(batch(&["a", "b"]), reply(vectors), dimensions).unwrap_err().1
        };
        let malformed = |vectors| matches!(refused(vectors, None), ServiceFault::Malformed(_));
        assert!(malformed(vec![(0, vec![1.0])]), "too few");
        assert!(malformed(vec![(0, vec![1.0]), (0, vec![1.0])]), "an index twice");
        assert!(malformed(vec![(0, vec![1.0]), (2, vec![1.0])]), "an index beyond");
        assert!(malformed(vec![(0, vec![1.0]), (1, vec![1.0]), (2, vec![1.0])]), "too many");
        assert!(malformed(vec![(0, vec![f32::NAN]), (1, vec![0.0])]), "none is of use");
        assert!(malformed(vec![(0, vec![]), (1, vec![])]), "empty");
        assert!(malformed(vec![(0, vec![1.0]), (1, vec![1.0, 2.0])]), "two lengths");
        let fault = refused(vec![(0, vec![1.0]), (1, vec![1.0])], Some(2));
        assert_eq!(fault, ServiceFault::Dimension { expected: 2, received: 1 });
    }

    #[test]
    fn a_vector_that_is_of_no_use_costs_only_its_own_text() {
        for bad in [0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, -1e-39, 1e30] {
            let vectors = vec![(0, vec![bad, bad]), (1, vec![1.0, 0.0])];
            let paired = Embedded::pair(batch(&["a", "b"]), reply(vectors), None).unwrap();
            let left: Vec<_> =
                paired.unusable.iter().flat_map(|(batch, _)| batch.texts()).collect();
            assert_eq!(left, [&Text::new(b"a", 9)], "{bad}");
            assert_eq!(paired.embedded.rows.len(), 1);
        }
    }

    #[test]
    fn a_batch_is_split_into_parts_of_what_is_allowed() {
        let sizes: Vec<usize> =
            batch(&["a", "b", "c", "d", "e"]).split(2).iter().map(|b| b.inputs.len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
    }

    #[test]
    fn halves_hold_what_the_whole_held() {
        let (first, second) = batch(&["a", "b", "c"]).bisect().unwrap();
        assert_eq!((first.inputs.len(), second.inputs.len()), (1, 2));
        assert!(first.bisect().is_err());
    }
}
