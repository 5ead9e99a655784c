//! The error property of a quarantined node: the service's message, and which text it is about.
//!
//! The engine has no hash function, so the fingerprint of the refused text follows the message. A
//! mark without one, set by hand, stays until it is removed by hand.

use std::hash::Hasher as _;

use crate::entity::Text;

/// Text before and after the fingerprint.
const OPEN: &str = " [text ";
const CLOSE: char = ']';

/// The value of the error property.
pub(crate) fn note(words: &str, text: &Text) -> String {
    format!("{words}{OPEN}{:016x}{CLOSE}", fingerprint(text))
}

/// The message without the fingerprint.
pub(crate) fn words(note: &str) -> &str {
    parse(note).map_or(note, |(words, _)| words)
}

/// Whether the note is about a different text: the node has been edited, or more or less of its
/// text is embedded now.
pub(crate) fn is_outdated(note: &str, text: &Text) -> bool {
    parse(note).is_some_and(|(_, about)| about != fingerprint(text))
}

fn parse(note: &str) -> Option<(&str, u64)> {
    let (words, rest) = note.rsplit_once(OPEN)?;
    Some((words, u64::from_str_radix(rest.strip_suffix(CLOSE)?, 16).ok()?))
}

/// FNV-1a: the same on every machine and in every version, which the standard hasher does not
/// promise. A collision only means that an edit goes unnoticed.
fn fingerprint(text: &Text) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(text.bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::new(text.as_bytes(), 100)
    }

    #[test]
    fn a_note_is_outdated_by_an_edit_of_the_text() {
        let note = note("refused [text 12]", &text("a"));
        assert_eq!(note, "refused [text 12] [text af63dc4c8601ec8c]");
        assert!(!is_outdated(&note, &text("a")) && is_outdated(&note, &text("b")));
        assert_eq!(words(&note), "refused [text 12]");
    }

    #[test]
    fn a_mark_set_by_hand_is_never_outdated() {
        for note in ["", "skip", "skip [text ]", "skip [text xyz]", "skip [text 1] "] {
            assert!(!is_outdated(note, &text("a")), "{note}");
            assert_eq!(words(note), note);
        }
    }
}
