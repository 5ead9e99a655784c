//! The guard of a write: the entity still holds the text that the vector was made from.

use crate::engine::cypher::{list, string};
use crate::engine::query::shape::Shape;
use crate::entity::property::Property;
use crate::entity::{Entity, Text};
use crate::fill::port::store::{Mark, Row};
use crate::rule::Rule;

/// How far a floating-point number may be from the fifteen digits that the engine prints of it,
/// relative to its size.
const PRINTED: f64 = 1e-14;

/// A guard, as parts of a query in which `k` counts the entities.
pub(super) struct Guard {
    /// Parameters, one list each, with a value per entity.
    pub(super) parameters: Vec<u8>,
    /// Names for an entity's values, to follow those of a `WITH`.
    pub(super) names: &'static str,
    /// The test.
    pub(super) holds: String,
}

pub(super) fn of_rows(rule: &Rule, rows: &[&Row]) -> Guard {
    of(rule, rows.iter().map(|row| (&row.entity, &row.text)))
}

pub(super) fn of_marks(rule: &Rule, marks: &[&Mark]) -> Guard {
    of(rule, marks.iter().map(|mark| (&mark.entity, &mark.text)))
}

fn of<'a>(rule: &Rule, all: impl Iterator<Item = (&'a Entity, &'a Text)> + Clone) -> Guard {
    if rule.text.bare().is_some() {
        return of_text(rule, all.map(|(_, text)| text));
    }
    of_properties(rule, &all.map(|(entity, _)| entity.properties.as_deref().unwrap_or_default()))
}

/// If the text was cut, the entity's text need only begin with it: its vector covers no more than
/// that.
fn of_text<'a>(rule: &Rule, texts: impl Iterator<Item = &'a Text> + Clone) -> Guard {
    let mut parameters = b" texts=".to_vec();
    list(&mut parameters, texts.clone(), |out, text| string(out, text.bytes()));
    parameters.extend(b" cut=");
    list(&mut parameters, texts, |out, text| out.extend(text.is_cut().to_string().bytes()));
    let source = Shape::new(rule).source();
    let (names, text, cut) = if rule.pattern.is_relationships() {
        ("", "$texts[k]", "$cut[k]")
    } else {
        (", $texts[k] AS t, $cut[k] AS c", "t", "c")
    };
    let holds =
        format!("{source} > '' AND ({source} = {text} OR ({cut} AND {source} STARTS WITH {text}))");
    Guard { parameters, names, holds }
}

/// All properties are compared as a whole, even if the text made from them was cut.
fn of_properties<'a>(rule: &Rule, all: &(impl Iterator<Item = &'a [Property]> + Clone)) -> Guard {
    let mut guard = Guard { parameters: Vec::new(), names: "", holds: String::new() };
    // Few queries: the graph's plans are cached by their text.
    let floats = all.clone().flatten().any(|value| matches!(value, Property::Float(_)));
    let properties = Shape::new(rule).properties();
    let tests = properties.iter().enumerate().map(|(place, property)| {
        guard.compare(place, property, all.clone().filter_map(|values| values.get(place)), floats)
    });
    let tests: Vec<String> = tests.collect();
    guard.holds = tests.join(" AND ");
    guard
}

impl Guard {
    /// Adds the values of one property; returns the test.
    fn compare<'a>(
        &mut self,
        place: usize,
        property: &str,
        values: impl Iterator<Item = &'a Property> + Clone,
        floats: bool,
    ) -> String {
        self.add(&format!("w{place}"), values.clone(), value);
        let mut range = String::new();
        if floats {
            self.add(&format!("lo{place}"), values.clone(), |out, value| bound(out, value, -1.0));
            self.add(&format!("hi{place}"), values, |out, value| bound(out, value, 1.0));
            range = format!(" OR ({property} >= $lo{place}[k] AND {property} <= $hi{place}[k])");
        }
        let wanted = format!("$w{place}[k]");
        format!("({property} = {wanted} OR ({property} IS NULL AND {wanted} IS NULL){range})")
    }

    fn add<'a>(
        &mut self,
        name: &str,
        values: impl Iterator<Item = &'a Property>,
        each: impl FnMut(&mut Vec<u8>, &'a Property),
    ) {
        self.parameters.extend(format!(" {name}=").bytes());
        list(&mut self.parameters, values, each);
    }
}

/// A value as Cypher. A floating-point number is compared by its [`bound`]s alone: no property is
/// equal to a map.
fn value(out: &mut Vec<u8>, property: &Property) {
    match property {
        Property::Absent => out.extend(b"NULL"),
        Property::Text(bytes) => string(out, bytes),
        Property::Integer(number) => out.extend(number.to_string().bytes()),
        Property::Boolean(yes) => out.extend(yes.to_string().bytes()),
        Property::List(items) => list(out, items.iter(), value),
        Property::Float(_) | Property::Unusable => out.extend(b"{}"),
    }
}

/// The least (`-1.0`) or greatest (`1.0`) number that prints like this one, or a little beyond.
fn bound(out: &mut Vec<u8>, property: &Property, side: f64) {
    let digits = if let Property::Float(digits) = property { digits.as_str() } else { "" };
    match digits.parse::<f64>() {
        Ok(number) => {
            let bound = number + side * number.abs() * PRINTED;
            out.extend(format!("{bound:e}").bytes());
        }
        Err(_) => out.extend(b"NULL"),
    }
}
