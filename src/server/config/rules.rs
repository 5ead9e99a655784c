//! The rules in force: those defined, and the one made from the settings.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::rule::globs::Globs;
use crate::rule::name::{EmbedderName, Name, RuleName};
use crate::rule::set::RuleSet;
use crate::rule::template::Template;
use crate::rule::{Order, Pattern, Rule, Similarity};
use crate::server::config::{
    AUTO_INDEX, ERROR_PROPERTY, GRAPHS, LABEL, MAX_TEXT_CHARS, SIMILARITY, SOURCE, TARGET,
};
use crate::server::own;

pub(super) fn optional_name(setting: &'static str, value: &str) -> Result<Option<Name>, Error> {
    if value.is_empty() { Ok(None) } else { Name::parse(setting, value).map(Some) }
}

/// The three properties must differ from each other; setting one to the value of another is
/// refused.
pub(super) fn property(setting: &'static str, value: &str) -> Result<(), Error> {
    Name::parse(setting, value)?;
    let others = [&SOURCE, &TARGET, &ERROR_PROPERTY].into_iter().filter(|o| o.name != setting);
    match others.into_iter().find(|other| other.read() == value) {
        Some(other) => {
            let expected = format!("a property other than vectorfill.{}", other.name);
            Err(Error::setting(setting, value, expected))
        }
        None => Ok(()),
    }
}

pub(super) fn similarity(setting: &'static str, value: &str) -> Result<Similarity, Error> {
    let refused = || Error::setting(setting, value, "one of: cosine, euclidean");
    Similarity::parse(value).ok_or_else(refused)
}

/// The rules that are defined, and the one made from the settings.
pub(super) fn rules(defined: &[Arc<Rule>]) -> Result<RuleSet, Error> {
    let max_text_chars = MAX_TEXT_CHARS.unsigned();
    let defined = defined.iter().map(|rule| Arc::new(Rule { max_text_chars, ..Rule::clone(rule) }));
    Ok(RuleSet {
        defined: defined.collect(),
        default: Some(Arc::new(rule(max_text_chars)?)),
        own: own::cut_at(max_text_chars),
    })
}

/// The rule made from the settings.
pub(super) fn rule(max_text_chars: usize) -> Result<Rule, Error> {
    Rule {
        name: RuleName::default_rule(),
        graphs: Globs::parse(GRAPHS.name, &GRAPHS.read())?,
        pattern: Pattern::Nodes(optional_name(LABEL.name, &LABEL.read())?.into_iter().collect()),
        text: Template::property(Name::parse(SOURCE.name, &SOURCE.read())?),
        target: Name::parse(TARGET.name, &TARGET.read())?,
        error_property: Name::parse(ERROR_PROPERTY.name, &ERROR_PROPERTY.read())?,
        embedder: EmbedderName::default_embedder(),
        dimensions: None,
        index: auto_index()?,
        refresh: false,
        condition: None,
        order: Order::Newest,
        priority: 0,
        max_text_chars,
    }
    .check()
}

pub(super) fn auto_index() -> Result<Option<Similarity>, Error> {
    let similarity = similarity(SIMILARITY.name, &SIMILARITY.read())?;
    Ok(AUTO_INDEX.value.load(Ordering::Relaxed).then_some(similarity))
}
