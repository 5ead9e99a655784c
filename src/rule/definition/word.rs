//! The words of a definition, each with the place it stands at.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// Longest part of a word that an error repeats, in characters.
const SHOWN_CHARS: usize = 60;

/// What a file's bytes that are not UTF-8 have become.
const REPLACED: char = char::REPLACEMENT_CHARACTER;

/// Where a word stands, for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a text; both numbers count from 1, columns in characters.
    Text {
        /// The file, or the environment variable.
        source: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Among the arguments of a command, the first of which is number 1.
    Argument(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { source, line, column } => {
                write!(f, "{source}, line {line}, column {column}")
            }
            Self::Argument(number) => write!(f, "argument {number}"),
        }
    }
}

/// A word, without its quotes. It holds no NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    text: String,
    place: Place,
}

impl Word {
    /// Accepts UTF-8 without a NUL: neither a log nor an error reply can hold one.
    pub(crate) fn parse(bytes: &[u8], place: Place) -> Result<Self, Error> {
        match str::from_utf8(bytes) {
            Ok(text) if !text.contains(['\0', REPLACED]) => {
                Ok(Self { text: text.to_owned(), place })
            }
            Ok(_) | Err(_) => {
                let text = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
                Self { text, place }.refuse("UTF-8 without a NUL")
            }
        }
    }

    /// What it says.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is this keyword; case does not matter.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.text.eq_ignore_ascii_case(keyword)
    }

    /// The keyword it is, as it is documented.
    pub(super) fn keyword(&self) -> String {
        self.text.to_ascii_uppercase()
    }

    /// An error about this word.
    pub(crate) fn refuse<T>(&self, expected: impl Into<String>) -> Result<T, Error> {
        Err(refusal(&self.place, &self.text, expected))
    }
}

/// A value, and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given<T> {
    /// The value.
    pub value: T,
    /// Where its word stands.
    pub place: Place,
}

/// An error about what stands at `place`.
pub(crate) fn refusal(place: &Place, word: &str, expected: impl Into<String>) -> Error {
    let mut shown: String = word.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if word.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    // It may repeat names, and goes into a line of the log.
    let expected = expected.into().replace(char::is_control, " ");
    Error::Definition { place: place.to_string(), word: shown, expected }
}

/// The error about a setting's value, as an error about the word that gave it. The value is the
/// error's own, which may hide a secret.
pub(crate) fn at(place: &Place, error: Error) -> Error {
    match error {
        Error::Setting { name, value, expected } => {
            refusal(place, &value, format!("{name}: {expected}"))
        }
        Error::Definition { .. }
        | Error::Definitions { .. }
        | Error::Thread { .. }
        | Error::HttpClient(_)
        | Error::Busy => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_utf_8_without_a_nul() {
        for bad in [&b"a\0"[..], b"\xff", "\u{fffd}".as_bytes()] {
            let error = Word::parse(bad, Place::Argument(5)).unwrap_err().to_string();
            assert!(error.contains("\u{fffd}' is not allowed: UTF-8"), "{error}");
        }
    }

    #[test]
    fn an_error_names_place_word_and_what_would_be_right() {
        let place = Place::Text { source: "defs".into(), line: 3, column: 14 };
        let word = Word::parse(b"a\nb", place).unwrap();
        let error = word.refuse::<()>("yes\nor no").unwrap_err().to_string();
        assert_eq!(error, "defs, line 3, column 14: 'a\\nb' is not allowed: yes or no");
        let word = Word::parse(&[b'x'; 200], Place::Argument(5)).unwrap();
        let error = word.refuse::<()>("").unwrap_err().to_string();
        assert!(error.contains("xx…") && error.len() < 120, "{error}");
    }
}
