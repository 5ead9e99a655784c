//! `VECTORFILL.RULE LIST`
//!
//! Waits for nothing and works on replicas. The origin is `graph`, `definitions` or `settings`.
//!
//! ```text
//! > VECTORFILL.RULE LIST kb
//! 1) 1) "people"
//!    2) "graph"
//!    3) "NODE Person TEXT name INTO name_embedding"
//! ```
//!
//! `NOPERM` if the user may not read the graph's key. Without a graph, no key is read and no
//! permission is asked for: definitions hold no data, and keys to services are not part of a rule.

use redis_module::{AclPermissions, Context, RedisResult, RedisString, RedisValue};

use crate::entity::GraphName;
use crate::rule::Rule;
use crate::rule::definition::Body;
use crate::rule::set::RuleSet;
use crate::server::commands::{current, error, graph_name, may};
use crate::server::graph::hold::Hold;
use crate::server::own as kept;

/// `LIST [graph]`: the rules that apply to a graph, or those defined for the server, each as
/// `[name, where it comes from, definition]`; one that is kept beside the graph and cannot be in
/// force has the reason as a fourth item.
pub(super) fn list(ctx: &Context, args: &[RedisString]) -> RedisResult {
    let rows = match args {
        [_, _] => defined(&current()?.settings.rules),
        [_, _, graph] => {
            let graph = graph_name(graph)?;
            if !may(ctx, &graph, &AclPermissions::ACCESS) {
                return error("NOPERM", format_args!("this user may not read '{graph}'"));
            }
            let hold = Hold::of_command(ctx);
            kept::read(&hold);
            let rules = &current()?.settings.rules;
            let mut rows = in_force(rules, &graph);
            rows.extend(idle(&hold, rules, &graph));
            rows
        }
        _ => return error("ERR", "syntax: VECTORFILL.RULE LIST [graph]"),
    };
    Ok(RedisValue::Array(rows))
}

/// Those defined for the server.
fn defined(rules: &RuleSet) -> Vec<RedisValue> {
    let defined = rules.defined.iter().map(|rule| (rule, "definitions"));
    let default = rules.default.iter().map(|rule| (rule, "settings"));
    defined.chain(default).map(|(rule, from)| row(of_rule(rule, from))).collect()
}

fn in_force(rules: &RuleSet, graph: &GraphName) -> Vec<RedisValue> {
    let own = |rule: &Rule| rules.own.get(graph).is_some_and(|o| o.iter().any(|r| **r == *rule));
    let from = |rule: &Rule| match () {
        () if own(rule) => "graph",
        () if rules.default.as_deref() == Some(rule) => "settings",
        () => "definitions",
    };
    rules.of(graph).iter().map(|rule| row(of_rule(rule, from(rule)))).collect()
}

/// Those kept beside the graph that cannot be in force, and why.
fn idle(hold: &Hold<'_>, rules: &RuleSet, graph: &GraphName) -> Vec<RedisValue> {
    let in_force = rules.of(graph);
    let why = |name: &str, body: &str| match kept::read_kept(name, body) {
        Err(why) => Some(why),
        Ok(rule) if in_force.contains(&rule) => None,
        Ok(_) => Some("another rule fills the same property, or there are too many".into()),
    };
    let texts = kept::texts(hold, graph).into_iter();
    let idle = texts.filter_map(|(name, body)| {
        let why = why(&name, &body)?;
        Some(row([name, "graph".to_owned(), body, why]))
    });
    idle.collect()
}

fn of_rule(rule: &Rule, from: &str) -> [String; 3] {
    [rule.name.to_string(), from.to_owned(), Body(rule).to_string()]
}

fn row(words: impl IntoIterator<Item = String>) -> RedisValue {
    RedisValue::Array(words.into_iter().map(RedisValue::BulkString).collect())
}
