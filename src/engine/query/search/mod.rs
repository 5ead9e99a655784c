//! Client queries: a user's Cypher with its vector, and the search for the nearest nodes of a label
//! or relationships of a type.
//!
//! A search must return the `k` nearest, whatever state the index is in. Before 4.20 each write to
//! an indexed node leaves a dead entry that takes up one of the `k` places, and later engines find
//! only about 95 % of fifty neighbours when asked for fifty. So we ask the index for more than we
//! need, and for still more if too few come back; a small label is compared exhaustively instead.
//! Several labels are searched one after the other.

mod replies;
mod text;

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::Text;
use crate::engine::cypher::vector;
use crate::engine::query::search::replies::{found, looked};
use crate::engine::query::sweep::is_typed;
use crate::engine::value::Value;
use crate::engine::words::Asked;
use crate::entity::Ends;
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
    /// Its text, if it has one.
    pub text: Option<Vec<u8>>,
    /// The nodes at its ends, if it is a relationship.
    pub ends: Option<Ends>,
}

/// A search in progress.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Search {
    rule: Arc<Rule>,
    /// The label or type that is being searched, as the client names it.
    label: String,
    /// Those that follow.
    labels: Vec<String>,
    /// How many entities to return.
    k: usize,
    /// The query vector.
    vector: Vec<f32>,
    index_forgets: bool,
    step: Step,
    /// What was found so far; `None` = there was no index.
    found: Option<Vec<Found>>,
}

/// What to ask the engine next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Whether there is an index, its similarity, and how many entities have the label.
    Look { asked: usize },
    /// This many neighbours from the index.
    Index { asked: usize, looked: Option<Looked> },
    /// All entities of the label.
    Compare(Similarity),
}

impl Step {
    fn first(k: usize, index_forgets: bool) -> Self {
        let asked = first_asked(k);
        if index_forgets { Self::Index { asked, looked: None } } else { Self::Look { asked } }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    similarity: Similarity,
    /// Entities with the label; 0 = they cannot be compared.
    nodes: u64,
}

/// What follows from a reply.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// The search is over.
    Found(Vec<Found>),
    /// The engine must be asked again.
    Ask(Search),
    /// There is no index on any of the labels.
    NoIndex,
}

impl Search {
    /// A search by this rule, of these labels or types; `None` = there are none. `index_forgets`:
    /// the engine's index holds no dead entries.
    pub(crate) fn new(
        rule: &Arc<Rule>,
        mut labels: Vec<String>,
        k: usize,
        vector: &[f32],
        index_forgets: bool,
    ) -> Option<Self> {
        labels.reverse();
        let label = labels.pop()?;
        let (rule, vector, step) =
            (Arc::clone(rule), vector.to_vec(), Step::first(k, index_forgets));
        Some(Self { rule, label, labels, k, vector, index_forgets, step, found: None })
    }

    /// The query to run now.
    pub(crate) fn text(&self) -> Text {
        let compact = is_typed(&self.rule) && !matches!(self.step, Step::Look { .. });
        Text { cypher: self.cypher(), compact }
    }

