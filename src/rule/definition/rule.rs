//! Parses the definition of a rule.

use std::num::NonZeroUsize;

use crate::error::Error;
use crate::rule::condition::Condition;
use crate::rule::definition::cursor::{Cursor, yes_or_no};
use crate::rule::definition::word::{Given, Place, Word, at, refusal};
use crate::rule::globs::Globs;
use crate::rule::name::{EmbedderName, Name, RuleName};
use crate::rule::template::Template;
use crate::rule::{Order, Pattern, Rule, Similarity};

const KEYWORDS: &str = "GRAPHS, NODE, REL, TEXT, INTO, EMBEDDER, DIMENSIONS, INDEX, REFRESH, \
                        WHERE, ORDER, PRIORITY (each label follows a NODE of its own, and what \
                        holds a space is quoted)";
/// Stands for any label or type.
pub(super) const ANY: &str = "*";
/// The longest vectors that any model gives.
const MAX_DIMENSIONS: usize = 65_536;

/// What a rule applies to, and so whether GRAPHS may say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scope {
    /// The graphs of this server.
    #[default]
    Server,
    /// The one graph that it is kept beside.
    Graph,
}

/// A rule, and where it is defined.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RuleDefinition {
    /// The rule.
    pub rule: Rule,
    /// Where its name stands.
    pub place: Place,
    /// Where its embedder is named; its own place if it names none.
    pub embedder: Place,
}

/// Parses what follows the word RULE: a name and its keywords in any order. `max_text_chars` is not
/// part of a definition.
pub(crate) fn parse(
    name: &Word,
    words: &[Word],
    scope: Scope,
    max_text_chars: usize,
) -> Result<RuleDefinition, Error> {
    let rule_name =
        RuleName::parse("RULE", name.as_str()).map_err(|error| at(name.place(), error))?;
    let mut draft = Draft { scope, ..Draft::default() };
    let mut cursor = Cursor::new(words);
    while let Some(keyword) = cursor.next() {
        draft.read(keyword, &mut cursor)?;
    }
    draft.finish(name, rule_name, max_text_chars)
}

#[derive(Default)]
struct Draft<'a> {
    scope: Scope,
    graphs: Option<Given<Globs>>,
    /// Each NODE or REL with its label or type.
    carriers: Vec<(&'a Word, &'a Word)>,
    text: Option<Given<Template>>,
    into: Option<Given<Name>>,
    embedder: Option<Given<EmbedderName>>,
    dimensions: Option<Given<Option<NonZeroUsize>>>,
    index: Option<Given<Option<Similarity>>>,
    refresh: Option<Given<bool>>,
    condition: Option<Given<Condition>>,
    order: Option<Given<Order>>,
    priority: Option<Given<i32>>,
}

impl<'a> Draft<'a> {
    fn read(&mut self, keyword: &'a Word, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        match keyword.keyword().as_str() {
            "GRAPHS" if self.scope == Scope::Graph => {
                keyword.refuse("no GRAPHS: the rule is kept beside the one graph it applies to")
            }
            "GRAPHS" => cursor.once(keyword, &mut self.graphs, globs),
            "NODE" | "REL" => {
                self.carriers.push((keyword, cursor.value(keyword)?));
                Ok(())
            }
            "TEXT" => cursor.once(keyword, &mut self.text, Template::parse),
            "INTO" => cursor.once(keyword, &mut self.into, Name::parse),
            "EMBEDDER" => cursor.once(keyword, &mut self.embedder, EmbedderName::parse),
            "DIMENSIONS" => cursor.once(keyword, &mut self.dimensions, dimensions),
            "INDEX" => cursor.once(keyword, &mut self.index, index),
            "REFRESH" => cursor.once(keyword, &mut self.refresh, yes_or_no),
            "WHERE" => cursor.once(keyword, &mut self.condition, Condition::parse),
            "ORDER" => cursor.once(keyword, &mut self.order, order),
            "PRIORITY" => cursor.once(keyword, &mut self.priority, priority),
            _ => keyword.refuse(format!("one of: {KEYWORDS}")),
        }
    }

    fn finish(
        self,
        word: &Word,
        name: RuleName,
        max_text_chars: usize,
    ) -> Result<RuleDefinition, Error> {
        let pattern = pattern(word, &self.carriers)?;
        let Some(text) = self.text.map(value) else {
            return word.refuse("a rule needs TEXT and a property or a template after it");
        };
        let Some(into) = self.into else {
            return word.refuse("a rule needs INTO and the property that gets the vector");
        };
        let error_property = error_property(&text, &into)?;
        let place = word.place().clone();
        let embedder = self.embedder.as_ref().map_or_else(|| place.clone(), |at| at.place.clone());
        let rule = Rule {
            name,
            graphs: self.graphs.map_or_else(Globs::all, value),
            pattern,
            text,
            target: into.value,
            error_property,
            embedder: self.embedder.map_or_else(EmbedderName::default_embedder, value),
            dimensions: self.dimensions.and_then(value),
            index: self.index.map_or(Some(Similarity::Cosine), value),
            refresh: self.refresh.is_some_and(value),
            condition: self.condition.map(value),
            order: self.order.map(value).unwrap_or_default(),
            priority: self.priority.map_or(0, value),
            max_text_chars,
        };
        Ok(RuleDefinition { rule, place, embedder })
    }
}

