//! `VECTORFILL.RULE SET|DEL|GET|LIST|TEST`
//!
//! The rules of a graph are kept in a hash beside it, so they are saved, replicated and moved with
//! the data. Only graphs of database 0 have any.
//!
//! # Syntax and replies
//!
//! ```text
//! VECTORFILL.RULE SET graph rule definition…      OK
//! VECTORFILL.RULE DEL graph rule                  1, or 0 = there was no such rule
//! VECTORFILL.RULE GET graph rule                  the definition; null = no such rule applies
//! VECTORFILL.RULE LIST [graph]                    rows [name, origin, definition]
//! VECTORFILL.RULE TEST graph rule [definition…]   a map: what the rule would do
//! ```
//!
//! `SET` may come before the graph exists. It replaces a rule of the same name.
//!
//! ```text
//! > VECTORFILL.RULE SET kb people NODE Person TEXT name INTO name_embedding
//! OK
//! ```
//!
//! # Errors
//!
//! `READONLY` for `SET` and `DEL` on a replica, `OOM` for `SET` without memory, `ERR` for a
//! database other than 0, a definition that is wrong (it names the argument), an unknown embedder,
//! a 65th rule of one graph, and a property that another of its own rules writes already.

mod list;
mod test;

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::rule::Rule;
use crate::rule::definition::{Body, own};
use crate::rule::name::RuleName;
use crate::server::commands::args::Args;
use crate::server::commands::{answered, choose, current, error, graph_name};
use crate::server::ffi::{KeyUse, key_at, selected_db};
use crate::server::graph::hold::Hold;
use crate::server::graph::state::takes_writes_beside;
use crate::server::own as kept;

#[command({
    name: "vectorfill.rule",
    // Not a write: GET, LIST and TEST are answered on replicas, too. SET and DEL ask for themselves.
    flags: [MayReplicate, NoMandatoryKeys, GetkeysApi],
    summary: "Sets, deletes, shows, lists and tests the rules that fill a graph.",
    complexity: "O(N) with N the number of rules; TEST counts what is pending in the graph",
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
            summary: "SET graph rule definition, DEL graph rule, GET graph rule, LIST [graph], or \
                      TEST graph rule [definition].",
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
            let reads = args.get(1).is_some_and(|word| READS.iter().any(|name| is(word, name)));
            key_at(ctx, 2, if reads { KeyUse::Read } else { KeyUse::Update });
        }
        return Ok(RedisValue::NoReply);
    }
    answered(|| {
        let Some(action) = args.get(1) else { return Err(RedisError::WrongArity) };
        if selected_db(ctx) != 0 {
            return error("ERR", "only the graphs of database 0 are filled: SELECT 0");
        }
        match action.to_string_lossy().to_uppercase().as_str() {
            "SET" => set(ctx, &args),
            "DEL" => delete(ctx, &args),
            "GET" => get(ctx, &args),
            "LIST" => list::list(ctx, &args),
            "TEST" => test::test(ctx, &args),
            _ => error("ERR", format_args!("'{action}': SET, DEL, GET, LIST or TEST")),
        }
    })
}

/// The actions that change nothing.
const READS: [&str; 3] = ["GET", "LIST", "TEST"];

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
    let hold = Hold::of_command(ctx);
    // What was changed in the same transaction counts.
    kept::read(&hold);
    check_writable(&hold, &graph)?;
    check_condition(&hold, &graph, &rule)?;
    check_place(&graph, &rule)?;
    kept::set(&hold, &graph, &rule).or_else(|why| error("ERR", why))?;
    kept::read(&hold);
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

/// Refuses to write where the client could not: on a replica, without memory, in a pause.
fn check_writable(hold: &Hold<'_>, graph: &GraphName) -> Result<(), RedisError> {
    match takes_writes_beside(hold, graph) {
        Ok(()) => Ok(()),
        Err(StoreFault::Replica) => error("READONLY", "this server is a replica: ask its master"),
        Err(fault @ StoreFault::OutOfMemory) => error("OOM", fault),
        Err(fault) => error("ERR", fault),
    }
}

/// Refuses a rule that could not be in force beside the others.
fn check_place(graph: &GraphName, rule: &Rule) -> Result<(), RedisError> {
    let current = current()?;
    if !current.embedders.contains_key(&rule.embedder) {
        return choose::no_embedder(&current, &rule.embedder);
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
    Ok(())
}

/// Has the engine plan the rule's predicate, where there is a graph to plan it for.
fn check_condition(hold: &Hold<'_>, graph: &GraphName, rule: &Rule) -> Result<(), RedisError> {
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
    let hold = Hold::of_command(ctx);
    // What is deleted needs no memory.
    if takes_writes_beside(&hold, &graph) != Err(StoreFault::OutOfMemory) {
        check_writable(&hold, &graph)?;
    }
    let deleted = kept::delete(&hold, &graph, &rule).or_else(|why| error("ERR", why))?;
    kept::read(&hold);
    Ok(RedisValue::Integer(deleted.into()))
}

/// `GET graph rule`: its definition, wherever it comes from; null = no such rule applies.
fn get(ctx: &Context, args: &[RedisString]) -> RedisResult {
    let (graph, rule) = named(args, "VECTORFILL.RULE GET graph rule")?;
    kept::read(&Hold::of_command(ctx));
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
