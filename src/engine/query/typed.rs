//! Values with their types, as the engine lists them with `--compact`: each cell of a row is
//! `[type, value]`.

use crate::engine::value::Value;
use crate::entity::property::Property;

/// The engine's numbers for the types of values.
mod code {
    pub(super) const NULL: i64 = 1;
    pub(super) const STRING: i64 = 2;
    pub(super) const INTEGER: i64 = 3;
    pub(super) const BOOLEAN: i64 = 4;
    pub(super) const DOUBLE: i64 = 5;
    pub(super) const ARRAY: i64 = 6;
}

/// Numbers outside of this range are not used: close to the limits of a double, the engine cannot
/// read what it prints.
const FLOATS: std::ops::RangeInclusive<f64> = 1e-300..=1e300;

/// The cells of a row, without their types if the reply is compact.
pub(super) fn cells<'v, 'a>(row: &'v Value<'a>, compact: bool) -> Vec<&'v Value<'a>> {
    let bare = |cell: &'v Value<'a>| match cell.items() {
        [_, value] if compact => value,
        _ => cell,
    };
    row.items().iter().map(bare).collect()
}

/// The properties in a cell that holds a list of them.
pub(super) fn properties(list: &Value<'_>) -> Vec<Property> {
    list.items().iter().map(property).collect()
}

fn property(cell: &Value<'_>) -> Property {
    let [kind, value] = cell.items() else { return Property::Unusable };
    let usable = match kind.integer() {
        Some(code::NULL) => Some(Property::Absent),
        Some(code::STRING) => value.bytes().map(|bytes| Property::Text(bytes.to_vec())),
        Some(code::INTEGER) => value.integer().map(Property::Integer),
        Some(code::BOOLEAN) => boolean(value).map(Property::Boolean),
        Some(code::DOUBLE) => float(value),
        Some(code::ARRAY) => list(value),
        _ => None,
    };
    usable.unwrap_or(Property::Unusable)
}

/// The engine prints booleans as words.
pub(super) fn boolean(value: &Value<'_>) -> Option<bool> {
    match (value.text(), value.integer()) {
        (Some("true"), _) | (_, Some(1)) => Some(true),
        (Some("false"), _) | (_, Some(0)) => Some(false),
        _ => None,
    }
}

fn float(value: &Value<'_>) -> Option<Property> {
    let digits = value.text()?;
    let number: f64 = digits.parse().ok()?;
    let usable = number == 0.0 || FLOATS.contains(&number.abs());
    usable.then(|| Property::Float(digits.to_owned()))
}

/// A list is compared as a whole, and a floating-point number only within the digits that the
/// engine prints: a list that holds one cannot be compared.
fn list(value: &Value<'_>) -> Option<Property> {
    let items = properties(value);
    let exact = |item: &Property| match item {
        Property::Text(_) | Property::Integer(_) | Property::Boolean(_) | Property::List(_) => true,
        Property::Absent | Property::Float(_) | Property::Unusable => false,
    };
    items.iter().all(exact).then_some(Property::List(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str) -> Property {
        property(&Value::parse(format!("*2\r\n{cell}").as_bytes()).unwrap())
    }

    #[test]
    fn each_type_has_its_number() {
        assert_eq!(read(":1\r\n$-1\r\n"), Property::Absent);
        assert_eq!(read(":2\r\n$1\r\nx\r\n"), Property::Text(b"x".into()));
        assert_eq!(read(":3\r\n:-7\r\n"), Property::Integer(-7));
        assert_eq!(read(":4\r\n+false\r\n"), Property::Boolean(false));
        assert_eq!(read(":4\r\n#t\r\n"), Property::Boolean(true));
        assert_eq!(read(":5\r\n$5\r\n1e-07\r\n"), Property::Float("1e-07".into()));
        assert_eq!(
            read(":6\r\n*2\r\n*2\r\n:2\r\n+a\r\n*2\r\n:3\r\n:1\r\n"),
            Property::List(vec![Property::Text(b"a".into()), Property::Integer(1)])
        );
    }

    #[test]
    fn what_cannot_be_compared_is_unusable() {
        for cell in [
            ":5\r\n+-nan\r\n",
            ":5\r\n+inf\r\n",
            ":5\r\n+5e-324\r\n",
            ":6\r\n*1\r\n*2\r\n:5\r\n+1.5\r\n",
            ":12\r\n*1\r\n+1.5\r\n",
            ":11\r\n*2\r\n+1\r\n+2\r\n",
        ] {
            assert_eq!(read(cell), Property::Unusable, "{cell}");
        }
    }
}
