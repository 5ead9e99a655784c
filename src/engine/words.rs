//! The engine's error messages, sorted by what they mean.

use crate::fill::port::fault::StoreFault;
use crate::text::one_line;

/// Longest part of an engine's error message that is passed on, in characters.
const MAX_ERROR_CHARS: usize = 300;

/// The fault that an error reply of the engine or the server stands for.
pub(crate) fn fault(error: &[u8]) -> StoreFault {
    const WORDS: [(&str, StoreFault); 12] = [
        ("unknown command", StoreFault::NoEngine),
        ("empty key", StoreFault::NoGraph),
        ("WRONGTYPE", StoreFault::NoGraph),
        ("non local key", StoreFault::NoGraph),
        ("LOADING", StoreFault::Loading),
        ("READONLY", StoreFault::Replica),
        ("OOM", StoreFault::OutOfMemory),
        ("Max pending queries", StoreFault::QueueFull),
        ("Query timed out", StoreFault::Timeout),
        ("out of memory", StoreFault::OutOfMemory),
        ("Query's mem consumption exceeded", StoreFault::OutOfMemory),
        ("MASTERDOWN", StoreFault::Replica),
    ];
    /// No client may write now: too few replicas, a failing disk, a cluster that is down.
    const DENIED: [&str; 3] = ["NOREPLICAS", "MISCONF", "cluster is down"];
    let text = one_line(&String::from_utf8_lossy(error), MAX_ERROR_CHARS);
    if DENIED.iter().any(|words| text.contains(words)) {
        return StoreFault::Denied(text);
    }
    let known = WORDS.iter().find(|(words, _)| text.contains(words));
    known.map_or_else(|| StoreFault::Other(text.clone()), |(_, fault)| fault.clone())
}

/// What a client asked about, for error messages to name.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The graph.
    pub graph: String,
    /// The embedding model.
    pub model: String,
    /// Length of the query vector.
    pub dimensions: usize,
    /// The index that is searched, as `(:Label).property`; empty for the client's own query.
    pub index: String,
}

impl Asked {
    /// The error reply for a client's query: the engine's message, with a code word if one applies.
    pub(crate) fn error(&self, words: &str) -> String {
        let Self { graph, model, dimensions, .. } = self;
        if words.contains("empty key") {
            format!("NOGRAPH there is no graph '{graph}'")
        } else if words.contains("unknown command") {
            "NOENGINE FalkorDB is not loaded: load falkordb.so".into()
        } else if words.contains("Query timed out") {
            format!("TIMEOUT {words}")
        } else if words.contains("dimension mismatch") {
            format!("ERR the model '{model}' gives vectors of {dimensions} dimensions: {words}")
        } else {
            words.to_owned()
        }
    }

    /// Whether the engine's words mean that what was to be searched has no index.
    pub(crate) fn is_no_index(words: &str) -> bool {
        words.contains("Invalid arguments for procedure")
    }

    /// The same for a search: for a missing index the engine reports only an invalid argument.
    pub(crate) fn search_error(&self, words: &str) -> String {
        if Self::is_no_index(words) {
            return format!("ERR {}", self.no_index());
        }
        self.error(words)
    }

    /// The message when there is no index to search.
    pub(crate) fn no_index(&self) -> String {
        let hint = "is the label right, and has a pass ended? see VECTORFILL.STATUS";
        format!("there is no vector index on {}: {hint}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_english_is_sorted_by_what_it_means() {
        let cases = [
            ("ERR unknown command 'GRAPH.QUERY'", StoreFault::NoEngine),
            ("Invalid graph operation on empty key", StoreFault::NoGraph),
            ("Attempted to access a non local key in a cluster node", StoreFault::NoGraph),
            ("Max pending queries exceeded", StoreFault::QueueFull),
            ("Query timed out", StoreFault::Timeout),
        ];
        for (words, expected) in cases {
            assert_eq!(fault(words.as_bytes()), expected, "{words}");
        }
        let down = "Can not execute a command 'GRAPH.RO_QUERY' while the cluster is down";
        assert_eq!(fault(down.as_bytes()), StoreFault::Denied(down.into()));
    }
}
