//! Definitions: embedders and rules as an operator writes them down, a line each.
//!
//! ```text
//! EMBEDDER ada PROVIDER openai MODEL text-embedding-ada-002
//! RULE docs GRAPHS "* !tmp-*" NODE Doc TEXT "{title}: {body}" INTO embedding EMBEDDER ada
//! ```
//!
//! [`Definitions::add`] reads a text, [`Definitions::rules`] checks the rules against each other and
//! against the embedders. Whatever is wrong costs its own line only; each error names the place, the
//! word, and what would be right.

mod cursor;
mod embedder;
mod lines;
pub(crate) mod own;
mod rule;
#[cfg(test)]
mod tests;
mod word;
#[cfg_attr(not(test), allow(dead_code, reason = "for rules that are kept beside a graph"))]
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) use embedder::{EmbedderDefinition, Fields};
pub(crate) use rule::RuleDefinition;
pub(crate) use word::{Given, at, refusal};
pub(crate) use write::Body;

use crate::error::Error;
use crate::rule::Rule;
use crate::rule::definition::rule::Scope;
use crate::rule::definition::word::{Place, Word};
use crate::rule::name::EmbedderName;

/// The most embedders that may be defined: each has a thread, and requests in flight.
const MAX_EMBEDDERS: usize = 16;
/// The most rules that may be defined: each is compared with each.
const MAX_RULES: usize = 1_000;

/// What has been defined, and what was wrong.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    /// Embedders, each name once.
    pub embedders: Vec<EmbedderDefinition>,
    /// What was wrong, in the order it was found.
    pub errors: Vec<Error>,
    rules: Vec<RuleDefinition>,
}

impl Definitions {
    /// Adds the definitions in a text. `source` names it in errors.
    pub(crate) fn add(&mut self, source: &str, text: &str, max_text_chars: usize) {
        for line in lines::lines(source, text) {
            let added = line.and_then(|words| self.line(&words, max_text_chars));
            self.errors.extend(added.err());
        }
    }

    fn line(&mut self, words: &[Word], max_text_chars: usize) -> Result<(), Error> {
        let [what, rest @ ..] = words else { return Ok(()) };
        let is_rule = what.is("RULE");
        if !is_rule && !what.is("EMBEDDER") {
            return what.refuse("a line begins with EMBEDDER or RULE; \\ at its end continues it");
        }
        let [name, rest @ ..] = rest else {
            return what.refuse(format!("{} needs a name after it", what.keyword()));
        };
        if is_rule {
            self.add_rule(rule::parse(name, rest, Scope::Server, max_text_chars)?, name)
        } else {
            self.add_embedder(embedder::parse(name, rest)?, name)
        }
    }

    fn add_embedder(&mut self, new: EmbedderDefinition, name: &Word) -> Result<(), Error> {
        let known = self.embedders.iter().find(|known| known.name.value == new.name.value);
        if let Some(known) = known {
            return name.refuse(twice("embedder", &known.name.place));
        }
        if self.embedders.len() >= MAX_EMBEDDERS {
            return name.refuse(format!("at most {MAX_EMBEDDERS} embedders"));
        }
        self.embedders.push(new);
        Ok(())
    }

    fn add_rule(&mut self, new: RuleDefinition, name: &Word) -> Result<(), Error> {
        let known = self.rules.iter().find(|known| known.rule.name == new.rule.name);
        if let Some(known) = known {
            return name.refuse(twice("rule", &known.place));
        }
        if self.rules.len() >= MAX_RULES {
            return name.refuse(format!("at most {MAX_RULES} rules"));
        }
        self.rules.push(new);
        Ok(())
    }

    /// The rules that can be in force together, given the embedders there are, and all errors.
    pub(crate) fn rules<'a>(
        self,
        embedders: impl Iterator<Item = &'a EmbedderName>,
    ) -> (Vec<Arc<Rule>>, Vec<Error>) {
        let Self { embedders: _, mut errors, rules } = self;
        let embedders: BTreeSet<&EmbedderName> = embedders.collect();
        let mut accepted: Vec<RuleDefinition> = Vec::new();
        for new in rules {
            let known = check_embedder(&new, &embedders);
            match known.and_then(|()| check_clashes(&new, &accepted)) {
                Ok(()) => accepted.push(new),
                Err(error) => errors.push(error),
            }
        }
        (accepted.into_iter().map(|defined| Arc::new(defined.rule)).collect(), errors)
    }
}

fn twice(what: &str, place: &Place) -> String {
    format!("the {what} of this name is defined already, at {place}")
}

/// Refuses a rule whose embedder does not exist.
fn check_embedder(new: &RuleDefinition, known: &BTreeSet<&EmbedderName>) -> Result<(), Error> {
    let name = &new.rule.embedder;
    if known.contains(name) {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
    let expected = format!("EMBEDDER: one that is defined: {}", names.join(", "));
    Err(refusal(&new.embedder, name.as_str(), expected))
}

/// Refuses a rule that would write where another one writes.
fn check_clashes(new: &RuleDefinition, accepted: &[RuleDefinition]) -> Result<(), Error> {
    let clash = |known: &&RuleDefinition| {
        known.rule.clashes_with(&new.rule) && known.rule.graphs.surely_overlap(&new.rule.graphs)
    };
    let Some(known) = accepted.iter().find(clash) else { return Ok(()) };
    let (name, other, target) = (&new.rule.name, &known.rule.name, new.rule.target.as_str());
    let expected = format!(
        "the rules '{name}' and '{other}' (at {}) would both write the property '{target}' of the \
         same entities: another INTO, another label, or other GRAPHS",
        known.place
    );
    Err(refusal(&new.place, name.as_str(), expected))
}
