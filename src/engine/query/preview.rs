//! What a rule would do on a graph, without doing it: how much is pending, what the texts look like,
//! which indexes are missing. Nothing is written, and nothing leaves the server.

use std::sync::Arc;

use crate::engine::Text;
use crate::engine::query::{index, sweep};
use crate::engine::value::Value;
use crate::fill::port::store::{Index, Source};
use crate::rule::estimate::Sample;
use crate::rule::template::Composed;
use crate::rule::{Rule, Similarity};

/// Pending entities that are looked at first, to see how long their texts are.
const FIRST_ROWS: usize = 50;
/// The most that are looked at.
const MAX_ROWS: usize = 500;
/// What the texts of one reply may add up to, as the first ones suggest: the reply is built on the
/// server's main thread.
const MAX_BYTES: usize = 4 << 20;
/// Composed texts that are kept to be shown.
const SHOWN: usize = 3;

/// A preview in progress.
#[derive(Debug)]
pub(crate) struct Preview {
    rule: Arc<Rule>,
    /// Whether the indexes are of interest.
    indexes: bool,
    step: Step,
    seen: Seen,
}

/// What to ask the engine next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Count,
    Sample { most: usize },
    Indexes,
}

/// What was seen of a graph.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Pending entities.
    pub pending: u64,
    /// The first of them.
    pub sample: Sample,
    /// The first texts, as they are made from the properties.
    pub texts: Vec<Vec<u8>>,
    /// The labels or types among the first.
    labels: Vec<String>,
    indexes: Vec<Index>,
}

/// An index that would be created.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The label or type it would cover.
    pub label: String,
    /// Length of its vectors; `None` = not known before the first one.
    pub dimensions: Option<usize>,
    /// How it would compare them.
    pub similarity: Similarity,
}

/// What follows from a reply.
#[derive(Debug)]
pub(crate) enum Next {
    /// The engine must be asked again.
    Ask(Preview),
    /// The preview is over.
    Seen(Seen),
}

impl Preview {
    /// A preview of a rule, with its `indexes` or without.
    pub(crate) fn new(rule: &Arc<Rule>, indexes: bool) -> Self {
        Self { rule: Arc::clone(rule), indexes, step: Step::Count, seen: Seen::default() }
    }

    /// The query to run now.
    pub(crate) fn text(&self) -> Text {
        let rule = &self.rule;
        match self.step {
            Step::Count => Text { cypher: sweep::count_pending(rule), compact: false },
            Step::Sample { most } => {
                Text { cypher: sweep::first_pending(rule, most), compact: sweep::is_typed(rule) }
            }
            Step::Indexes => Text { cypher: index::list(rule), compact: false },
        }
    }

    /// Takes in a reply, and returns what to do next.
    pub(crate) fn learn(mut self, reply: &Value<'_>) -> Next {
        match self.step {
            Step::Count => {
                self.seen.pending = sweep::counted_pending(reply);
                self.step = Step::Sample { most: FIRST_ROWS };
                Next::Ask(self)
            }
            Step::Sample { most } => {
                let bytes = self.take_in(sweep::listed_pending(&self.rule, reply));
                let rows = usize::try_from(self.seen.sample.entities).unwrap_or(MAX_ROWS);
                let fitting = MAX_BYTES / (bytes / rows.max(1)).max(1);
                let more = fitting.min(MAX_ROWS);
                if most == FIRST_ROWS && rows == most && more > rows {
                    self.step = Step::Sample { most: more };
                    return Next::Ask(self);
                }
                if !self.indexes || self.rule.index.is_none() {
                    return Next::Seen(self.seen);
                }
                self.step = Step::Indexes;
                Next::Ask(self)
            }
            Step::Indexes => {
                self.seen.indexes = index::listed(&self.rule, reply);
                Next::Seen(self.seen)
            }
        }
    }

    /// Looks at what was listed, in place of what was listed before; returns how long it is.
    fn take_in(&mut self, listed: Vec<(Source, Option<String>)>) -> usize {
        let Self { rule, seen, .. } = self;
        *seen = Seen { pending: seen.pending, ..Seen::default() };
        let mut bytes = 0;
        for (source, label) in listed {
            let composed = match source {
                Source::Text(text) => Composed::Text(text),
                Source::Properties(properties) => rule.text.compose(&properties),
            };
            seen.sample.add(&composed, rule.max_text_chars);
            seen.labels.extend(label.filter(|label| !seen.labels.contains(label)));
            if let Composed::Text(text) = composed {
                bytes += text.len();
                if seen.texts.len() < SHOWN {
                    seen.texts.push(text);
                }
            }
        }
        bytes
    }
}

