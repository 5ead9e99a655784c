//! The predicate that narrows down which entities a rule fills.

use crate::error::Error;

/// A Cypher predicate over `n` (a node) or `r` (a relationship), written by the user. It can be put
/// between parentheses: nothing in it closes them, and nothing in it is a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition(String);

impl Condition {
    /// Accepts a predicate whose parentheses, brackets, braces and quotes are balanced. Whether it
    /// is Cypher, only the engine can tell.
    pub(crate) fn parse(keyword: &str, value: &str) -> Result<Self, Error> {
        match unbalanced(value) {
            None if !value.trim().is_empty() => Ok(Self(value.trim().to_owned())),
            None => Err(Error::setting(keyword, value, "a predicate such as n.draft = false")),
            Some(expected) => Err(Error::setting(keyword, value, expected)),
        }
    }

    /// The predicate as Cypher.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a predicate, if anything would let it leave its parentheses.
fn unbalanced(predicate: &str) -> Option<&'static str> {
    let mut open = Vec::new();
    let mut chars = predicate.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                // A backslash escapes the next character, except between backticks.
                let mut closed = false;
                while let Some(inner) = chars.next() {
                    match inner {
                        '\\' if c != '`' => drop(chars.next()),
                        _ if inner == c => {
                            closed = true;
                            break;
                        }
                        _ => {}
                    }
                }
                if !closed {
                    return Some("a quote is not closed");
                }
            }
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return Some("a bracket has no partner"),
            ';' | '\0' => return Some("no semicolon and no NUL"),
            '/' if matches!(chars.peek(), Some('/' | '*')) => return Some("no comments"),
            _ => {}
        }
    }
    (!open.is_empty()).then_some("a bracket is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predicate_cannot_leave_its_parentheses() {
        for good in ["n.draft = false", "(n.a > 1 OR n.b IN ['x)', \"y\\\"(\"])", "n.`a)b` / 2 > 1"]
        {
            assert!(Condition::parse("WHERE", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "true) SET n.x = 1 WITH n WHERE (true",
            "true // )",
            "true /* ) */",
            "'",
            "(",
            "n.a]",
            "a; b",
        ] {
            assert!(Condition::parse("WHERE", bad).is_err(), "{bad}");
        }
    }
}
