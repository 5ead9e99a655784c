//! Splits a text into lines of words, quoted as in redis.conf.
//!
//! Between `"` and `"`, `\n`, `\r`, `\t`, `\xHH`, `\"` and `\\` are escapes; between `'` and `'`
//! only `\'` is. A word that begins with `#` begins a comment. A `\` at a line's end continues it,
//! also between `"` and `"`.

use std::sync::Arc;

use crate::error::Error;
use crate::rule::definition::word::{Place, Word, refusal};

/// The lines of a text that hold words: the words of each, or what is wrong with it.
pub(super) fn lines(source: &str, text: &str) -> Vec<Result<Vec<Word>, Error>> {
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer { source: source.into(), rest, line: 1, column: 1 };
    let mut lines = Vec::new();
    while !lexer.rest.is_empty() {
        match lexer.words() {
            Ok(words) if words.is_empty() => {}
            Ok(words) => lines.push(Ok(words)),
            Err(error) => {
                lexer.skip_line();
                lines.push(Err(error));
            }
        }
    }
    lines
}

struct Lexer<'a> {
    source: Arc<str>,
    rest: &'a str,
    line: usize,
    column: usize,
}

impl Lexer<'_> {
    /// The words up to the end of the line, which is consumed.
    fn words(&mut self) -> Result<Vec<Word>, Error> {
        let mut words = Vec::new();
        while let Some(next) = self.peek() {
            match next {
                '\n' => {
                    self.skip(1);
                    break;
                }
                '#' => self.skip_comment(),
                _ if self.skip_break() => {}
                space if is_space(space) => self.skip(1),
                _ => words.push(self.word()?),
            }
        }
        Ok(words)
    }

    fn word(&mut self) -> Result<Word, Error> {
        let place = self.place();
        let mut bytes = Vec::new();
        while let Some(next) = self.peek() {
            match next {
                '\n' => break,
                _ if is_space(next) || self.at_break().is_some() => break,
                '"' | '\'' => {
                    self.quoted(next, &mut bytes)?;
                    break;
                }
                other => {
                    self.next();
                    push(&mut bytes, other);
                }
            }
        }
        Word::parse(&bytes, place)
    }

    /// Reads from the opening quote to the closing one.
    fn quoted(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let opening = self.place();
        self.next();
        loop {
            if quote == '"' && self.skip_break() {
                continue;
            }
            match self.peek() {
                None | Some('\n') => {
                    return refuse_quote(quote, &opening, "the quote is not closed on its line");
                }
                Some(_) => {}
            }
            match self.next() {
                Some(c) if c == quote => return self.end_of_quote(quote),
                Some('\\') if quote == '"' => self.escaped(bytes),
                Some('\\') if self.rest.starts_with('\'') => {
                    self.next();
                    bytes.push(b'\'');
                }
                Some(other) => push(bytes, other),
                None => {}
            }
        }
    }

    /// What stands after a backslash in double quotes.
    fn escaped(&mut self, bytes: &mut Vec<u8>) {
        if let Some(byte) = hex(self.rest) {
            self.skip("xHH".len());
            bytes.push(byte);
            return;
        }
        match self.peek() {
            None | Some('\n') => return,
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some(other) => push(bytes, other),
        }
        self.next();
    }

    fn end_of_quote(&self, quote: char) -> Result<(), Error> {
        match self.peek() {
            Some(next) if next != '\n' && !is_space(next) && self.at_break().is_none() => {
                refuse_quote(quote, &self.place(), "a space must follow the closing quote")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Skips what is left of a line that is wrong, with all that continues it.
    fn skip_line(&mut self) {
        while !self.rest.is_empty() {
            if !self.skip_break() && self.next() == Some('\n') {
                return;
            }
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|next| next != '\n') {
            self.next();
        }
    }

    /// The length of the backslash and line break here, if the line continues.
    fn at_break(&self) -> Option<usize> {
        ["\\\r\n", "\\\n"].into_iter().find(|end| self.rest.starts_with(end)).map(str::len)
    }

    fn skip_break(&mut self) -> bool {
        let length = self.at_break();
        self.skip(length.unwrap_or(0));
        length.is_some()
    }

    fn skip(&mut self, chars: usize) {
        for _ in 0..chars {
            self.next();
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        self.column += 1;
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        }
        Some(next)
    }

    fn place(&self) -> Place {
        Place::Text { source: Arc::clone(&self.source), line: self.line, column: self.column }
    }
}

/// White space within a line.
fn is_space(c: char) -> bool {
    c != '\n' && (c.is_ascii_whitespace() || c == '\x0b')
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
}

/// The byte of an `xHH` at the beginning.
fn hex(rest: &str) -> Option<u8> {
    let digits = rest.strip_prefix('x')?.get(..2)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    u8::from_str_radix(digits, 16).ok()
}

fn refuse_quote(quote: char, place: &Place, expected: &str) -> Result<(), Error> {
    Err(refusal(place, quote.encode_utf8(&mut [0; 4]), expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let lines = lines("defs", text).into_iter().map(|line| match line {
            Ok(words) => words.iter().map(|word| word.as_str().to_owned()).collect(),
            Err(error) => vec![error.to_string()],
        });
        lines.collect()
    }

    #[test]
    fn words_are_quoted_as_in_redis_conf() {
        assert_eq!(
            words(r#"a "b c" 'd "e"' "\x41\t\"\\\n" 'it\'s \n' "" x"y z" \d é"#),
            [["a", "b c", "d \"e\"", "A\t\"\\\n", "it's \\n", "", "xy z", "\\d", "é"]]
        );
    }

    #[test]
    fn comments_and_blank_lines_are_nothing_and_a_backslash_continues_a_line() {
        let text = "\u{feff}# x\n\n a b # c\r\n\td\\\r\n  e \\\n \"f\\\n g\" #h\n i#j";
        assert_eq!(words(text), [vec!["a", "b"], vec!["d", "e", "f g"], vec!["i#j"]]);
    }

    #[test]
    fn every_word_knows_its_place() {
        let lines = lines("defs", "a\n é 'x y' \\\n b");
        let last = lines.last().unwrap().as_ref().unwrap();
        let places: Vec<String> = last.iter().map(|word| word.place().to_string()).collect();
        let expected = ["line 2, column 2", "line 2, column 4", "line 3, column 2"];
        assert_eq!(places, expected.map(|place| format!("defs, {place}")));
    }

    #[test]
    fn a_line_that_is_wrong_leaves_the_others() {
        let text = "a 'b\nc\n\"d\"e \\\n f\ng \"\\xff\" h\ni \"j";
        let found = words(text);
        assert_eq!((found[1].as_slice(), found.len()), (["c".to_owned()].as_slice(), 5));
        for (line, expected) in [
            (0, "line 1, column 3: '\\'' is not allowed: the quote is not closed"),
            (2, "line 3, column 4: '\\\"' is not allowed: a space"),
            (3, "line 5, column 3: '\u{fffd}' is not allowed: UTF-8"),
            (4, "line 6, column 3"),
        ] {
            assert!(found[line][0].contains(expected), "{:?}", found[line]);
        }
    }
}
