//! How the text of an entity is made from its properties.
//!
//! A template is written as `{title}: {body}[ ({author})]`: `{p}` is the text of a property, and
//! what stands between brackets is left out if a property in it is absent or blank. `{{`, `}}`,
//! `[[` and `]]` are the characters themselves. A word without `{` is the name of the one property
//! that holds the text.

use crate::entity::property::Property;
use crate::error::Error;
use crate::rule::name::Name;

/// A parsed template. It uses at least one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    source: String,
    parts: Vec<Part>,
    /// Each property once, in the order of their first use.
    properties: Vec<Name>,
    bare: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// The property at this place among the template's properties.
    Property(usize),
    /// Left out if a property in it is absent or blank.
    Optional(Vec<Part>),
}

impl Template {
    /// The text of one property, as it is.
    pub(crate) fn property(name: Name) -> Self {
        Self {
            source: name.as_str().to_owned(),
            parts: vec![Part::Property(0)],
            properties: vec![name],
            bare: true,
        }
    }

    /// Parses a property's name, or a template if it holds a `{`; `setting` names it in errors.
    pub(crate) fn parse(setting: &str, source: &str) -> Result<Self, Error> {
        if !source.contains('{') {
            return Name::parse(setting, source).map(Self::property);
        }
        let mut parser = Parser { setting, source, rest: source, properties: Vec::new() };
        let parts = parser.parts(false)?;
        let properties = parser.properties;
        if properties.is_empty() {
            let expected = "a template must use a property, as in {title}";
            return Err(Error::setting(setting, source, expected));
        }
        Ok(Self { source: source.to_owned(), parts, properties, bare: false })
    }

    /// As the user wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.source
    }

    /// The one property whose text is used as it is, if that is all.
    pub(crate) fn bare(&self) -> Option<&Name> {
        self.properties.first().filter(|_| self.bare)
    }

    /// The properties it uses, each once.
    pub(crate) fn properties(&self) -> &[Name] {
        &self.properties
    }

    /// The text made from these values, which stand in the order of
    /// [`properties`](Self::properties).
    pub(crate) fn compose(&self, values: &[Property]) -> Composed {
        let texts: Option<Vec<_>> = values.iter().map(Property::text).collect();
        let Some(texts) = texts else { return Composed::Unusable };
        if texts.iter().all(|text| is_blank(text)) {
            return Composed::Blank;
        }
        let mut out = Vec::new();
        write(&self.parts, &texts, &mut out);
        if is_blank(&out) { Composed::Blank } else { Composed::Text(out) }
    }
}

/// What became of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Composed {
    /// A text to embed.
    Text(Vec<u8>),
    /// No property gives any text.
    Blank,
    /// A property is of a type that no text is made from.
    Unusable,
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_whitespace)
}

fn write<T: AsRef<[u8]>>(parts: &[Part], texts: &[T], out: &mut Vec<u8>) {
    let text = |place: &usize| texts.get(*place).map(AsRef::as_ref).unwrap_or_default();
    for part in parts {
        match part {
            Part::Literal(literal) => out.extend(literal.bytes()),
            Part::Property(place) => out.extend(text(place)),
            Part::Optional(inner) => {
                let filled = |part: &Part| match part {
                    Part::Property(place) => !is_blank(text(place)),
                    Part::Literal(_) | Part::Optional(_) => true,
                };
                if inner.iter().all(filled) {
                    write(inner, texts, out);
                }
            }
        }
    }
}

struct Parser<'a> {
    setting: &'a str,
    source: &'a str,
    rest: &'a str,
    properties: Vec<Name>,
}

