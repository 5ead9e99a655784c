//! A rule's parts as Cypher: what to match, which of it is meant, and what its text is made of.

use crate::engine::cypher::string;
use crate::rule::name::{DEFAULT, Name};
use crate::rule::{Pattern, Rule};

/// A rule, ready to be written into a query in which `n` is a node, or `r` a relationship.
pub(super) struct Shape<'a> {
    rule: &'a Rule,
    /// Its name in the query.
    pub(super) entity: char,
    /// The property that receives the vector.
    pub(super) target: String,
    /// The property that marks a quarantined entity.
    pub(super) error: String,
}

impl<'a> Shape<'a> {
    pub(super) fn new(rule: &'a Rule) -> Self {
        let entity = if rule.pattern.is_relationships() { 'r' } else { 'n' };
        let of = |name: &Name| format!("{entity}.{}", name.quoted());
        Self { rule, entity, target: of(&rule.target), error: of(&rule.error_property) }
    }

    /// Whether the rule is the one made from the settings.
    pub(super) fn is_default(&self) -> bool {
        self.rule.name.as_str() == DEFAULT
    }

    fn property(&self, name: &Name) -> String {
        format!("{}.{}", self.entity, name.quoted())
    }

    /// The properties of its text.
    pub(super) fn properties(&self) -> Vec<String> {
        self.rule.text.properties().iter().map(|name| self.property(name)).collect()
    }

    /// What its text is made of: the value of one property, or a list of several.
    pub(super) fn source(&self) -> String {
        match self.rule.text.bare() {
            Some(source) => self.property(source),
            None => format!("[{}]", self.properties().join(", ")),
        }
    }

    /// A test that holds if there may be a text. For a template this is true of every property that
    /// is there and not an empty string, and no property is of a type that makes it fail.
    pub(super) fn has_text(&self) -> String {
        match self.rule.text.bare() {
            Some(source) => format!("{} > ''", self.property(source)),
            None => format!("({} <> '')", self.properties().join(" <> '' OR ")),
        }
    }

    /// The pattern of a node: the label selects it if there is just one. Of several, it is cheaper
    /// to test for them [last](Self::meant).
    pub(super) fn node(&self) -> String {
        match &self.rule.pattern {
            Pattern::Nodes(labels) if labels.len() == 1 => format!("(n{})", self.alternatives()),
            Pattern::Nodes(_) | Pattern::Relationships(_) => "(n)".into(),
        }
    }

    /// The pattern of what lies in a window of ids.
    pub(super) fn sweep(&self) -> String {
        match self.rule.pattern {
            Pattern::Nodes(_) => self.node(),
            Pattern::Relationships(_) => format!("(n)-{}->()", self.relationship()),
        }
    }

    /// The pattern of a relationship that is searched for.
    pub(super) fn relationship(&self) -> String {
        format!("[r{}]", self.alternatives())
    }

    /// The pattern of a relationship whose ends and id are known. With several types in the pattern
    /// the engine would walk all relationships of a node, so they are [tested](Self::is_meant).
    pub(super) fn known_relationship(&self) -> String {
        match self.rule.pattern.names() {
            [_] => self.relationship(),
            _ => "[r]".into(),
        }
    }

    /// The test of a [known relationship](Self::known_relationship), after an `AND`.
    pub(super) fn is_meant(&self) -> String {
        match self.rule.pattern.names() {
            [] | [_] => String::new(),
            types => {
                let types: Vec<String> = types.iter().map(literal).collect();
                format!(" AND type(r) IN [{}]", types.join(", "))
            }
        }
    }

    /// `:A|B`, or nothing.
    fn alternatives(&self) -> String {
        let names: Vec<String> = self.rule.pattern.names().iter().map(Name::quoted).collect();
        if names.is_empty() { String::new() } else { format!(":{}", names.join("|")) }
    }

    /// How many relationships of the rule begin at `n`.
    pub(super) fn outdegree(&self) -> String {
        let types: Vec<String> = self.rule.pattern.names().iter().map(literal).collect();
        match types.as_slice() {
            [] => "outdegree(n)".into(),
            [only] => format!("outdegree(n, {only})"),
            several => format!("outdegree(n, [{}])", several.join(", ")),
        }
    }

    /// The tests that stand last, each after an `AND`: one label of several, the rule's condition.
    pub(super) fn meant(&self) -> String {
        let mut tests = String::new();
        if let Pattern::Nodes(labels) = &self.rule.pattern
            && labels.len() > 1
        {
            let labels: Vec<_> =
                labels.iter().map(|label| format!("n:{}", label.quoted())).collect();
            tests = format!(" AND ({})", labels.join(" OR "));
        }
        if let Some(condition) = &self.rule.condition {
            tests = format!("{tests} AND ({})", condition.as_str());
        }
        tests
    }

    /// The type, or the first of the rule's labels that the node has.
    pub(super) fn label(&self) -> String {
        match &self.rule.pattern {
            Pattern::Relationships(_) => "type(r)".into(),
            Pattern::Nodes(labels) if labels.len() < 2 => "labels(n)[0]".into(),
            Pattern::Nodes(labels) => {
                let case =
                    |label: &Name| format!("WHEN n:{} THEN {} ", label.quoted(), literal(label));
                format!("CASE {}END", labels.iter().map(case).collect::<String>())
            }
        }
    }
}

/// A name as a string literal.
pub(super) fn literal(name: &Name) -> String {
    let mut out = Vec::new();
    string(&mut out, name.as_str().as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::query::testing::{nodes, relationships};
    use crate::rule::condition::Condition;

    #[test]
    fn several_labels_are_tested_last_and_told_in_the_rules_order() {
        let mut rule = nodes(&["A", "B's"], "text");
        rule.condition = Some(Condition::parse("WHERE", "n.x = 1 OR n.y").unwrap());
        let shape = Shape::new(&rule);
        assert_eq!(shape.node(), "(n)");
        assert_eq!(shape.meant(), " AND (n:`A` OR n:`B's`) AND (n.x = 1 OR n.y)");
        assert_eq!(shape.label(), r"CASE WHEN n:`A` THEN 'A' WHEN n:`B's` THEN 'B\'s' END");
    }

    #[test]
    fn a_template_needs_one_property_that_is_not_empty() {
        let rule = nodes(&["A"], "{a}: {b}");
        let shape = Shape::new(&rule);
        assert_eq!(shape.has_text(), "(n.`a` <> '' OR n.`b` <> '')");
        assert_eq!((shape.source(), shape.node()), ("[n.`a`, n.`b`]".into(), "(n:`A`)".into()));
    }

    #[test]
    fn several_types_are_a_pattern_where_they_are_searched_and_a_test_where_they_are_known() {
        let rule = relationships(&["A", "B"], "fact");
        let shape = Shape::new(&rule);
        assert_eq!(
            (shape.relationship(), shape.known_relationship()),
            ("[r:`A`|`B`]".into(), "[r]".into())
        );
        assert_eq!(shape.is_meant(), " AND type(r) IN ['A', 'B']");
        assert_eq!(shape.outdegree(), "outdegree(n, ['A', 'B'])");
        let any = relationships(&[], "fact");
        assert_eq!(Shape::new(&any).outdegree(), "outdegree(n)");
        assert_eq!(
            (Shape::new(&any).relationship(), Shape::new(&any).is_meant()),
            ("[r]".into(), String::new())
        );
    }
}
