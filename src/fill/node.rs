//! What a node passes through: `Pending`, part of a `Batch`, `Embedded`, a `Row` of a `Slice`.
//!
//! Each stage is made by consuming the one before, so a vector paired with another node's text
//! cannot be written down.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::ServiceFault;

/// The name of a graph, which is its key in Redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GraphName(Arc<str>);

impl GraphName {
    /// Any UTF-8 key name.
    pub(crate) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The key as Redis knows it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GraphName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine's id of a node. It is given to another node once this one is deleted, which is why
/// nothing is ever matched by id alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub u64);

/// The bytes of a text that are embedded: the whole text, or its beginning when it is too long.
///
/// Bytes and not `str`, because the engine stores whatever a client sent, and the write-back has to
/// compare exactly that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    bytes: Arc<[u8]>,
    cut: bool,
}

impl Text {
    /// Keeps the first `max_chars` characters.
    pub(crate) fn new(bytes: &[u8], max_chars: usize) -> Self {
        let end = end_of_char(bytes, max_chars);
        let kept = bytes.get(..end).unwrap_or(bytes);
        Self { bytes: kept.into(), cut: end < bytes.len() }
    }

    /// What the node's text must equal, or begin with if it [was cut](Self::is_cut).
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the node's text goes on after these bytes.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether a node that holds `whole` holds this text, or more of the same where it was cut.
    pub(crate) fn is_of(&self, whole: &[u8]) -> bool {
        if self.cut { whole.starts_with(&self.bytes) } else { *whole == *self.bytes }
    }

    /// What is sent to the embedder; bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn to_utf8(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// About how long a node with this text is as query text.
    pub(crate) fn query_bytes(&self) -> usize {
        self.bytes.len() + BYTES_PER_NODE
    }

    /// About four bytes a token, the rule of thumb of the services' own documentation.
    pub(crate) fn estimated_tokens(&self) -> usize {
        self.bytes.len() / 4 + 1
    }
}

/// Byte offset behind the first `chars` characters. Counting bytes that begin a character needs
/// no valid UTF-8 and cannot split a valid one.
fn end_of_char(bytes: &[u8], chars: usize) -> usize {
    if bytes.len() <= chars {
        return bytes.len();
    }
    let begins = |(_, b): &(usize, &u8)| (**b & 0b1100_0000) != 0b1000_0000;
    bytes.iter().enumerate().filter(begins).nth(chars).map_or(bytes.len(), |(at, _)| at)
}

/// A node whose vector is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its id at the time of selection.
    pub id: NodeId,
    /// Its first label, which decides the index the vector goes to.
    pub label: Option<Arc<str>>,
}

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

/// What a text is embedded for. Some models want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// To be found: the text of a node.
    Document,
    /// To find others.
    Question,
}

/// Identifies a request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BatchId(pub u64);

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
    pub(crate) refused: Option<Instant>,
    /// A harmless word was answered well between its refusal and this try.
    pub(crate) confronted: bool,
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

/// What an embedder answered: vectors with the index of the text each belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// `(index, vector)` in any order.
    pub vectors: Vec<(usize, Vec<f32>)>,
    /// Tokens the service says it counted.
    pub tokens: Option<u64>,
}

impl Reply {
    /// The length of its vectors. Vectors of two lengths are no answer of any model: nothing is
    /// known about the settings then.
    pub(crate) fn dimensions(&self) -> Result<usize, ServiceFault> {
        let length = self.vectors.first().map_or(0, |(_, vector)| vector.len());
        match self.vectors.iter().find(|(_, vector)| vector.len() != length) {
            Some((_, other)) => Err(ServiceFault::Shape(format!(
                "received vectors of {length} and of {} dimensions",
                other.len()
            ))),
            None => Ok(length),
        }
    }
}

/// What a service says it still allows, of requests or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// What it allows in all.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// Until nothing is used up any more.
    pub reset: Duration,
}

/// What a service says about its limits, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RateLimits {
    /// Of requests.
    pub requests: Option<Allowance>,
    /// Of tokens.
    pub tokens: Option<Allowance>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Completion {
    /// Which request.
    pub batch: BatchId,
    /// Vectors, or what went wrong.
    pub outcome: Result<Reply, ServiceFault>,
    /// What the service says about its limits.
    pub limits: RateLimits,
    /// From submission to completion.
    pub took: Duration,
}

/// A node with the vector made from its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The node.
    pub node: Node,
    /// The text the vector was made from; the write is refused where the node holds another.
    pub text: Text,
    /// Finite numbers of the right dimension.
    pub vector: Arc<[f32]>,
}

/// Bytes of query text one number of a vector takes, with its comma.
const BYTES_PER_NUMBER: usize = 12;
/// Bytes of query text a node takes besides its text and its vector.
const BYTES_PER_NODE: usize = 32;

impl Row {
    /// About how long the row is as query text.
    pub(crate) fn query_bytes(&self) -> usize {
        self.text.query_bytes() + self.vector.len() * BYTES_PER_NUMBER
    }
}

/// A batch whose every text has its vector.
#[derive(Debug)]
pub(crate) struct Embedded {
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
        let rows = batch.inputs.into_iter().zip(vectors).flat_map(rows_of).collect();
        Ok(Self { rows, dimensions })
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

/// Vectors in the order of the texts, each index exactly once.
pub(crate) fn by_index(
    reply: Reply,
    expected: usize,
    dimensions: Option<usize>,
) -> Result<Vec<Arc<[f32]>>, ServiceFault> {
    let received = reply.vectors.len();
    let length = dimensions.unwrap_or(reply.dimensions()?);
    let mut found: HashMap<usize, Arc<[f32]>> = HashMap::with_capacity(received);
    for (index, vector) in reply.vectors {
        check_vector(&vector, length)?;
        found.insert(index, vector.into());
    }
    let ordered: Vec<_> = (0..expected).map_while(|index| found.remove(&index)).collect();
    if ordered.len() != expected || received != expected {
        return Err(ServiceFault::Shape(format!(
            "expected one vector for each of {expected} texts, received {received}, with {} of the \
             expected indexes",
            ordered.len()
        )));
    }
    Ok(ordered)
}

fn check_vector(vector: &[f32], length: usize) -> Result<(), ServiceFault> {
    if vector.is_empty() {
        return Err(ServiceFault::Shape("received an empty vector".into()));
    }
    if vector.len() != length {
        return Err(ServiceFault::Dimension { expected: length, received: vector.len() });
    }
    if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
        return Err(ServiceFault::Shape(format!("received a vector that holds {value}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&str]) -> Batch {
        let input = |(i, text): (usize, &&str)| Input {
            text: Text::new(text.as_bytes(), 100),
            nodes: vec![Node { id: NodeId(i as u64), label: None }],
        };
        let inputs = texts.iter().enumerate().map(input).collect();
        Batch { graph: GraphName::new("g"), inputs, attempts: 0, refused: None, confronted: false }
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
