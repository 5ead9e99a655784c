//! Client queries: a user's Cypher with its vector, and the search for a label's nearest nodes.
//!
//! A search must return the `k` nearest nodes, whatever state the index is in. Before 4.20 each
//! write to an indexed node leaves a dead entry that takes up one of the `k` places, and later
//! engines find only about 95 % of fifty neighbours when asked for fifty. So we ask the index for
//! more than we need, and for still more if too few come back; a small label is compared
//! exhaustively instead.

use crate::engine::cypher::{string, vector};
use crate::engine::query::rows;
use crate::engine::value::Value;
use crate::engine::words::Asked;
use crate::rule::name::Name;
use crate::rule::{Rule, Similarity};

/// A label with at most this many nodes is compared exhaustively: 0.5–2 µs per node on one engine
/// thread, measured with 384 and 1,536 dimensions.
const MAX_COMPARED: u64 = 10_000;
/// The index is first asked for `MORE * k` neighbours, at least `MIN_ASKED`; the engine's default
/// of looking at ten finds too few of fifty.
const MORE: usize = 4;
const MIN_ASKED: usize = 100;
/// The factor by which that grows each time too few come back, up to twice the label's size.
const WIDER: usize = 8;

/// A user's query with the vector as its first parameter, before any parameters of its own.
pub(crate) fn with_vector(query: &[u8], numbers: &[f32]) -> Vec<u8> {
    const WORD: &[u8] = b"CYPHER";
    let trimmed = query.trim_ascii_start();
    let own = trimmed.split_at_checked(WORD.len()).filter(|(word, rest)| {
        word.eq_ignore_ascii_case(WORD) && rest.first().is_some_and(u8::is_ascii_whitespace)
    });
    let mut out = b"CYPHER vector=".to_vec();
    vector(&mut out, numbers);
    out.push(b' ');
    out.extend(own.map_or(query, |(_, rest)| rest));
    out
}

/// A search result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Its id.
    pub id: i64,
    /// Its distance from the query vector.
    pub score: f64,
    /// Its text, if it is a string.
    pub text: Option<Vec<u8>>,
}

/// A search in progress.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Search {
    /// The label, as the client names it.
    pub label: Vec<u8>,
    /// How many nodes to return.
    pub k: usize,
    /// The query vector.
    pub vector: Vec<f32>,
    target: Name,
    source: Name,
    step: Step,
}

/// What to ask the engine next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Whether there is an index, its similarity, and how many nodes have the label.
    Look { asked: usize },
    /// This many neighbours from the index.
    Index { asked: usize, looked: Option<Looked> },
    /// All nodes of the label.
    Compare(Similarity),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    similarity: Similarity,
    /// Nodes with the label; 0 = they cannot be compared.
    nodes: u64,
}

/// What follows from a reply.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// The search is over.
    Found(Vec<Found>),
    /// The engine must be asked again.
    Ask(Search),
    /// There is no index on the label.
    NoIndex,
}

impl Search {
    /// A search by this rule. `index_forgets`: the engine's index holds no dead entries.
    pub(crate) fn new(
        rule: &Rule,
        label: &[u8],
        k: usize,
        vector: &[f32],
        index_forgets: bool,
    ) -> Self {
        let asked = first_asked(k);
        let step =
            if index_forgets { Step::Index { asked, looked: None } } else { Step::Look { asked } };
        let (label, vector) = (label.to_vec(), vector.to_vec());
        Self {
            label,
            k,
            vector,
            target: rule.target.clone(),
            source: rule.text.properties().first().cloned().unwrap_or_else(|| rule.target.clone()),
            step,
        }
    }

    /// The text of the query to run now.
    pub(crate) fn text(&self) -> Vec<u8> {
        let (source, target) = (self.source.quoted(), self.target.quoted());
        let (mut query, k) = (b"CYPHER label=".to_vec(), self.k);
        string(&mut query, &self.label);
        query.extend(b" p=");
        string(&mut query, self.target.as_str().as_bytes());
        let body = match self.step {
            Step::Look { .. } => {
                // The engine answers the count from its metadata.
                let label = self.quotable_label();
                format!(
                    " CALL db.indexes() YIELD label, types, options, entitytype \
                     WHERE entitytype = 'NODE' AND label = $label AND 'VECTOR' IN types[$p] \
                     OPTIONAL MATCH (n:`{label}`) RETURN options[$p].similarityFunction, count(n)"
                )
            }
            Step::Index { asked, .. } => format!(
                " asked={asked} k={k} CALL db.idx.vector.queryNodes($label, $p, $asked, \
                 vecf32($vector)) YIELD node, score WITH node, min(score) AS score \
                 ORDER BY score LIMIT $k RETURN ID(node), score, node.{source}"
            ),
            Step::Compare(similarity) => {
                let label = self.quotable_label();
                let distance = similarity.as_str();
                format!(
                    " k={k} MATCH (n:`{label}`) WHERE typeOf(n.{target}) = 'Vectorf32' \
                     WITH n, vec.{distance}Distance(n.{target}, vecf32($vector)) AS score \
                     ORDER BY score LIMIT $k RETURN ID(n), score, n.{source}"
                )
            }
        };
        query.extend(body.bytes());
        with_vector(&query, &self.vector)
    }

    /// The label, to stand between backticks. One that cannot be quoted has no index.
    fn quotable_label(&self) -> String {
        String::from_utf8_lossy(&self.label).replace(['`', '\0'], "")
    }

