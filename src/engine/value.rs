//! The raw protocol of a reply as a tree of values that borrow from it.
//!
//! The main thread only copies the bytes; they are parsed here, on the worker.

use std::time::Duration;

/// Deeper replies are rejected: no query of ours returns one, and parsing recurses.
const MAX_DEPTH: usize = 32;

/// A value in a reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Null.
    Null,
    /// An integer, or a boolean as 0 or 1.
    Integer(i64),
    /// A string of any kind, or a double as the server prints it.
    Bytes(&'a [u8]),
    /// A list, a set, or a map as alternating keys and values.
    List(Vec<Value<'a>>),
    /// An error, including its code word.
    Error(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Parses one RESP2 or RESP3 reply; `None` = the bytes are truncated, malformed or nested too
    /// deep.
    pub(crate) fn parse(proto: &'a [u8]) -> Option<Self> {
        Reader { rest: proto }.value(0)
    }

    /// The items of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// An integer.
    pub(crate) fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// A non-negative integer.
    pub(crate) fn unsigned(&self) -> Option<u64> {
        self.integer().and_then(|number| u64::try_from(number).ok())
    }

    /// A string.
    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// A string that is UTF-8.
    pub(crate) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// The value after `key` in a list of alternating keys and values.
    pub(crate) fn field(&self, key: &str) -> Option<&Self> {
        let mut pairs = self.items().chunks_exact(2);
        pairs.find_map(|pair| match pair {
            [name, value] if name.text() == Some(key) => Some(value),
            _ => None,
        })
    }

    /// A number of milliseconds; an unreadable one counts as `Duration::MAX`.
    pub(crate) fn millis(&self) -> Duration {
        let number = self.text().and_then(|text| text.parse::<f64>().ok());
        let whole = self.unsigned().map(Duration::from_millis);
        let fraction = number.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok());
        whole.or(fraction).unwrap_or(Duration::MAX)
    }
}

/// A cursor over the protocol.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        let line = self.line()?;
        let (kind, line) = line.split_first()?;
        Some(match kind {
            b'+' | b',' | b'(' => Value::Bytes(line),
            b'-' => Value::Error(line),
            b':' => Value::Integer(number(line)?),
            b'#' => Value::Integer(i64::from(line == b"t")),
            b'_' => Value::Null,
            b'$' | b'!' | b'=' => self.string(*kind, line)?,
            b'*' | b'~' | b'>' => self.list(number(line)?, depth)?,
            b'%' => self.list(number(line)?.checked_mul(2)?, depth)?,
            b'|' => {
                // Attributes annotate the reply that follows them.
                self.list(number(line)?.checked_mul(2)?, depth)?;
                return self.value(depth);
            }
            _ => return None,
        })
    }

    fn string(&mut self, kind: u8, length: &[u8]) -> Option<Value<'a>> {
        let Ok(length) = usize::try_from(number(length)?) else { return Some(Value::Null) };
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\r\n")?;
        Some(match kind {
            b'!' => Value::Error(bytes),
            // A verbatim string begins with its format: `txt:`.
            b'=' => Value::Bytes(bytes.get(4..)?),
            _ => Value::Bytes(bytes),
        })
    }

    fn list(&mut self, length: i64, depth: usize) -> Option<Value<'a>> {
        let Ok(length) = usize::try_from(length) else { return Some(Value::Null) };
        // No item is shorter than three bytes, so a false length cannot make us allocate more.
        let mut items = Vec::with_capacity(length.min(self.rest.len() / 3));
        for _ in 0..length {
            items.push(if depth < MAX_DEPTH { self.value(depth + 1)? } else { return None });
        }
        Some(Value::List(items))
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\r')?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.strip_prefix(b"\r\n")?;
        Some(line)
    }
}

fn number(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_protocols_read_the_same() {
        fn list(proto: &[u8]) -> Option<Vec<Value<'_>>> {
            Value::parse(proto).map(|value| value.items().to_vec())
        }
        let expected = vec![Value::Integer(7), Value::Bytes(b"a\r\nb"), Value::Null];
        assert_eq!(list(b"*3\r\n:7\r\n$4\r\na\r\nb\r\n$-1\r\n"), Some(expected.clone()));
        assert_eq!(list(b"~3\r\n:7\r\n=8\r\ntxt:a\r\nb\r\n_\r\n"), Some(expected));
        assert_eq!(list(b"%1\r\n+k\r\n#t\r\n").map(|pair| pair.len()), Some(2));
        assert_eq!(Value::parse(b"|1\r\n+a\r\n+b\r\n,1.5\r\n"), Some(Value::Bytes(b"1.5")));
        assert_eq!(Value::parse(b"-ERR no\r\n"), Some(Value::Error(b"ERR no")));
    }

    #[test]
    fn what_ends_too_early_is_no_value() {
        for proto in
            [&b""[..], b"*2\r\n:1\r\n", b"$5\r\nabc\r\n", b":x\r\n", b"*9999999999\r\n", b"?\r\n"]
        {
            assert_eq!(Value::parse(proto), None, "{proto:?}");
        }
        let deep = b"*1\r\n".repeat(100_000);
        assert_eq!(Value::parse(&deep), None);
    }

    #[test]
    fn fields_are_found_by_name() {
        let value = Value::parse(b"*4\r\n+a\r\n:1\r\n+b\r\n+2.5\r\n").unwrap();
        assert_eq!(value.field("a").and_then(Value::integer), Some(1));
        assert_eq!(value.field("b").map(Value::millis), Some(Duration::from_micros(2_500)));
        assert_eq!(value.field("c"), None);
        assert_eq!(Value::Null.millis(), Duration::MAX);
    }
}
