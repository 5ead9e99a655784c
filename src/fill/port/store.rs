//! What is asked of the store, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::entity::{GraphName, Node, NodeId, Text};
use crate::fill::port::id::Ticket;
use crate::rule::name::Name;
use crate::rule::{Rule, Similarity};

/// A query for the engine's own threads.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Names the read in the answer.
    pub ticket: Ticket,
    /// The graph.
    pub graph: GraphName,
    /// The rule of the pass that asks.
    pub rule: Arc<Rule>,
    /// What is asked.
    pub query: Query,
}

/// What is asked of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    /// The vector indexes on the target.
    Indexes,
    /// The counts of a whole graph, and its end, if it is small.
    CountAll {
        /// A graph of so many nodes is not small.
        nodes: u64,
        /// Most rows in the reply.
        rows: usize,
        /// Whether to list the labels that have vectors.
        labels: bool,
    },
    /// How many nodes of a window have a text, a vector, an error; and their labels.
    Count {
        /// Which ids.
        window: Window,
        /// Whether to list the labels that have vectors.
        labels: bool,
    },
    /// The pending nodes of a window.
    Select(Window),
    /// The quarantined nodes of a window.
    Marked {
        /// Which ids.
        window: Window,
        /// Whether their texts are wanted, too.
        texts: bool,
    },
    /// One vector of this label.
    Sample(Name),
}

impl Answer {
    /// What is said about quarantined nodes, if it is that.
    pub(crate) fn marked(self) -> Option<Marked> {
        if let Self::Marked(marked) = self { Some(marked) } else { None }
    }
}

/// What the engine answered, by the kind of question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// To [`Query::Indexes`].
    Indexes(Vec<Index>),
    /// To [`Query::CountAll`]; `None` = the graph is not small. `beyond` is then one past its last id.
    CountAll(Option<Count>),
    /// To [`Query::Count`].
    Count(Count),
    /// To [`Query::Select`].
    Selection(Selection),
    /// To [`Query::Marked`].
    Marked(Marked),
    /// To [`Query::Sample`]: the vector's length; `None` = no node of the label has one.
    Sample(Option<usize>),
}

/// A vector index on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    /// Of nodes with this label.
    pub label: String,
    /// Length of the vectors it takes; others it leaves out without a word.
    pub dimension: usize,
    /// Whether it is built.
    pub ready: bool,
}

/// Counts of one window.
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
    /// What the window says about the ids.
    pub seen: Seen,
}

/// Pending nodes of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Id, text, first label.
    pub rows: Vec<(NodeId, Vec<u8>, Option<String>)>,
    /// What the window says about the ids.
    pub seen: Seen,
}

/// Quarantined nodes of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The nodes.
    pub rows: Vec<MarkedNode>,
    /// What the window says about the ids.
    pub seen: Seen,
}

/// A quarantined node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkedNode {
    /// Its id.
    pub id: NodeId,
    /// What its error property says.
    pub note: String,
    /// Its text; empty when it was not asked for.
    pub text: Vec<u8>,
    /// Its first label.
    pub label: Option<String>,
}

/// A change of a graph, made in one hold of the server.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The graph.
    pub graph: GraphName,
    /// The rule of the pass that writes.
    pub rule: Arc<Rule>,
    /// What is written.
    pub change: Change,
    /// Names the write in the answer.
    pub ticket: Ticket,
    /// What to do where queries of others run on the graph.
    pub readers: Readers,
    /// Vectors may be handed over as the engine's effects, if this engine's are known.
    pub effects: bool,
}

/// What a write does about queries that run on its graph: it would wait for them with the server in
/// hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Waits until there are none.
    Wait,
    /// Goes ahead beside one that has just begun: one always has.
    AllowRecent,
    /// Goes ahead: patience has ended.
    Ignore,
}

/// How often a write is put off because a query has just begun. It may be a long one, and a write
/// would wait for it with the server in hand; where one short query follows the other without a gap,
/// a write that never dared would never come.
const MAX_PUT_OFF: u32 = 8;

impl Readers {
    /// What a write does that was put off so often because a query had just begun.
    pub(crate) fn after(put_off: u32) -> Self {
        if put_off >= MAX_PUT_OFF { Self::AllowRecent } else { Self::Wait }
    }
}

/// Who writes what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A pass does its job.
    Job(Job),
    /// Marks of quarantine are taken away from these nodes.
    Release(Vec<NodeId>),
}

/// What a pass writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Job {
    /// Vectors: a slice.
    Vectors(Vec<Row>),
    /// Marks of quarantine.
    Quarantine(Vec<Mark>),
    /// A vector index.
    CreateIndex(NewIndex),
}

/// A node to be marked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// The node.
    pub(crate) id: NodeId,
    /// The text that was refused; a node that holds another is not marked.
    pub(crate) text: Text,
    /// What the error property is to say.
    pub(crate) note: String,
}

/// An index to be created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewIndex {
    /// Of nodes with this label.
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

    /// About how long the query is.
    pub(crate) fn query_bytes(&self) -> usize {
        match self {
            Self::Vectors(rows) => rows.iter().map(Row::query_bytes).sum(),
            Self::Quarantine(marks) => marks.iter().map(|mark| mark.text.query_bytes()).sum(),
            Self::CreateIndex(_) => 0,
        }
    }
}

impl Write {
    /// The vectors it writes, if it is that.
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
    /// Whether other clients were served since the write before.
    pub contended: bool,
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

impl Row {
    /// About how long the row is as query text.
    pub(crate) fn query_bytes(&self) -> usize {
        self.text.query_bytes() + self.vector.len() * BYTES_PER_NUMBER
    }
}

/// Ids `lo..hi`, of which at most `rows` come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// First id.
    pub lo: u64,
    /// One behind the last id.
    pub hi: u64,
    /// Most rows in the reply.
    pub rows: usize,
    /// It is known that no node lies beyond: that need not be asked.
    pub last: bool,
}

/// What a window's reply says about the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Rows that came.
    pub rows: usize,
    /// The last id among them.
    pub last: Option<u64>,
    /// Bytes of the longest text among them.
    pub longest: usize,
    /// The first id at or behind the window's end; `None` = the graph ends here.
    pub beyond: Option<u64>,
    /// What the engine says the query took.
    pub took: Duration,
}
