//! Text shown to people.

use std::fmt::Write as _;

/// `text` on one line: every run of white space and control characters becomes one space. At most
/// `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        let gap = if line.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        write!(line, "{gap}{word}").ok();
    }
    line.chars().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_holds_no_line_break() {
        assert_eq!(one_line(" a\r\n\tb\u{7} c ", 99), "a b c");
        assert_eq!(one_line("äöü", 2), "äö");
    }
}
