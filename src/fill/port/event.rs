//! The core's inputs and outputs: the whole of its contact with the outside world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::entity::{EntityId, GraphName, Text};
use crate::fill::port::embedding::{Completion, Embed};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::{RunId, Ticket};
use crate::fill::port::server::{RunFault, Survey};
use crate::fill::port::settings::Settings;
use crate::fill::port::store::{Answer, Read, Write, Written};
use crate::fill::tally::Tally;
use crate::rule::Binding;
use crate::rule::name::{EmbedderName, RuleName};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The settings have changed.
    Configured {
        /// All of them.
        settings: Box<Settings>,
        /// Embedders that were created anew: requests in flight at the old ones are never answered.
        replaced: BTreeSet<EmbedderName>,
    },
    /// Role, loading state, modules or data set may have changed.
    ServerChanged,
    /// Graphs written elsewhere are about to arrive.
    GraphsArrive,
    /// A client is about to write to this graph.
    Touched(GraphName),
    /// A user asks for a pass.
    Run {
        /// Identifies the request in the answer; `None` = no answer is needed.
        run: Option<RunId>,
        /// One graph, or all.
        graph: Option<GraphName>,
        /// Only this rule.
        rule: Option<RuleName>,
    },
    /// A user makes a request about a graph's quarantine.
    Quarantine {
        /// Identifies the request in the answer.
        run: RunId,
        /// What it is about.
        about: About,
        /// The request.
        request: QuarantineRequest,
    },
    /// A user waits for the vectors of some texts.
    Query {
        /// Identifies the request in the answer.
        run: RunId,
        /// Who is to embed them.
        embedder: EmbedderName,
        /// The length of vectors to ask for; `None` = what the embedder is set to.
        length: Option<usize>,
        /// The texts to embed.
        texts: Vec<Text>,
    },
    /// The user has given up waiting; the pass goes on.
    GaveUp(RunId),
    /// The answer to [`Action::Survey`].
    Surveyed(Result<Survey, StoreFault>),
    /// The answer to [`Action::Read`].
    Read {
        /// Which read.
        ticket: Ticket,
        /// The answer, or why there is none.
        outcome: Result<Answer, StoreFault>,
    },
    /// The end of an [`Action::Embed`].
    Embedded(Completion),
    /// The end of an [`Action::Write`].
    Written {
        /// The write.
        write: Write,
        /// Its result.
        outcome: Result<Written, StoreFault>,
    },
    /// Time has passed.
    Tick,
}

/// Something to do. Each is answered by the event named here, sooner or later.
#[derive(Debug)]
pub(crate) enum Action {
    /// Look at the server and its graphs: [`Event::Surveyed`].
    Survey,
    /// Query the engine on its own threads: [`Event::Read`].
    Read(Read),
    /// Fetch vectors: [`Event::Embedded`].
    Embed(Embed),
    /// Write in one hold of the server: [`Event::Written`].
    Write(Write),
    /// Report the result of a user's request. Not answered.
    Answer {
        /// Which request.
        run: RunId,
        /// The result, or why there is none.
        outcome: Result<Outcome, RunFault>,
    },
    /// A pass has ended. Not answered.
    Report(Report),
}

/// A graph, and what is filled in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// The graph.
    pub graph: GraphName,
    /// Only by this rule; `None` = by all that apply to the graph.
    pub rule: Option<RuleName>,
}

/// A user's request about a graph's quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QuarantineRequest {
    /// List the quarantined nodes, each with its reason.
    List {
        /// Maximum number of nodes.
        most: usize,
    },
    /// Release nodes, so that they are tried again.
    Release {
        /// These nodes; `None` = all.
        ids: Option<Vec<EntityId>>,
    },
}

/// The result of a user's request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// The figures of the requested passes.
    Pass(Tally),
    /// For [`QuarantineRequest::List`].
    Failures(Vec<Failure>),
    /// For a query: one vector per text, in the order of the texts.
    Vectors(Vec<Arc<[f32]>>),
    /// For [`QuarantineRequest::Release`]: how many nodes are tried again.
    Released(u64),
}

/// A quarantined node or relationship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its id.
    pub id: EntityId,
    /// The rule whose target it lacks.
    pub rule: RuleName,
    /// Why it is quarantined.
    pub words: String,
}

/// The report on a finished pass, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The graph, and the rule that was followed.
    pub binding: Binding,
    /// The outcome of its entities.
    pub tally: Tally,
    /// Labels that got an index in this pass, with its dimension.
    pub indexed: BTreeMap<String, usize>,
}
