//! `VECTORFILL.RULE SET|DEL|GET|LIST`

use redis_module::{AclPermissions, Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::entity::GraphName;
use crate::rule::Rule;
use crate::rule::definition::{Body, own};
use crate::rule::name::RuleName;
use crate::server::commands::args::Args;
use crate::server::commands::{answered, choose, current, error, graph_name, may};
use crate::server::ffi::{KeyUse, key_at};
use crate::server::graph::hold::Hold;
use crate::server::own as kept;

#[command({
    name: "vectorfill.rule",
    flags: [Write, DenyOOM, NoMandatoryKeys, GetkeysApi],
    summary: "Sets, deletes, shows and lists the rules that fill a graph.",
    complexity: "O(N) with N the number of rules",
    since: "0.2.0",
    arity: -2,
    key_spec: [{
        notes: "The graph whose rules are meant; LIST does without.",
        flags: [ReadWrite, Update, VariableFlags],
        begin_search: Index({ index: 2 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        {
            name: "action", arg_type: String,
            summary: "SET graph rule definition, DEL graph rule, GET graph rule, or LIST [graph].",
        },
        { name: "graph", arg_type: Key, key_spec_index: 0, flags: [Optional] },
        { name: "rule", arg_type: String, flags: [Optional], summary: "The name of a rule." },
        {
            name: "definition", arg_type: String, flags: [Optional, Multiple],
            summary: "NODE label or REL type, TEXT property or template, INTO property, ...",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn rule(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    if ctx.is_keys_position_request() {
        if args.len() > 2 {
            let reads = args.get(1).is_some_and(|word| is(word, "GET") || is(word, "LIST"));
            key_at(ctx, 2, if reads { KeyUse::Read } else { KeyUse::Update });
        }
        return Ok(RedisValue::NoReply);
    }
    answered(|| {
        let Some(action) = args.get(1) else { return Err(RedisError::WrongArity) };
        match action.to_string_lossy().to_uppercase().as_str() {
            "SET" => set(ctx, &args),
            "DEL" => delete(ctx, &args),
            "GET" => get(ctx, &args),
            "LIST" => list(ctx, &args),
            _ => error("ERR", format_args!("'{action}': SET, DEL, GET, LIST or TEST")),
        }
    })
}

fn is(word: &RedisString, name: &str) -> bool {
    word.as_slice().eq_ignore_ascii_case(name.as_bytes())
}

/// Number of the rule's name among the arguments.
const NAME: usize = 3;

/// `SET graph rule …`: keeps a rule beside its graph.
fn set(ctx: &Context, args: &[RedisString]) -> RedisResult {
    let (Some(graph), Some(words)) = (args.get(2), args.get(NAME..).filter(|w| !w.is_empty()))
    else {
        return error("ERR", "syntax: VECTORFILL.RULE SET graph rule NODE label TEXT … INTO …");
    };
    let graph = graph_name(graph)?;
    let rule = parse(words)?;
    check(ctx, &graph, &rule)?;
    let hold = Hold::of_command(ctx);
    kept::set(&hold, &graph, &rule).or_else(|why| error("ERR", why))?;
    Ok(RedisValue::SimpleStringStatic("OK"))
}

/// Parses a rule's name and definition.
pub(super) fn parse(words: &[RedisString]) -> Result<Rule, RedisError> {
    let words: Vec<&[u8]> = words.iter().map(RedisString::as_slice).collect();
    let max_text_chars = current()?.settings.max_text_chars;
    match own::of_arguments(&words, NAME, max_text_chars) {
        Ok(defined) => Ok(defined.rule),
        Err(wrong) => error("ERR", wrong),
    }
}

/// Refuses a rule that could not be in force.
fn check(ctx: &Context, graph: &GraphName, rule: &Rule) -> Result<(), RedisError> {
    let current = current()?;
    if !current.embedders.contains_key(&rule.embedder) {
        let names: Vec<&str> = current.embedders.keys().map(|name| name.as_str()).collect();
        let words = format!("EMBEDDER '{}': one of {}", rule.embedder, names.join(", "));
        return error("ERR", words);
    }
    let known = kept::known();
    let own = known.get(graph).map(Vec::as_slice).unwrap_or_default();
    if own.len() >= kept::MAX_RULES && own.iter().all(|known| known.name != rule.name) {
        return error("ERR", format_args!("at most {} rules of one graph", kept::MAX_RULES));
    }
    let clash = own.iter().find(|known| known.name != rule.name && known.clashes_with(rule));
    if let Some(clash) = clash {
        let target = rule.target.as_str();
        return error(
            "ERR",
            format_args!(
                "the rules '{}' and '{}' would both write the property '{target}' of the same \
                 entities: another INTO, or another label",
                rule.name, clash.name
            ),
        );
    }
    check_condition(ctx, graph, rule)
}

/// Has the engine plan the rule's predicate, where there is a graph to plan it for.
fn check_condition(ctx: &Context, graph: &GraphName, rule: &Rule) -> Result<(), RedisError> {
    let hold = Hold::of_command(ctx);
    let Some(condition) = rule.condition.as_ref().filter(|_| hold.find_graph(graph).is_ok()) else {
        return Ok(());
    };
    let pattern = if rule.pattern.is_relationships() { "()-[r]->()" } else { "(n)" };
    let query = format!("MATCH {pattern} WHERE ({}) RETURN 1", condition.as_str());
    match hold.explain(graph, query.as_bytes()) {
        Ok(()) => Ok(()),
        Err(fault) => error("ERR", format_args!("WHERE '{}': {fault}", condition.as_str())),
    }
}

/// `DEL graph rule`: the graph is no longer filled by it. What it has filled stays.
fn delete(ctx: &Context, args: &[RedisString]) -> RedisResult {
    let (graph, rule) = named(args, "VECTORFILL.RULE DEL graph rule")?;
    match kept::delete(&Hold::of_command(ctx), &graph, &rule) {
        Ok(deleted) => Ok(RedisValue::Integer(deleted.into())),
        Err(why) => error("ERR", why),
    }
}

/// `GET graph rule`: its definition, wherever it comes from; null = no such rule applies.
fn get(_: &Context, args: &[RedisString]) -> RedisResult {
    let (graph, rule) = named(args, "VECTORFILL.RULE GET graph rule")?;
    let rule = current()?.settings.rules.get(&graph, &rule);
    let body = rule.map(|rule| Body(&rule).to_string());
    Ok(body.map_or(RedisValue::Null, RedisValue::BulkString))
}

fn named(args: &[RedisString], syntax: &'static str) -> Result<(GraphName, RuleName), RedisError> {
    // The action is read like a command's name.
    let mut args = Args::new(args.get(1..).unwrap_or_default(), syntax);
    let (graph, rule) = (graph_name(args.next()?)?, choose::rule_name(args.next()?)?);
    args.end()?;
    Ok((graph, rule))
}

/// `LIST [graph]`: the rules that apply to a graph, or those defined for the server, each as
/// `[name, where it comes from, definition]`; one that is kept beside the graph and cannot be in
/// force has its error as a fourth item.
fn list(ctx: &Context, args: &[RedisString]) -> RedisResult {
    let current = current()?;
    let rules = &current.settings.rules;
    let row = |rule: &Rule, from: &str| {
        let words = [rule.name.to_string(), from.to_owned(), Body(rule).to_string()];
        RedisValue::Array(words.map(RedisValue::BulkString).into())
    };
    let Some(graph) = args.get(2) else {
        let defined = rules.defined.iter().map(|rule| row(rule, "definitions"));
        let default = rules.default.iter().map(|rule| row(rule, "settings"));
        return Ok(RedisValue::Array(defined.chain(default).collect()));
    };
    if args.len() > 3 {
        return error("ERR", "syntax: VECTORFILL.RULE LIST [graph]");
    }
    let graph = graph_name(graph)?;
    if !may(ctx, &graph, &AclPermissions::ACCESS) {
        return error("NOPERM", format_args!("this user may not read '{graph}'"));
    }
    let own = |rule: &Rule| rules.own.get(&graph).is_some_and(|o| o.iter().any(|r| **r == *rule));
    let is_default = |rule: &Rule| rules.default.as_deref() == Some(rule);
    let from = |rule: &Rule| match () {
        () if own(rule) => "graph",
        () if is_default(rule) => "settings",
        () => "definitions",
    };
    let mut rows: Vec<RedisValue> =
        rules.of(&graph).iter().map(|rule| row(rule, from(rule))).collect();
    for (name, body) in kept::texts(&Hold::of_command(ctx), &graph) {
        if let Err(why) = kept::read_kept(&name, &body) {
            let words = [name, "graph".to_owned(), body, why];
            rows.push(RedisValue::Array(words.map(RedisValue::BulkString).into()));
        }
    }
    Ok(RedisValue::Array(rows))
}
