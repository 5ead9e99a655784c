//! `VECTORFILL.RUN [graph [RULE rule]] [WAIT timeout-ms]`
//!
//! A pass runs on the worker. Without `WAIT` the command only leaves a request there.
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.RUN [graph [RULE rule]] [WAIT timeout-ms]
//! ```
//!
//! `timeout-ms` is 0 to 4294967295; 0 waits without a limit. A graph may be called `WAIT`: the word
//! counts as the option only if a number follows it.
//!
//! # Reply
//!
//! `OK` without `WAIT`, else the tally of the pass once it has ended:
//!
//! ```text
//! > VECTORFILL.RUN kb WAIT 10000
//! "deferred" 0  "duration_ms" 412  "error" (nil)  "graphs" 1  "quarantined" 0  "requests" 7
//! "selected" 311  "stale" 0  "tokens" 9120  "truncated" 0  "written" 311
//! ```
//!
//! # Errors
//!
//! `DISABLED`, `READONLY` on a replica, `NOENGINE`, `NOGRAPH`, `NORULE`, `NOKEY` if no embedder
//! that is needed has its key, `NOPERM` without a graph if the user may not write all of them,
//! `TIMEOUT` once the limit has passed (the pass goes on), `ERR` for `WAIT` inside MULTI or a
//! script, and when the worker's queue is full.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis_module::{
    AclPermissions, Context, ContextFlags, RedisError, RedisResult, RedisString, RedisValue,
};
use redis_module_macros::command;

use crate::entity::GraphName;
use crate::fill::port::server::RunFault;
use crate::rule::Rule;
use crate::rule::name::{EmbedderName, RuleName};
use crate::server::commands::args::Args;
use crate::server::commands::blocking::{Limit, fault, hand_over, may_wait, wait};
use crate::server::commands::choose::rule_name;
use crate::server::commands::{
    answered, choose, current, error, found, graph_name, may, needs_engine,
};
use crate::server::ffi::{KeyUse, key_at};
use crate::server::graph::hold::Hold;
use crate::server::graph::survey::graphs;
use crate::server::status;
use crate::worker;
use crate::worker::Config;

#[command({
    name: "vectorfill.run",
    flags: [Write, DenyOOM, NoMandatoryKeys, GetkeysApi],
    summary: "Schedules a pass that gives vectors to the nodes that have none.",
    complexity: "O(1); the pass itself runs in the background",
    since: "0.1.0",
    arity: -1,
    key_spec: [{
        notes: "The graph is optional; without it, the pass covers all. WAIT is not a graph.",
        flags: [ReadWrite, Update, VariableFlags],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        {
            name: "graph", arg_type: Key, key_spec_index: 0, flags: [Optional],
            summary: "Only this graph.",
        },
        {
            name: "rule", arg_type: String, token: "RULE", flags: [Optional],
            summary: "Only what this rule fills.",
        },
        {
            name: "timeout-ms", arg_type: Integer, token: "WAIT", flags: [Optional],
            summary: "Waits for the end of the pass, at most this many milliseconds; 0 = no limit.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn run(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    // Redis asks which arguments are keys; by the key specification alone, the word WAIT would be
    // one.
    if ctx.is_keys_position_request() {
        if parse(&args).is_ok_and(|request| request.graph.is_some()) {
            key_at(ctx, 1, KeyUse::Update);
        }
        return Ok(RedisValue::NoReply);
    }
    answered(|| {
        let request = parse(&args)?;
        refuse(ctx, &request)?;
        match request.wait {
            Some(limit) => wait(
                ctx,
                limit,
                |user| worker::port::Request::Run(request.graph, request.rule, Some(user)),
                |client, tally| client.reply(Ok(status::tally(&tally))),
            ),
            None => hand_over(worker::port::Request::Run(request.graph, request.rule, None))
                .map(|()| RedisValue::SimpleStringStatic("OK")),
        }
    })
}

struct Request {
    graph: Option<GraphName>,
    rule: Option<RuleName>,
    wait: Option<Limit>,
}

const SYNTAX: &str = "VECTORFILL.RUN [graph [RULE rule]] [WAIT timeout-ms]";

fn parse(args: &[RedisString]) -> Result<Request, RedisError> {
    let mut args = Args::new(args, SYNTAX);
    // WAIT on its own is a graph of that name: no number follows it.
    let named = args.len() % 2 == 1;
    let graph = if named { Some(graph_name(args.next()?)?) } else { None };
    let rule = match &graph {
        Some(_) => args.option("RULE")?.map(rule_name).transpose()?,
        None => None,
    };
    let wait = args.option("WAIT")?.map(parse_limit).transpose()?;
    args.end()?;
    Ok(Request { graph, rule, wait })
}

fn parse_limit(arg: &RedisString) -> Result<Limit, RedisError> {
    match arg.to_string_lossy().parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms.into()))),
        Err(_) => error(
            "ERR",
            format_args!("WAIT '{arg}': a whole number of milliseconds from 0 to {}", u32::MAX),
        ),
    }
}

/// Refuses at once what cannot work. The worker checks again, as things may have changed by then.
fn refuse(ctx: &Context, request: &Request) -> Result<(), RedisError> {
    let current = current()?;
    if !current.settings.enabled {
        return fault(&RunFault::Disabled);
    }
    let flags = ctx.get_flags();
    if flags.contains(ContextFlags::SLAVE) {
        return fault(&RunFault::Replica);
    }
    needs_engine()?;
    if request.graph.is_none() && !may_write_all(ctx) {
        return error("NOPERM", "this user may not write all graphs: name one");
    }
    if let Some(graph) = &request.graph {
        found(ctx, graph)?;
        if let Some(rule) = &request.rule {
            choose::rule(&current, graph, rule)?;
        } else if current.settings.rules.of(graph).is_empty() {
            return error("ERR", format_args!("vectorfill.graphs leaves out the graph '{graph}'"));
        }
    }
    missing_key(&current, request)?;
    if request.wait.is_some() { may_wait(ctx, "WAIT") } else { Ok(()) }
}

/// Refuses if no embedder that is needed has its key.
fn missing_key(config: &Config, request: &Request) -> Result<(), RedisError> {
    let rules = request.graph.as_ref().map(|graph| config.settings.rules.of(graph));
    let wanted = |rule: &&Arc<Rule>| request.rule.as_ref().is_none_or(|name| rule.name == *name);
    let needed: BTreeSet<&EmbedderName> = match &rules {
        Some(rules) => rules.iter().filter(wanted).map(|rule| &rule.embedder).collect(),
        None => config.embedders.keys().collect(),
    };
    let missing = needed.iter().map(|name| config.embedders.get(*name)?.missing_key());
    let missing: Option<Vec<String>> = missing.collect();
    match missing.as_deref() {
        Some([reason, ..]) => error("NOKEY", reason),
        Some([]) | None => Ok(()),
    }
}

/// A pass over all graphs requires write permission on every one of them.
fn may_write_all(ctx: &Context) -> bool {
    let permission = AclPermissions::UPDATE;
    graphs(&Hold::of_command(ctx)).iter().all(|graph| may(ctx, graph, &permission))
}
