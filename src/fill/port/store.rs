//! Requests to the store, and its answers.

use std::sync::Arc;
use std::time::Duration;

use crate::entity::{GraphName, Node, NodeId, Text};
use crate::fill::port::id::Ticket;
use crate::rule::name::Name;
use crate::rule::{Rule, Similarity};

/// A query for the engine's own threads.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Identifies the read in the answer.
    pub ticket: Ticket,
    /// The graph.
    pub graph: GraphName,
    /// The rule of the pass that reads.
    pub rule: Arc<Rule>,
    /// The query.
    pub query: Query,
}

/// A query on a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    /// The vector indexes on the target.
    Indexes,
    /// The counts of a whole graph, and its end, if it is small.
    CountAll {
        /// A graph of this many nodes is not small.
        nodes: u64,
        /// Maximum rows in the reply.
        rows: usize,
        /// Whether to list the labels that have vectors.
        labels: bool,
    },
    /// How many nodes in a window have a text, a vector, an error; and their labels.
    Count {
        /// Which ids.
        window: Window,
        /// Whether to list the labels that have vectors.
        labels: bool,
    },
    /// The pending nodes in a window.
    Select(Window),
    /// The quarantined nodes in a window.
    Marked {
        /// Which ids.
        window: Window,
        /// Whether their texts are needed too.
        texts: bool,
    },
    /// One vector of a node with this label.
    Sample(Name),
}

impl Answer {
    /// The quarantined nodes, if that is what the answer contains.
    pub(crate) fn marked(self) -> Option<Marked> {
        if let Self::Marked(marked) = self { Some(marked) } else { None }
    }
}

/// The engine's answer, by the kind of query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// For [`Query::Indexes`].
    Indexes(Vec<Index>),
    /// For [`Query::CountAll`]; `None` = the graph is not small. Otherwise `beyond` is one past its
    /// last id.
    CountAll(Option<Count>),
    /// For [`Query::Count`].
    Count(Count),
    /// For [`Query::Select`].
    Selection(Selection),
    /// For [`Query::Marked`].
    Marked(Marked),
    /// For [`Query::Sample`]: the vector's length; `None` = no node with the label has one.
    Sample(Option<usize>),
}

/// A vector index on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    /// The label it covers.
    pub label: String,
    /// Length of the vectors it accepts; others are silently left out.
    pub dimension: usize,
    /// Whether it is built.
    pub ready: bool,
}

/// Counts for one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Nodes with a text.
    pub eligible: u64,
    /// Of these, nodes without a vector.
    pub unfilled: u64,
    /// Of these, nodes marked with an error.
    pub quarantined: u64,
    /// Labels that have vectors.
    pub labels: Vec<String>,
    /// What the reply shows about the ids.
    pub seen: Seen,
}

/// Pending nodes in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Id, text, first label.
    pub rows: Vec<(NodeId, Vec<u8>, Option<String>)>,
    /// What the reply shows about the ids.
    pub seen: Seen,
}

/// Quarantined nodes in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The nodes.
    pub rows: Vec<MarkedNode>,
    /// What the reply shows about the ids.
    pub seen: Seen,
}

/// A quarantined node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkedNode {
    /// Its id.
    pub id: NodeId,
    /// The value of its error property.
    pub note: String,
    /// Its text; empty if it was not requested.
    pub text: Vec<u8>,
    /// Its first label.
    pub label: Option<String>,
}

/// A change to a graph, made in one hold of the server.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The graph.
    pub graph: GraphName,
    /// The rule of the pass that writes.
    pub rule: Arc<Rule>,
    /// What to write.
    pub change: Change,
    /// Identifies the write in the answer.
    pub ticket: Ticket,
    /// What to do if other clients' queries are running on the graph.
    pub readers: Readers,
    /// Vectors may be sent as the engine's effects, if this engine's format is known.
    pub effects: bool,
}

