//! Rules: which nodes and relationships are filled, from which text. Everything in a rule is
//! validated, and ready to be written into Cypher.

pub(crate) mod condition;
pub(crate) mod definition;
pub(crate) mod estimate;
pub(crate) mod globs;
pub(crate) mod name;
pub(crate) mod set;
pub(crate) mod template;

use std::num::NonZeroUsize;

use crate::entity::GraphName;
use crate::error::Error;
use crate::rule::condition::Condition;
use crate::rule::globs::Globs;
use crate::rule::name::{EmbedderName, Name, RuleName};
use crate::rule::template::Template;

/// How vectors are compared, as the engine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Similarity {
    /// By angle.
    Cosine,
    /// By distance.
    Euclidean,
}

impl Similarity {
    /// Parses the engine's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Cosine, Self::Euclidean].into_iter().find(|known| known.as_str() == word)
    }

    /// The engine's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
        }
    }
}

/// What a rule fills: nodes or relationships, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Nodes with one of these labels; none given = any node.
    Nodes(Vec<Name>),
    /// Relationships of one of these types; none given = any relationship.
    Relationships(Vec<Name>),
}

impl Pattern {
    /// The labels or types it names; empty = any.
    pub(crate) fn names(&self) -> &[Name] {
        match self {
            Self::Nodes(names) | Self::Relationships(names) => names,
        }
    }

    /// Whether it fills relationships.
    pub(crate) fn is_relationships(&self) -> bool {
        matches!(self, Self::Relationships(_))
    }

    /// Whether an entity with this label or type is meant.
    pub(crate) fn means(&self, name: &str) -> bool {
        self.names().is_empty() || self.names().iter().any(|known| known.as_str() == name)
    }

    /// Whether some entity may be meant by both. A node may have any two labels.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.names(), other.names());
        let shared = ours.iter().any(|name| theirs.contains(name));
        let any = ours.is_empty() || theirs.is_empty();
        self.is_relationships() == other.is_relationships() && (any || shared)
    }
}

/// In which order the entities of a graph are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    /// Recently created ones first.
    #[default]
    Newest,
    /// By ascending id.
    Oldest,
}

/// What is filled, from which text, into which property, by whom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// Unique in a graph.
    pub name: RuleName,
    /// Graphs the rule applies to.
    pub graphs: Globs,
    /// The nodes or relationships that are filled.
    pub pattern: Pattern,
    /// How their text is made.
    pub text: Template,
    /// The property that receives the vector.
    pub target: Name,
    /// The property that marks a quarantined entity; it holds the reason.
    pub error_property: Name,
    /// Who computes the vectors.
    pub embedder: EmbedderName,
    /// Length of the vectors; `None` = the index's, else the model's own.
    pub dimensions: Option<NonZeroUsize>,
    /// The kind of index to create where one is missing; `None` = create none.
    pub index: Option<Similarity>,
    /// Whether an entity whose text changed gets a new vector.
    pub refresh: bool,
    /// Only entities for which this holds.
    pub condition: Option<Condition>,
    /// Which entities come first.
    pub order: Order,
    /// Rules with a higher one come first where they share an embedder.
    pub priority: i32,
    /// Characters of a text that are embedded; the rest is cut off.
    pub max_text_chars: usize,
}

impl Rule {
    /// Rejects a rule whose properties would overwrite each other.
    pub(crate) fn check(self) -> Result<Self, Error> {
        let clash = "source, target and error-property must be three different properties";
        let sources = self.text.properties();
        if sources.contains(&self.target) {
            return Err(Error::setting("target", self.target.as_str(), clash));
        }
        if sources.contains(&self.error_property) || self.error_property == self.target {
            return Err(Error::setting("error-property", self.error_property.as_str(), clash));
        }
        Ok(self)
    }

    /// Whether both would write the same property of the same entity of a graph.
    pub(crate) fn clashes_with(&self, other: &Self) -> bool {
        self.target == other.target && self.pattern.overlaps(&other.pattern)
    }
}

/// A rule at work on a graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Binding {
    /// The graph.
    pub graph: GraphName,
    /// The name of the rule.
    pub rule: RuleName,
}

impl Binding {
    /// Before all bindings of a graph.
    pub(crate) fn first(graph: &GraphName) -> Self {
        Self { graph: graph.clone(), rule: RuleName::first() }
    }

    /// After all bindings: no name of a key is as large.
    pub(crate) fn last() -> Self {
        Self::first(&GraphName::new("\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}"))
    }

    /// A binding of this rule to this graph.
    pub(crate) fn new(graph: &GraphName, rule: &RuleName) -> Self {
        Self { graph: graph.clone(), rule: rule.clone() }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A rule for tests.

    use super::{EmbedderName, Globs, Name, Order, Pattern, Rule, RuleName, Similarity, Template};

    /// `(:Doc).text` into `embedding`, in all graphs.
    pub(crate) fn rule() -> Rule {
        let name = |value| Name::parse("test", value).unwrap();
        Rule {
            name: RuleName::default_rule(),
            graphs: Globs::parse("graphs", "*").unwrap(),
            pattern: Pattern::Nodes(vec![name("Doc")]),
            text: Template::property(name("text")),
            target: name("embedding"),
            error_property: name("embedding_error"),
            embedder: EmbedderName::default_embedder(),
            dimensions: None,
            index: Some(Similarity::Cosine),
            refresh: false,
            condition: None,
            order: Order::Newest,
            priority: 0,
            max_text_chars: 24_000,
        }
    }
}
