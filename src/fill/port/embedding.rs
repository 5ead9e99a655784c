//! Requests to an embedder, and its answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::entity::Text;
use crate::fill::port::fault::{Malformed, ServiceFault};
use crate::fill::port::id::RequestId;
use crate::rule::name::EmbedderName;

/// What a text is embedded for. Some models need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputType {
    /// To be found: the text of a node.
    Document,
    /// To find others: the text of a query.
    Query,
}

/// A request to an embedder, answered by a [`Completion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embed {
    /// Who is to embed.
    pub embedder: EmbedderName,
    /// Identifies the request in the answer.
    pub id: RequestId,
    /// What the texts are.
    pub input: InputType,
    /// The texts to embed.
    pub texts: Vec<Text>,
    /// The length of vectors to ask for; `None` = what the embedder is set to.
    pub asked: Option<usize>,
    /// Length of the vectors, if known: a longer answer is not read.
    pub dimensions: Option<usize>,
}

/// An embedder's answer: vectors, each with the index of the text it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// `(index, vector)` in any order.
    pub vectors: Vec<(usize, Vec<f32>)>,
    /// Tokens as counted by the service.
    pub tokens: Option<u64>,
}

impl Reply {
    /// The length of its vectors. No model returns vectors of two lengths: such an answer says
    /// nothing about the settings.
    pub(crate) fn dimensions(&self) -> Result<usize, ServiceFault> {
        let length = self.vectors.first().map_or(0, |(_, vector)| vector.len());
        match self.vectors.iter().find(|(_, vector)| vector.len() != length) {
            Some((_, other)) => {
                Err(ServiceFault::Malformed(Malformed::MixedDimensions(length, other.len())))
            }
            None => Ok(length),
        }
    }
}

/// What a service reports that it still allows, in requests or in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// What it allows in total.
    pub limit: u64,
    /// What is left.
    pub remaining: u64,
    /// Time until the full limit is available again.
    pub reset: Duration,
}

/// What a service reports about its limits, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RateLimits {
    /// For requests.
    pub requests: Option<Allowance>,
    /// For tokens.
    pub tokens: Option<Allowance>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Completion {
    /// Who answers.
    pub embedder: EmbedderName,
    /// Which of its requests.
    pub request: RequestId,
    /// Vectors, or what went wrong.
    pub outcome: Result<Reply, ServiceFault>,
    /// What the service reports about its limits.
    pub limits: RateLimits,
    /// From submission to completion.
    pub took: Duration,
}

/// The vector of one text, or what is wrong with it.
pub(crate) type Embedding = Result<Arc<[f32]>, &'static str>;

/// Vectors in the order of the texts, each index exactly once. An unusable vector is a fault of its
/// text alone, as long as others are usable.
pub(crate) fn by_index(
    reply: Reply,
    expected: usize,
    dimensions: Option<usize>,
) -> Result<Vec<Embedding>, ServiceFault> {
    let received = reply.vectors.len();
    let length = reply.dimensions()?;
    if let Some(expected) = dimensions.filter(|known| *known != length && received > 0) {
        return Err(ServiceFault::Dimension { expected, received: length });
    }
    let mut found: HashMap<usize, Vec<f32>> = reply.vectors.into_iter().collect();
    let ordered: Vec<Vec<f32>> = (0..expected).filter_map(|at| found.remove(&at)).collect();
    let indexes = ordered.len();
    if indexes != expected || received != expected {
        return Err(ServiceFault::Malformed(Malformed::Count { expected, received, indexes }));
    }
    let vectors: Vec<Embedding> = ordered.into_iter().map(usable).collect();
    match vectors.iter().find_map(|vector| vector.as_ref().err()) {
        Some(what) if vectors.iter().all(Result::is_err) => {
            Err(ServiceFault::Malformed(Malformed::Vector(what)))
        }
        _ => Ok(vectors),
    }
}

/// A vector that can be compared with others.
fn usable(vector: Vec<f32>) -> Embedding {
    if vector.is_empty() {
        return Err("an empty vector");
    }
    if vector.iter().any(|number| !number.is_finite()) {
        return Err("a vector that holds NaN or an infinite number");
    }
    // The numbers are so small that their squares vanish: there is no cosine.
    let squares: f32 = vector.iter().map(|number| number * number).sum();
    if squares < f32::MIN_POSITIVE {
        return Err("a vector of nothing but zeros, which has no direction");
    }
    if squares.is_infinite() {
        return Err("a vector too long to be compared");
    }
    Ok(vector.into())
}