/// What a write does about queries running on its graph: it would wait for them while holding the
/// server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Waits until there are none.
    Wait,
    /// Goes ahead despite one that has just begun: there always is one.
    AllowRecent,
    /// Goes ahead: patience has run out.
    Ignore,
}

/// How often a write is put off because a query has just begun. It may be a long one, and a write
/// would wait for it while holding the server; but where short queries follow one another without a
/// gap, a write that is always put off would never be made.
const MAX_PUT_OFF: u32 = 8;

impl Readers {
    /// What a write does after being put off this many times because a query had just begun.
    pub(crate) fn after(put_off: u32) -> Self {
        if put_off >= MAX_PUT_OFF { Self::AllowRecent } else { Self::Wait }
    }
}

/// The origin of a write, and what it writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A write of a pass.
    Job(Job),
    /// Removes the quarantine marks from these nodes.
    Release(Vec<NodeId>),
}

/// What a pass writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Job {
    /// A slice of vectors.
    Vectors(Vec<Row>),
    /// Quarantine marks.
    Quarantine(Vec<Mark>),
    /// A vector index.
    CreateIndex(NewIndex),
}

/// A node to mark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// The node.
    pub(crate) id: NodeId,
    /// The refused text; a node that holds a different one is not marked.
    pub(crate) text: Text,
    /// The value for the error property.
    pub(crate) note: String,
}

/// An index to create.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewIndex {
    /// The label it covers.
    pub(crate) label: Name,
    /// For vectors of this length.
    pub(crate) dimensions: usize,
    /// How they are compared.
    pub(crate) similarity: Similarity,
}

impl Job {
    /// How many nodes it writes.
    pub(crate) fn nodes(&self) -> usize {
        match self {
            Self::Vectors(rows) => rows.len(),
            Self::Quarantine(marks) => marks.len(),
            Self::CreateIndex(_) => 0,
        }
    }

    /// Approximate length of the query.
    pub(crate) fn query_bytes(&self) -> usize {
        match self {
            Self::Vectors(rows) => rows.iter().map(Row::query_bytes).sum(),
            Self::Quarantine(marks) => marks.iter().map(|mark| mark.text.query_bytes()).sum(),
            Self::CreateIndex(_) => 0,
        }
    }
}

impl Write {
    /// The vectors it writes, if it writes vectors.
    pub(crate) fn vectors(&self) -> Option<&[Row]> {
        if let Change::Job(Job::Vectors(rows)) = &self.change { Some(rows) } else { None }
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Nodes that matched.
    pub ids: Vec<NodeId>,
    /// How long the server was held.
    pub held: Duration,
    /// Whether other clients were served since the previous write.
    pub contended: bool,
}

/// A node with the vector made from its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The node.
    pub node: Node,
    /// The text the vector was made from; the row is not written if the node holds a different one.
    pub text: Text,
    /// Finite numbers, of the right dimension.
    pub vector: Arc<[f32]>,
}

/// Bytes of query text per number of a vector, including its comma.
const BYTES_PER_NUMBER: usize = 12;

impl Row {
    /// Approximate length of the row as query text.
    pub(crate) fn query_bytes(&self) -> usize {
        self.text.query_bytes() + self.vector.len() * BYTES_PER_NUMBER
    }
}

/// Ids `lo..hi`, of which at most `rows` are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// First id.
    pub lo: u64,
    /// One past the last id.
    pub hi: u64,
    /// Maximum rows in the reply.
    pub rows: usize,
    /// No node is known to lie beyond, so the query need not check.
    pub last: bool,
}

/// What a window's reply shows about the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Number of rows received.
    pub rows: usize,
    /// The last id among them.
    pub last: Option<u64>,
    /// Bytes of the longest text among them.
    pub longest: usize,
    /// The first id at or after the window's end; `None` = the graph ends here.
    pub beyond: Option<u64>,
    /// Execution time as reported by the engine.
    pub took: Duration,
}
