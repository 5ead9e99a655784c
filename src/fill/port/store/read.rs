//! What can be asked of a graph, and the answers.

use std::sync::Arc;
use std::time::Duration;

use crate::entity::{EntityId, GraphName};
use crate::fill::port::id::Ticket;
use crate::rule::Rule;
use crate::rule::name::Name;

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
    pub rows: Vec<(EntityId, Vec<u8>, Option<String>)>,
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
    pub id: EntityId,
    /// The value of its error property.
    pub note: String,
    /// Its text; empty if it was not requested.
    pub text: Vec<u8>,
    /// Its first label.
    pub label: Option<String>,
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
