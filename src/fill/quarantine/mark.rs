//! What the error property of a quarantined node says: the service's words, and which text they are
//! about.
//!
//! The engine has no hash function, so the fingerprint of the refused text stands behind the words.
//! A mark without one, set by hand, holds until somebody lifts it.

use std::hash::Hasher as _;

use crate::entity::Text;

/// What is said before the fingerprint, and behind it.
const OPEN: &str = " [text ";
const CLOSE: char = ']';

/// The value of the error property.
pub(crate) fn note(words: &str, text: &Text) -> String {
    format!("{words}{OPEN}{:016x}{CLOSE}", fingerprint(text))
}

/// The words without the fingerprint.
pub(crate) fn words(note: &str) -> &str {
    parse(note).map_or(note, |(words, _)| words)
}

/// Whether the note speaks of another text than this: the node has been edited, or more or less of
/// its text is embedded now.
pub(crate) fn is_outdated(note: &str, text: &Text) -> bool {
    parse(note).is_some_and(|(_, about)| about != fingerprint(text))
}

fn parse(note: &str) -> Option<(&str, u64)> {
    let (words, rest) = note.rsplit_once(OPEN)?;
    Some((words, u64::from_str_radix(rest.strip_suffix(CLOSE)?, 16).ok()?))
}

/// FNV-1a: the same on every machine and in every version, which the standard hasher does not
/// promise. A collision only means that an edit is not noticed.
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
