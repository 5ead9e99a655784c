//! What can be changed in a graph, and what a change did.

use std::sync::Arc;
use std::time::Duration;

use crate::entity::{Entity, EntityId, GraphName, Text};
use crate::fill::port::id::Ticket;
use crate::fill::port::store::Window;
use crate::rule::name::Name;
use crate::rule::{Rule, Similarity};

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
    /// Removes the quarantine marks from these entities.
    Release(Vec<Entity>),
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
    /// Plain lists that become vectors.
    Convert(Conversion),
}

/// Plain lists that are to become vectors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversion {
    /// Where they are.
    pub(crate) window: Window,
    /// Only lists of this length.
    pub(crate) length: usize,
    /// What they hold.
    pub(crate) items: Items,
}

/// What is known of the lists that are to be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items {
    /// Nothing. If any holds something else than numbers, the engine refuses the whole query.
    Unknown,
    /// Some hold something else: the engine looks at each item, which takes five times as long.
    Mixed,
}

/// A node to mark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// The node or relationship.
    pub(crate) entity: Entity,
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
            Self::CreateIndex(_) | Self::Convert(_) => 0,
        }
    }

    /// Approximate length of the query.
    pub(crate) fn query_bytes(&self) -> usize {
        match self {
            Self::Vectors(rows) => rows.iter().map(Row::query_bytes).sum(),
            Self::Quarantine(marks) => marks.iter().map(|mark| mark.text.query_bytes()).sum(),
            Self::CreateIndex(_) | Self::Convert(_) => 0,
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
    pub ids: Vec<EntityId>,
    /// How long the server was held.
    pub held: Duration,
    /// Whether other clients were served since the previous write.
    pub contended: bool,
}

/// A node with the vector made from its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The node.
    pub entity: Entity,
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
