//! What a node passes through: `Pending`, part of a `Batch`, `Embedded`, a `Row` of a `Slice`.
//!
//! Each stage is made by consuming the one before, so a vector paired with another node's text
//! cannot be written down.

use std::sync::Arc;

use crate::entity::{GraphName, Node, Text};
use crate::fill::port::embedding::{Reply, by_index};
use crate::fill::port::fault::ServiceFault;
use crate::fill::port::id::Wave;
use crate::fill::port::store::Row;

/// A selected node that has a text and no vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The node.
    pub node: Node,
    /// What is to be embedded.
    pub text: Text,
}

/// One text of a request, with every node that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// Sent once.
    pub text: Text,
    /// Written as often as there are nodes.
    pub nodes: Vec<Node>,
}

/// The texts of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Where the nodes live.
    pub graph: GraphName,
    /// Distinct texts, in the order they are sent.
    pub inputs: Vec<Input>,
    /// Failed tries so far that count against `max-attempts`.
    pub(crate) attempts: u32,
    /// When this batch, or the one it is a half of, was first refused.
    pub(crate) refused: Option<Wave>,
    /// It was sent again on its own after a refusal, and refused again.
    pub(crate) retested: bool,
    /// It is sent again.
    pub(crate) repeated: bool,
}

impl Batch {
    /// Nodes that wait for this batch.
    pub(crate) fn nodes(&self) -> usize {
        self.inputs.iter().map(|input| input.nodes.len()).sum()
    }

    /// The texts of the request.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.inputs.iter().map(|input| &input.text)
    }

    /// The same without what another embedder said about it.
    pub(crate) fn cleared(self) -> Self {
        Self { refused: None, retested: false, ..self }
    }

    /// Two halves to be tried on their own; `None` for a single text.
    pub(crate) fn bisect(mut self) -> Result<(Self, Self), Self> {
        if self.inputs.len() < 2 {
            return Err(self);
        }
        let back = self.inputs.split_off(self.inputs.len() / 2);
        let second = Self { inputs: back, graph: self.graph.clone(), ..self };
        Ok((self, second))
    }
}

/// A batch whose every text has its vector.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// Where the nodes live.
    pub graph: GraphName,
    /// One row a node.
    pub rows: Vec<Row>,
    /// Length of every vector.
    pub dimensions: usize,
}

impl Embedded {
    /// Pairs texts with vectors by index: the only way to make one. `dimensions` is what the
    /// vectors must have, once that is known.
    pub(crate) fn pair(
        batch: Batch,
        reply: Reply,
        dimensions: Option<usize>,
    ) -> Result<Self, (Batch, ServiceFault)> {
        let expected = batch.inputs.len();
        let vectors = match by_index(reply, expected, dimensions) {
            Ok(vectors) => vectors,
            Err(fault) => return Err((batch, fault)),
        };
        let dimensions = vectors.first().map_or(0, |vector| vector.len());
        let graph = batch.graph;
        let rows = batch.inputs.into_iter().zip(vectors).flat_map(rows_of).collect();
        Ok(Self { graph, rows, dimensions })
    }
}

/// Every node of one text gets the same vector.
fn rows_of((input, vector): (Input, Arc<[f32]>)) -> impl Iterator<Item = Row> {
    let text = input.text;
    input.nodes.into_iter().map(move |node| Row {
        node,
        text: text.clone(),
        vector: Arc::clone(&vector),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::NodeId;

    fn batch(texts: &[&str]) -> Batch {
        let input = |(i, text): (usize, &&str)| Input {
            text: Text::new(text.as_bytes(), 100),
            nodes: vec![Node { id: NodeId(i as u64), label: None }],
        };
        let inputs = texts.iter().enumerate().map(input).collect();
        Batch {
            graph: GraphName::new("g"),
            inputs,
            attempts: 0,
            refused: None,
            retested: false,
            repeated: false,
        }
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
        let reply = reply(vec![(1, vec![1.0]), (0, vec![0.0])]);
        let embedded = Embedded::pair(batch(&["a", "b"]), reply, None).unwrap();
        let of = |at: usize| {
            (embedded.rows[at].text.to_utf8().into_owned(), embedded.rows[at].vector[0])
        };
        assert_eq!((of(0), of(1)), (("a".into(), 0.0), ("b".into(), 1.0)));
    }

    #[test]
    fn a_reply_that_does_not_fit_is_refused() {
        let refused = |vectors, dimensions| {
            Embedded::pair(batch(&["a", "b"]), reply(vectors), dimensions).unwrap_err().1
        };
        let shape = |vectors| matches!(refused(vectors, None), ServiceFault::Shape(_));
        assert!(shape(vec![(0, vec![1.0])]), "too few");
        assert!(shape(vec![(0, vec![1.0]), (0, vec![1.0])]), "an index twice");
        assert!(shape(vec![(0, vec![1.0]), (2, vec![1.0])]), "an index beyond");
        assert!(shape(vec![(0, vec![1.0]), (1, vec![1.0]), (2, vec![1.0])]), "too many");
        assert!(shape(vec![(0, vec![1.0]), (1, vec![f32::NAN])]), "not a number");
        assert!(shape(vec![(0, vec![]), (1, vec![])]), "empty");
        assert!(shape(vec![(0, vec![1.0]), (1, vec![1.0, 2.0])]), "two lengths");
        let fault = refused(vec![(0, vec![1.0]), (1, vec![1.0])], Some(2));
        assert_eq!(fault, ServiceFault::Dimension { expected: 2, received: 1 });
    }

    #[test]
    fn halves_hold_what_the_whole_held() {
        let (first, second) = batch(&["a", "b", "c"]).bisect().unwrap();
        assert_eq!((first.inputs.len(), second.inputs.len()), (1, 2));
        assert!(first.bisect().is_err());
    }
}