impl Seen {
    /// The indexes that the rule would create, of the labels it names or else of those found. An
    /// embedder is asked for vectors of the length that the rule says, or else of those that are
    /// indexed already; `own` is the length it gives if it is not asked for any.
    pub(crate) fn missing(&self, rule: &Rule, own: Option<usize>) -> Vec<Missing> {
        let Some(similarity) = rule.index else { return Vec::new() };
        let named: Vec<String> =
            rule.pattern.names().iter().map(|name| name.as_str().to_owned()).collect();
        let labels = if named.is_empty() { self.labels.clone() } else { named };
        let meant: Vec<&Index> =
            self.indexes.iter().filter(|index| labels.contains(&index.label)).collect();
        let first = meant.first().map(|index| index.dimension);
        let indexed = first.filter(|first| meant.iter().all(|index| index.dimension == *first));
        let said = rule.dimensions.map(std::num::NonZeroUsize::get);
        let dimensions = said.or(indexed).or(own);
        let is_indexed = |label: &String| meant.iter().any(|index| index.label == *label);
        let missing = labels.iter().filter(|label| !is_indexed(label));
        missing.map(|label| Missing { label: label.clone(), dimensions, similarity }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, reply, text};

    fn learn(preview: Preview, rows: &[Vec<String>]) -> Next {
        let rows: Vec<Vec<&str>> =
            rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        preview.learn(&Value::parse(&reply(&rows)).unwrap())
    }

    fn asked(next: Next) -> Preview {
        let Next::Ask(preview) = next else { panic!("{next:?}") };
        preview
    }

    fn seen(next: Next) -> Seen {
        let Next::Seen(seen) = next else { panic!("{next:?}") };
        seen
    }

    fn listed(texts: usize, bytes: usize) -> Vec<Vec<String>> {
        vec![vec![text(&"x".repeat(bytes)), text("Doc")]; texts]
    }

    fn counted(labels: &[&str], pending: u64) -> Preview {
        let rule = Arc::new(nodes(labels, "text"));
        asked(learn(Preview::new(&rule, true), &[vec![format!(":{pending}\r\n")]]))
    }

    #[test]
    fn short_texts_are_looked_at_in_greater_number() {
        let preview = asked(learn(counted(&["Doc"], 900), &listed(50, 30)));
        assert!(preview.text().cypher.starts_with(b"CYPHER rows=500 "));
        let preview = asked(learn(preview, &listed(500, 30)));
        assert_eq!((preview.seen.pending, preview.seen.sample.entities), (900, 500));
        assert_eq!(preview.seen.texts.len(), 3);
        let few = asked(learn(counted(&["Doc"], 900), &listed(50, 50_000)));
        assert!(few.text().cypher.starts_with(b"CYPHER rows=83 "), "{:?}", few.text());
        let long = asked(learn(counted(&["Doc"], 900), &listed(50, 100_000)));
        assert!(long.text().cypher.windows(10).any(|part| part == b"db.indexes"));
    }

    #[test]
    fn only_missing_indexes_would_be_created() {
        let index =
            |label: &str| vec![text(label), ":8\r\n".into(), text("OPERATIONAL"), text("NODE")];
        let preview = asked(learn(counted(&["A", "B"], 2), &listed(2, 3)));
        let rule = Arc::clone(&preview.rule);
        let seen_one = seen(learn(preview, &[index("A"), index("Other")]));
        let missing = |label: &str, dimensions| {
            vec![Missing { label: label.into(), dimensions, similarity: Similarity::Cosine }]
        };
        assert_eq!(seen_one.missing(&rule, Some(3)), missing("B", Some(8)));
        let preview = asked(learn(counted(&[], 2), &listed(2, 3)));
        let any = Arc::clone(&preview.rule);
        let seen_any = seen(learn(preview, &[]));
        assert_eq!(seen_any.missing(&any, None), missing("Doc", None));
        let none = Rule { index: None, ..Rule::clone(&any) };
        assert_eq!(seen_any.missing(&none, Some(3)), []);
    }
}