    /// Takes in a reply, and returns what to do next.
    pub(crate) fn learn(mut self, reply: &Value<'_>) -> Next {
        match self.step {
            Step::Look { asked } => {
                let Some(looked) = looked(reply) else { return self.next_label(None) };
                self.step = if looked.nodes <= MAX_COMPARED {
                    Step::Compare(looked.similarity)
                } else {
                    Step::Index { asked, looked: Some(looked) }
                };
                Next::Ask(self)
            }
            Step::Index { asked, looked } => {
                let found = found(&self.rule, reply);
                if found.len() >= self.k || looked.is_some_and(|looked| looked.nodes == 0) {
                    return self.next_label(Some(found));
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
            Step::Compare(_) => {
                let found = found(&self.rule, reply);
                self.next_label(Some(found))
            }
        }
    }

    /// A label has been searched: `None` = it has no index.
    fn next_label(mut self, found: Option<Vec<Found>>) -> Next {
        self.found = match (self.found.take(), found) {
            (Some(known), Some(found)) => Some(merged(known, found, self.k)),
            (known, found) => known.or(found),
        };
        let Some(label) = self.labels.pop() else {
            return self.found.map_or(Next::NoIndex, Next::Found);
        };
        self.label = label;
        self.step = Step::first(self.k, self.index_forgets);
        Next::Ask(self)
    }

    /// Takes in an engine error: the search goes on another way, or ends with an error reply.
    pub(crate) fn fail(mut self, asked: &Asked, words: &str) -> Result<Next, String> {
        let Step::Compare(similarity) = self.step else {
            let alone = self.labels.is_empty() && self.found.is_none();
            if Asked::is_no_index(words) && !alone {
                return Ok(self.next_label(None));
            }
            return Err(asked.search_error(words));
        };
        if !words.contains("dimension") {
            return Err(asked.error(words));
        }
        // A single vector of another length fails the whole comparison; the index skips it.
        let looked = Some(Looked { similarity, nodes: 0 });
        self.step = Step::Index { asked: first_asked(self.k), looked };
        Ok(Next::Ask(self))
    }
}

/// The nearest of both; a node may have both labels.
fn merged(known: Vec<Found>, found: Vec<Found>, k: usize) -> Vec<Found> {
    let mut all = known;
    all.extend(found);
    all.sort_by(|a, b| a.score.total_cmp(&b.score));
    let mut seen = HashSet::new();
    all.retain(|found| seen.insert(found.id));
    all.truncate(k);
    all
}

fn first_asked(k: usize) -> usize {
    k.saturating_mul(MORE).max(MIN_ASKED)
}

fn wider(asked: usize) -> usize {
    asked.saturating_mul(WIDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, relationships, reply, rule, text};

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
        of(rule(), &["Doc"], index_forgets)
    }

    fn of(rule: Rule, labels: &[&str], index_forgets: bool) -> Search {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Search::new(&Arc::new(rule), labels, 3, &[0.5], index_forgets).unwrap()
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
        let text = Some(b"x".to_vec());
        assert_eq!(found, [Found { id: 7, score: 0.5, text, ends: None }]);
    }

    #[test]
    fn a_vector_of_another_length_leaves_the_comparison_to_the_index() {
        let asked =
            Asked { graph: "g".into(), model: "m".into(), dimensions: 1, index: String::new() };
        let compare = Search { step: Step::Compare(Similarity::Cosine), ..search(true) };
        let next = compare.clone().fail(&asked, "Vector dimension mismatch, expected 2 but got 1");
        assert!(matches!(step(next.unwrap()), Step::Index { .. }));
        assert_eq!(compare.fail(&asked, "Query timed out"), Err("TIMEOUT Query timed out".into()));
    }

    #[test]
    fn several_labels_are_searched_in_turn_and_the_nearest_of_all_are_returned() {
        let row = |id: &str, score: &str| vec![format!(":{id}\r\n"), text(score), text("x")];
        let reply_of = |rows: &[Vec<String>]| {
            let rows: Vec<Vec<&str>> =
                rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
            reply(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let go = |search: Search, rows: &[Vec<String>]| {
            search.learn(&Value::parse(&reply_of(rows)).unwrap())
        };
        let search = of(nodes(&["A", "B", "C"], "text"), &["A", "B", "C"], true);
        let first = [row("1", "0.1"), row("2", "0.4"), row("3", "0.5")];
        let Next::Ask(search) = go(search, &first) else { panic!() };
        assert_eq!(search.label, "B");
        let asked =
            Asked { graph: "g".into(), model: "m".into(), dimensions: 1, index: String::new() };
        let words = "Invalid arguments for procedure 'db.idx.vector.queryNodes'";
        let Ok(Next::Ask(search)) = search.fail(&asked, words) else { panic!() };
        assert_eq!(search.label, "C");
        let last = [row("2", "0.4"), row("9", "0.2"), row("8", "0.9")];
        let Next::Found(found) = go(search, &last) else { panic!() };
        assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [1, 9, 2]);
    }

    #[test]
    fn a_search_without_any_index_says_so() {
        let search = of(nodes(&["A", "B"], "text"), &["A", "B"], false);
        let Next::Ask(search) = learn(search, &[]) else { panic!() };
        assert_eq!(learn(search, &[]), Next::NoIndex);
    }

    #[test]
    fn relationships_are_found_with_their_ends() {
        let search = of(relationships(&["T"], "fact"), &["T"], true);
        let query = String::from_utf8(search.text().cypher).unwrap();
        assert!(query.contains("db.idx.vector.queryRelationships($label"), "{query}");
        let cells = [":7\r\n", &*text("0.5"), &*text("x"), ":3\r\n", ":4\r\n"];
        let Next::Found(found) = learn(search, &[&cells, &cells, &cells]) else { panic!() };
        assert_eq!(found[0].ends, Some(Ends { source: 3, target: 4 }));
    }
}
