//! What can be asked of a graph, and the answers.

use std::sync::Arc;
use std::time::Duration;

use crate::entity::property::Property;
use crate::entity::{Ends, EntityId, GraphName};
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
    /// The plain lists in a window.
    Lists(Window),
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
    /// For [`Query::Lists`]: their lengths, and how many there are of each.
    Lists(Vec<(u64, u64)>),
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
    /// The mark of another client that fills the graph.
    pub owner: Option<&'static str>,
    /// Whether some have a plain list where the vector should be.
    pub lists: bool,
    /// What the reply shows about the ids.
    pub seen: Seen,
}

/// Pending nodes in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The pending entities.
    pub rows: Vec<Selected>,
    /// What the reply shows about the ids.
    pub seen: Seen,
}

/// A node or relationship as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    /// Its id.
    pub id: EntityId,
    /// The nodes at its ends, if it is a relationship.
    pub ends: Option<Ends>,
    /// Its type, or the first of its labels that the rule means.
    pub label: Option<String>,
    /// What its text is made of.
    pub source: Source,
}

/// What the text of an entity is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The value of the one property that holds the text; empty if it was not requested.
    Text(Vec<u8>),
    /// The properties of a template, in its order.
    Properties(Vec<Property>),
}

/// Quarantined entities in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    /// The entities, each with the value of its error property.
    pub rows: Vec<(Selected, String)>,
    /// What the reply shows about the ids.
    pub seen: Seen,
}

/// Where a sweep stands: at a node's id or, for relationships, at the id of their source, and how
/// far it has come among the relationships of that source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    /// The first id.
    pub id: u64,
    /// Among the relationships of that source, the first target.
    pub target: u64,
    /// Among the relationships between these two nodes, the first id; `None` = they fit into one
    /// reply.
    pub between: Option<u64>,
}

impl Cursor {
    /// At the first relationship of a source, or at a node.
    pub(crate) fn at(id: u64) -> Self {
        Self { id, ..Self::default() }
    }
}

/// Ids `from..hi`, of which at most `rows` are returned. For relationships, the ids are those of
/// their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Where it begins.
    pub from: Cursor,
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
    /// Where a reply that was cut off goes on, if the last id alone does not tell.
    pub resume: Option<Cursor>,
    /// The first id at or after the window's end; `None` = the graph ends here.
    pub beyond: Option<u64>,
    /// Execution time as reported by the engine.
    pub took: Duration,
}
