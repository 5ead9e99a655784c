//! What is asked of an embedder, and what it answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::entity::Text;
use crate::fill::port::fault::ServiceFault;
use crate::fill::port::id::RequestId;

/// What a text is embedded for. Some models want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputType {
    /// To be found: the text of a node.
    Document,
    /// To find others.
    Query,
}

/// A request to an embedder: answered by a [`Completion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embed {
    /// Names the request in the answer.
    pub id: RequestId,
    /// What the texts are.
    pub input: InputType,
    /// What to embed.
    pub texts: Vec<Text>,
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
    pub request: RequestId,
    /// Vectors, or what went wrong.
    pub outcome: Result<Reply, ServiceFault>,
    /// What the service says about its limits.
    pub limits: RateLimits,
    /// From submission to completion.
    pub took: Duration,
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
