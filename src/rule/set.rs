//! All rules, and which of them apply to a graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::entity::GraphName;
use crate::rule::Rule;
use crate::rule::name::RuleName;

/// The rules in force.
///
/// A graph's own rules come before those defined for the server; among equal names, only the first
/// counts. The rule made from the settings comes last, and only where nobody else fills its target.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RuleSet {
    /// Rules kept beside a graph.
    pub own: Arc<BTreeMap<GraphName, Vec<Arc<Rule>>>>,
    /// Rules defined for the server.
    pub defined: Arc<[Arc<Rule>]>,
    /// The rule made from the settings.
    pub default: Option<Arc<Rule>>,
}

impl RuleSet {
    /// Only the rule made from the settings.
    #[cfg(test)]
    pub(crate) fn of_default(rule: Rule) -> Self {
        Self { default: Some(Arc::new(rule)), ..Self::default() }
    }

    /// The rules that apply to a graph, each name once.
    pub(crate) fn of(&self, graph: &GraphName) -> Vec<Arc<Rule>> {
        let own = self.own.get(graph).into_iter().flatten();
        let defined = self.defined.iter().filter(|rule| rule.graphs.matches(graph));
        let default = self.default.iter().filter(|rule| rule.graphs.matches(graph));
        let mut rules: Vec<Arc<Rule>> = Vec::new();
        for rule in own.chain(defined).chain(default) {
            let beaten = |known: &Arc<Rule>| known.name == rule.name || known.clashes_with(rule);
            if !rules.iter().any(beaten) {
                rules.push(Arc::clone(rule));
            }
        }
        rules
    }

    /// The rule of this name that applies to a graph.
    pub(crate) fn get(&self, graph: &GraphName, name: &RuleName) -> Option<Arc<Rule>> {
        self.of(graph).into_iter().find(|rule| rule.name == *name)
    }

    /// Whether any rule applies to a graph.
    pub(crate) fn covers(&self, graph: &GraphName) -> bool {
        let matches = |rule: &Arc<Rule>| rule.graphs.matches(graph);
        self.own.get(graph).is_some_and(|own| !own.is_empty())
            || self.defined.iter().any(matches)
            || self.default.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::globs::Globs;
    use crate::rule::name::Name;
    use crate::rule::testing::rule;
    use crate::rule::{Pattern, Rule};

    fn named(name: &str, label: Option<&str>, target: &str) -> Arc<Rule> {
        let label = label.map(|label| Name::parse("NODE", label).unwrap());
        Arc::new(Rule {
            name: RuleName::parse("RULE", name).unwrap(),
            pattern: Pattern::Nodes(label.into_iter().collect()),
            target: Name::parse("INTO", target).unwrap(),
            ..rule()
        })
    }

    fn names(rules: &[Arc<Rule>]) -> Vec<&str> {
        rules.iter().map(|rule| rule.name.as_str()).collect()
    }

    #[test]
    fn the_settings_rule_gives_way_where_another_fills_its_target() {
        let rules = RuleSet {
            defined: [named("docs", Some("Doc"), "embedding"), named("titles", None, "title_vec")]
                .into(),
            default: Some(named("default", None, "embedding")),
            ..RuleSet::default()
        };
        assert_eq!(names(&rules.of(&GraphName::new("g"))), ["docs", "titles"]);
        let elsewhere = RuleSet { defined: [named("titles", None, "vec")].into(), ..rules };
        assert_eq!(names(&elsewhere.of(&GraphName::new("g"))), ["titles", "default"]);
    }

    #[test]
    fn a_graphs_own_rule_beats_one_of_its_name_and_one_of_its_target() {
        let graph = GraphName::new("g");
        let own = vec![named("docs", Some("Doc"), "a"), named("mine", Some("X"), "b")];
        let rules = RuleSet {
            own: Arc::new(BTreeMap::from([(graph.clone(), own)])),
            defined: [named("docs", Some("Doc"), "c"), named("theirs", None, "b")].into(),
            default: None,
        };
        assert_eq!(names(&rules.of(&graph)), ["docs", "mine"]);
        let target = rules.of(&graph)[0].target.clone();
        assert_eq!(target.as_str(), "a");
        assert_eq!(names(&rules.of(&GraphName::new("h"))), ["docs", "theirs"]);
    }

    #[test]
    fn a_rule_applies_where_its_globs_match() {
        let only = Arc::new(Rule {
            graphs: Globs::parse("GRAPHS", "kb-* !kg-*").unwrap(),
            ..Rule::clone(&named("r", None, "v"))
        });
        let rules = RuleSet { defined: [only].into(), ..RuleSet::default() };
        assert!(rules.covers(&GraphName::new("kb-1")) && !rules.covers(&GraphName::new("x")));
        assert_eq!(rules.of(&GraphName::new("x")), []);
    }
}