    /// Takes in a reply, and returns what to do next.
    pub(crate) fn learn(mut self, reply: &Value<'_>) -> Next {
        match self.step {
            Step::Look { asked } => {
                let Some(looked) = looked(reply) else { return Next::NoIndex };
                self.step = if looked.nodes <= MAX_COMPARED {
                    Step::Compare(looked.similarity)
                } else {
                    Step::Index { asked, looked: Some(looked) }
                };
                Next::Ask(self)
            }
            Step::Index { asked, looked } => {
                let found = found(reply);
                if found.len() >= self.k || looked.is_some_and(|looked| looked.nodes == 0) {
                    return Next::Found(found);
                }
                self.step = match looked {
                    None => Step::Look { asked: wider(asked) },
                    Some(looked) if asked as u64 >= looked.nodes.saturating_mul(2) => {
                        Step::Compare(looked.similarity)
                    }
                    Some(_) => Step::Index { asked: wider(asked), looked },
                };
                Next::Ask(self)
            }
            Step::Compare(_) => Next::Found(found(reply)),
        }
    }

    /// Takes in an engine error: the search goes on another way, or ends with an error reply.
    pub(crate) fn fail(mut self, asked: &Asked, words: &str) -> Result<Self, String> {
        let Step::Compare(similarity) = self.step else {
            return Err(asked.search_error(words));
        };
        if !words.contains("dimension") {
            return Err(asked.error(words));
        }
        // A single vector of another length fails the whole comparison; the index skips it.
        let looked = Some(Looked { similarity, nodes: 0 });
        self.step = Step::Index { asked: first_asked(self.k), looked };
        Ok(self)
    }
}

fn first_asked(k: usize) -> usize {
    k.saturating_mul(MORE).max(MIN_ASKED)
}

fn wider(asked: usize) -> usize {
    asked.saturating_mul(WIDER)
}

fn looked(reply: &Value<'_>) -> Option<Looked> {
    let [similarity, nodes] = rows(reply).first()?.items() else { return None };
    let similarity = Similarity::parse(similarity.text()?)?;
    Some(Looked { similarity, nodes: nodes.unsigned()? })
}

fn found(reply: &Value<'_>) -> Vec<Found> {
    let found = rows(reply).iter().filter_map(|row| {
        let [id, score, text] = row.items() else { return None };
        let text = text.bytes().map(<[u8]>::to_vec);
        Some(Found { id: id.integer()?, score: score.text()?.parse().ok()?, text })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{reply, rule, text};

    #[test]
    fn a_vector_comes_before_the_parameters_a_query_has() {
        let with =
            |query: &str| String::from_utf8(with_vector(query.as_bytes(), &[0.5, -1.0])).unwrap();
        assert_eq!(with("RETURN 1"), "CYPHER vector=[0.5,-1.0] RETURN 1");
        assert_eq!(with(" cypher a=1 RETURN $a"), "CYPHER vector=[0.5,-1.0]  a=1 RETURN $a");
        assert_eq!(with("CYPHERS"), "CYPHER vector=[0.5,-1.0] CYPHERS");
        assert_eq!(with(""), "CYPHER vector=[0.5,-1.0] ");
    }

    fn search(index_forgets: bool) -> Search {
        Search::new(&rule(), b"Doc", 3, &[0.5], index_forgets)
    }

    fn learn(search: Search, rows: &[&[&str]]) -> Next {
        search.learn(&Value::parse(&reply(rows)).unwrap())
    }

    fn step(next: Next) -> Step {
        let Next::Ask(search) = next else { panic!("{next:?}") };
        search.step
    }

    #[test]
    fn a_small_label_is_compared_whole_where_the_index_keeps_the_dead() {
        let look = |nodes: &str| learn(search(false), &[&[&text("cosine"), nodes]]);
        assert_eq!(step(look(":900\r\n")), Step::Compare(Similarity::Cosine));
        assert!(matches!(step(look(":90000\r\n")), Step::Index { asked: 100, .. }));
        assert_eq!(learn(search(false), &[]), Next::NoIndex);
    }

    #[test]
    fn an_index_that_gives_too_few_is_asked_for_more_and_then_the_label_is_compared() {
        let one = [":7\r\n", &*text("0.5"), &*text("x")];
        let Next::Ask(mut search) = learn(search(true), &[&one]) else { panic!() };
        assert_eq!(search.step, Step::Look { asked: 800 });
        let Next::Ask(next) = learn(search, &[&[&text("euclidean"), ":200000\r\n"]]) else {
            panic!()
        };
        search = next;
        for asked in [800, 6_400, 51_200, 409_600] {
            assert!(
                matches!(search.step, Step::Index { asked: a, .. } if a == asked),
                "{search:?}"
            );
            let Next::Ask(next) = learn(search, &[&one]) else { panic!() };
            search = next;
        }
        assert_eq!(search.step, Step::Compare(Similarity::Euclidean));
        let Next::Found(found) = learn(search, &[&one]) else { panic!() };
        assert_eq!(found, [Found { id: 7, score: 0.5, text: Some(b"x".to_vec()) }]);
    }

    #[test]
    fn a_vector_of_another_length_leaves_the_comparison_to_the_index() {
        let asked =
            Asked { graph: "g".into(), model: "m".into(), dimensions: 1, index: String::new() };
        let compare = Search { step: Step::Compare(Similarity::Cosine), ..search(true) };
        let next = compare.clone().fail(&asked, "Vector dimension mismatch, expected 2 but got 1");
        assert!(matches!(next.unwrap().step, Step::Index { .. }));
        assert_eq!(compare.fail(&asked, "Query timed out"), Err("TIMEOUT Query timed out".into()));
    }
}