fn value<T>(given: Given<T>) -> T {
    given.value
}

/// What is filled: all NODE and REL together.
fn pattern(rule: &Word, carriers: &[(&Word, &Word)]) -> Result<Pattern, Error> {
    let Some((first, _)) = carriers.first() else {
        return rule.refuse("a rule needs NODE and a label, or REL and a type; * means any");
    };
    let mut names: Vec<Name> = Vec::new();
    for (keyword, word) in carriers {
        if !keyword.is(first.as_str()) {
            return keyword.refuse("a rule fills nodes or relationships: define one for each");
        }
        if word.as_str() == ANY {
            if carriers.len() > 1 {
                return word.refuse("* means any label or type, so it stands alone");
            }
            continue;
        }
        let name = Name::parse(&keyword.keyword(), word.as_str());
        let name = name.map_err(|error| at(word.place(), error))?;
        if names.contains(&name) {
            return word.refuse("it is named already");
        }
        names.push(name);
    }
    let of_nodes = first.is("NODE");
    Ok(if of_nodes { Pattern::Nodes(names) } else { Pattern::Relationships(names) })
}

/// The property that marks a quarantined entity; refused if any two of them were the same.
fn error_property(text: &Template, into: &Given<Name>) -> Result<Name, Error> {
    let refused = |expected: &str| refusal(&into.place, into.value.as_str(), expected);
    if text.properties().contains(&into.value) {
        return Err(refused("INTO: a property that TEXT does not use"));
    }
    let name = into.value.error_property();
    if text.properties().contains(&name) {
        let name = name.as_str();
        return Err(refused(&format!("INTO: errors go into {name}, which TEXT uses")));
    }
    Ok(name)
}

fn globs(keyword: &str, value: &str) -> Result<Globs, Error> {
    let globs = Globs::parse(keyword, value)?;
    if globs.include_none() {
        let expected = "globs such as \"* !tmp-*\", of which one without a ! includes graphs";
        return Err(Error::setting(keyword, value, expected));
    }
    Ok(globs)
}

fn dimensions(keyword: &str, value: &str) -> Result<Option<NonZeroUsize>, Error> {
    if value.eq_ignore_ascii_case("AUTO") {
        return Ok(None);
    }
    let number = value.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MAX_DIMENSIONS);
    let refused = || Error::setting(keyword, value, format!("AUTO, or 1 to {MAX_DIMENSIONS}"));
    number.map(Some).ok_or_else(refused)
}

fn index(keyword: &str, value: &str) -> Result<Option<Similarity>, Error> {
    let word = value.to_ascii_lowercase();
    if word == "no" {
        return Ok(None);
    }
    let refused = || Error::setting(keyword, value, "one of: cosine, euclidean, no");
    Similarity::parse(&word).map(Some).ok_or_else(refused)
}

fn order(keyword: &str, value: &str) -> Result<Order, Error> {
    match value.to_ascii_lowercase().as_str() {
        "newest" => Ok(Order::Newest),
        "oldest" => Ok(Order::Oldest),
        _ => Err(Error::setting(keyword, value, "newest or oldest")),
    }
}

fn priority(keyword: &str, value: &str) -> Result<i32, Error> {
    let expected = "a whole number; rules with a higher one come first";
    value.parse().map_err(|_| Error::setting(keyword, value, expected))
}
