//! The value of a property, as far as a text can be made from it.

use std::borrow::Cow;

/// The value of one property of an entity.
///
/// A write compares each of them with what the engine holds then, so nothing may be lost here that
/// the comparison needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Property {
    /// The entity has no such property.
    Absent,
    /// A string, with the bytes the engine stores.
    Text(Vec<u8>),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A floating-point number, with the fifteen significant digits that the engine gives.
    Float(String),
    /// A list of any of the above.
    List(Vec<Self>),
    /// A value that no text is made from, such as a vector, a point or a map.
    Unusable,
}

impl Property {
    /// The text it contributes to a template: empty if it is absent, the items of a list joined by
    /// `, `; `None` = no text is made from it.
    pub(crate) fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Absent => Some(Cow::Borrowed(b"")),
            Self::Text(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
            Self::Boolean(yes) => Some(Cow::Borrowed(if *yes { b"true" } else { b"false" })),
            Self::Float(digits) => Some(Cow::Owned(as_in_cypher(digits).into_bytes())),
            Self::List(items) => {
                let texts: Option<Vec<_>> = items.iter().map(Self::text).collect();
                Some(Cow::Owned(texts?.join(&b", "[..])))
            }
            Self::Unusable => None,
        }
    }
}

/// A floating-point number as Cypher turns it into text, always with six decimals: a text that was
/// put together in a query by another program stays the same.
fn as_in_cypher(digits: &str) -> String {
    digits.parse::<f64>().map_or_else(|_| digits.to_owned(), |number| format!("{number:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(property: &Property) -> Option<String> {
        property.text().map(|bytes| String::from_utf8(bytes.into_owned()).unwrap())
    }

    #[test]
    fn every_value_but_an_unusable_one_gives_a_text() {
        let list = |items: &[Property]| Property::List(items.to_vec());
        let words = [Property::Text(b"a".into()), Property::Integer(-7), Property::Boolean(true)];
        assert_eq!(text(&list(&words)).as_deref(), Some("a, -7, true"));
        for (digits, printed) in
            [("2.5", "2.500000"), ("1e-07", "0.000000"), ("1e+20", "100000000000000000000.000000")]
        {
            assert_eq!(text(&Property::Float(digits.into())).as_deref(), Some(printed));
        }
        assert_eq!(text(&Property::Absent).as_deref(), Some(""));
        assert_eq!(text(&list(&[Property::Unusable])), None);
    }
}