impl Parser<'_> {
    fn parts(&mut self, optional: bool) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(found) = self.next() {
            let twice = matches!(found, '{' | '}' | '[' | ']') && self.rest.starts_with(found);
            if twice {
                self.next();
            }
            match found {
                _ if twice => literal.push(found),
                '{' => {
                    end_literal(&mut literal, &mut parts);
                    parts.push(Part::Property(self.property()?));
                }
                '[' if !optional => {
                    end_literal(&mut literal, &mut parts);
                    parts.push(Part::Optional(self.parts(true)?));
                }
                '[' => return self.refuse("optional parts cannot be nested; [[ is a bracket"),
                ']' if optional => {
                    end_literal(&mut literal, &mut parts);
                    return self.optional(parts);
                }
                ']' => return self.refuse("] without [; ]] is a bracket"),
                '}' => return self.refuse("} without {; }} is a brace"),
                other => literal.push(other),
            }
        }
        if optional {
            return self.refuse("[ without ]; [[ is a bracket");
        }
        end_literal(&mut literal, &mut parts);
        Ok(parts)
    }

    fn optional(&self, parts: Vec<Part>) -> Result<Vec<Part>, Error> {
        if parts.iter().any(|part| matches!(part, Part::Property(_))) {
            return Ok(parts);
        }
        self.refuse("an optional part must use a property; [[ is a bracket")
    }

    /// The place of the property named up to the closing brace.
    fn property(&mut self) -> Result<usize, Error> {
        let Some((name, rest)) = self.rest.split_once('}') else {
            return self.refuse("{ without }; {{ is a brace");
        };
        self.rest = rest;
        let name = Name::parse(self.setting, name)?;
        if let Some(place) = self.properties.iter().position(|known| *known == name) {
            return Ok(place);
        }
        self.properties.push(name);
        Ok(self.properties.len() - 1)
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn refuse<T>(&self, expected: &str) -> Result<T, Error> {
        Err(Error::setting(self.setting, self.source, expected))
    }
}

fn end_literal(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Property {
        Property::Text(text.into())
    }

    fn composed(template: &str, values: &[Property]) -> String {
        match Template::parse("TEXT", template).unwrap().compose(values) {
            Composed::Text(bytes) => String::from_utf8(bytes).unwrap(),
            other @ (Composed::Blank | Composed::Unusable) => format!("{other:?}"),
        }
    }

    #[test]
    fn absent_properties_are_empty_and_lists_are_joined() {
        let template = "\ntitle: {title}\ncontent: {content}";
        let both = [text("A"), text("B")];
        assert_eq!(composed(template, &both), "\ntitle: A\ncontent: B");
        assert_eq!(composed(template, &[text("A"), Property::Absent]), "\ntitle: A\ncontent: ");
        let list = Property::List(vec![text("a"), text("b")]);
        assert_eq!(composed("{x} aka {y}", &[text("X"), list]), "X aka a, b");
    }

    #[test]
    fn an_optional_part_is_left_out_if_a_property_in_it_is_absent_or_blank() {
        let template = "{name}[ ({city}, {country})]";
        let values = [text("Zoë"), text("Rome"), text("Italy")];
        assert_eq!(composed(template, &values), "Zoë (Rome, Italy)");
        assert_eq!(composed(template, &[text("Zoë"), text("Rome"), text(" ")]), "Zoë");
        assert_eq!(composed(template, &[text("Zoë"), Property::Absent, text("Italy")]), "Zoë");
    }

    #[test]
    fn nothing_is_made_from_blank_or_unusable_properties() {
        let template = "title: {title}, {year}";
        assert_eq!(composed(template, &[Property::Absent, text(" \n")]), "Blank");
        assert_eq!(composed(template, &[text("A"), Property::Unusable]), "Unusable");
        assert_eq!(composed(template, &[Property::Absent, Property::Integer(0)]), "title: , 0");
    }

    #[test]
    fn doubled_characters_stand_for_themselves() {
        assert_eq!(composed("{{{a}}} [[{a}]]", &[text("x")]), "{x} [x]");
    }

    #[test]
    fn a_mistake_is_named() {
        let refused = |source| Template::parse("TEXT", source).unwrap_err().to_string();
        for (source, word) in [
            ("{a", "without }"),
            ("{a}}", "without {"),
            ("[{a}", "without ]"),
            ("{a}]", "without ["),
            ("[x {a} [ {b}]]", "nested"),
            ("{a}[x]", "must use a property"),
            ("{{x}}", "must use a property"),
            ("{}", "must not be empty"),
        ] {
            assert!(refused(source).contains(word), "{source}: {}", refused(source));
        }
    }

    #[test]
    fn a_bare_word_is_a_property() {
        let bare = Template::parse("TEXT", "my text").unwrap();
        assert_eq!(bare.bare().map(Name::as_str), Some("my text"));
        let template = Template::parse("TEXT", "{a}{b}{a}").unwrap();
        assert_eq!((template.bare(), template.properties().len()), (None, 2));
    }
}
