//! Quoting: the one place that writes values into Cypher.

/// A list literal; `each` writes one item.
pub(super) fn list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// A string literal. Backslash and quote are escaped and every other byte is kept as is, except
/// that NULs are dropped: they cannot be sent, and the engine cannot store them.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'\'');
    for byte in bytes.iter().copied().filter(|byte| *byte != 0) {
        if matches!(byte, b'\\' | b'\'') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'\'');
}

/// A list of the shortest decimals that parse back to the same `f32`.
pub(super) fn vector(out: &mut Vec<u8>, numbers: &[f32]) {
    let mut buffer = zmij::Buffer::new();
    list(out, numbers.iter(), |out, number| out.extend(buffer.format_finite(*number).bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_quotes() {
        let mut out = Vec::new();
        string(&mut out, b"a'b\\c\0'] RETURN 1 //");
        assert_eq!(String::from_utf8(out).unwrap(), r"'a\'b\\c\'] RETURN 1 //'");
    }
}
