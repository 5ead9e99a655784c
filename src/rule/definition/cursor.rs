//! Reads a definition's words from the front.

use crate::error::Error;
use crate::rule::definition::word::{Given, Word, at};

/// The words not read yet.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [Word],
}

impl<'a> Cursor<'a> {
    /// All of these words.
    pub(super) fn new(words: &'a [Word]) -> Self {
        Self { rest: words }
    }

    /// The next word, if there is one.
    pub(super) fn next(&mut self) -> Option<&'a Word> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The word after `keyword`, which needs one.
    pub(super) fn value(&mut self, keyword: &Word) -> Result<&'a Word, Error> {
        let missing = || format!("{} needs a value after it", keyword.keyword());
        self.next().map_or_else(|| keyword.refuse(missing()), Ok)
    }

    /// Reads the value of `keyword` into `slot`, which must be empty.
    pub(super) fn once<T>(
        &mut self,
        keyword: &Word,
        slot: &mut Option<Given<T>>,
        parse: impl Fn(&str, &str) -> Result<T, Error>,
    ) -> Result<(), Error> {
        let name = keyword.keyword();
        if let Some(first) = slot {
            return keyword.refuse(format!("{name} is given already, at {}", first.place));
        }
        let word = self.value(keyword)?;
        let value = parse(&name, word.as_str()).map_err(|error| at(word.place(), error))?;
        *slot = Some(Given { value, place: word.place().clone() });
        Ok(())
    }
}

/// Yes or no; case does not matter.
pub(super) fn yes_or_no(keyword: &str, value: &str) -> Result<bool, Error> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Error::setting(keyword, value, "yes or no")),
    }
}

/// Any text.
#[expect(clippy::unnecessary_wraps, reason = "a parser like the others")]
pub(super) fn text(_: &str, value: &str) -> Result<String, Error> {
    Ok(value.to_owned())
}
