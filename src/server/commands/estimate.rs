//! `VECTORFILL.ESTIMATE [graph [RULE rule]]`
//!
//! Of one graph it blocks its client and samples texts; of all it only reads what the worker knows.
//!
//! ```text
//! > VECTORFILL.ESTIMATE kb
//! "rules" ["default" [… "embedder" "default" "price" "0.02" "price_as_of" …]]
//! "sums"  ["distinct" 300 "sampled" 50 "seconds" 12 "texts" 311 "tokens" 9120 "usd" "0.0002"]
//! ```
//!
//! Null = not known. Prices are US$ per million tokens. Errors: `NOGRAPH`, `NORULE`, `NOENGINE`,
//! `NOPERM`, and `TIMEOUT` once a minute has passed.

use std::sync::Arc;

use redis_module::redisvalue::RedisValueKey;
use redis_module::{AclPermissions, Context, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::embed::provider::price::Price;
use crate::engine::query::preview::Seen;
use crate::entity::{GraphName, Text};
use crate::fill::port::server::RunFault;
use crate::fill::status::GraphFigures;
use crate::fill::tally::Tally;
use crate::rule::Rule;
use crate::rule::estimate::{Estimate, Rates};
use crate::rule::name::{EmbedderName, RuleName};
use crate::server::blocked_client::Client;
use crate::server::commands::args::Args;
use crate::server::commands::blocking::{fault, may_wait};
use crate::server::commands::preview::{LIMIT, look_at_each};
use crate::server::commands::{answered, choose, current, error, may, text_query};
use crate::server::config;
use crate::server::ffi::{KeyUse, key_at};
use crate::server::graph::hold::Hold;
use crate::server::handle::with_worker;
use crate::server::own as kept;
use crate::server::status::{integer, map, of_rule, text};
use crate::worker::{Config, Published, Worker};

#[command({
    name: "vectorfill.estimate",
    flags: [ReadOnly, NoMandatoryKeys, GetkeysApi],
    summary: "Estimates the tokens, the price and the time it takes to fill what is pending.",
    complexity: "O(N) with N the nodes of the graph, on the engine's own threads; O(G) without one",
    since: "0.2.0",
    arity: -1,
    key_spec: [{
        notes: "The graph is optional; without it, all are estimated from figures known already.",
        flags: [ReadOnly, Access, VariableFlags],
        begin_search: Index({ index: 1 }),
        find_keys: Range({ last_key: 0, steps: 1, limit: 0 }),
    }],
    args: [
        {
            name: "graph", arg_type: Key, key_spec_index: 0, flags: [Optional],
            summary: "Only this graph, from a sample of its texts.",
        },
        {
            name: "rule", arg_type: String, token: "RULE", flags: [Optional],
            summary: "Only what this rule fills.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn estimate(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    if ctx.is_keys_position_request() {
        if args.len() > 1 {
            key_at(ctx, 1, KeyUse::Read);
        }
        return Ok(RedisValue::NoReply);
    }
    answered(|| {
        let mut args = Args::new(&args, "VECTORFILL.ESTIMATE [graph [RULE rule]]");
        let Some(graph) = args.take() else { return all(ctx) };
        let rule = args.option("RULE")?.map(choose::rule_name).transpose()?;
        args.end()?;
        one(ctx, graph, rule.as_ref())
    })
}

/// One graph: its pending entities are counted, and some of them looked at.
fn one(ctx: &Context, graph: &RedisString, rule: Option<&RuleName>) -> RedisResult {
    const WHAT: &str = "VECTORFILL.ESTIMATE";
    may_wait(ctx, WHAT)?;
    let graph = text_query::graph(ctx, graph, WHAT)?;
    kept::read(&Hold::of_command(ctx));
    let config = current()?;
    let rules = match rule {
        Some(name) => vec![choose::rule(&config, &graph, name)?],
        None => config.settings.rules.of(&graph),
    };
    if rules.is_empty() {
        return fault(&RunFault::NoRules(graph));
    }
    let name = graph.clone();
    let then = move |client: Client, seen: Vec<(Arc<Rule>, Seen)>| {
        client.reply(Ok(sampled(&config, &name, &seen)));
    };
    let client = Client::block(ctx, Some(LIMIT));
    look_at_each(client, graph, rules, Vec::new(), Box::new(then));
    Ok(RedisValue::NoReply)
}

fn sampled(config: &Config, graph: &GraphName, seen: &[(Arc<Rule>, Seen)]) -> RedisValue {
    let published = with_worker(Worker::published).unwrap_or_default();
    let (graph, totals) = (published.snapshot.graphs.get(graph), &published.snapshot.totals);
    let mut sums = Estimate::default();
    let mut rules = Vec::new();
    for (rule, seen) in seen {
        let known =
            Known::of(config, rule, graph.and_then(|graph| of_rule(graph, &rule.name)), totals);
        let estimate = Estimate::of_sample(seen.pending, &seen.sample, known.rates);
        sums = sums.plus(estimate);
        rules.push((rule.name.as_str(), shown_rule(estimate, &known)));
    }
    map([("rules", named(rules)), ("sums", shown(sums))])
}

/// All graphs that this user may read, from the figures that the worker has published. Listed are
/// those where something is pending, like the graphs that STATUS lists.
fn all(ctx: &Context) -> RedisResult {
    let Some(published) = with_worker(Worker::published) else {
        return error("ERR", "the worker is not running");
    };
    let config = current()?;
    let graphs = &published.snapshot.graphs;
    let visible = |name: &GraphName| may(ctx, name, &AclPermissions::ACCESS);
    let mut sums = Estimate::default();
    for (name, figures) in graphs.iter().filter(|(name, _)| visible(name)) {
        let estimates = averaged(&config, &published, name, figures);
        sums = estimates.iter().fold(sums, |sums, (_, estimate, _)| sums.plus(*estimate));
    }
    let pending = graphs.behind().filter(|(name, graph)| graph.pending > 0 && visible(name));
    let listed = pending.map(|(name, figures)| {
        let estimates = averaged(&config, &published, name, figures);
        let rules = estimates.iter();
        let rules = rules.map(|(rule, of, known)| (rule.name.as_str(), shown_rule(*of, known)));
        (name.as_str(), named(rules.collect()))
    });
    let listed = named(listed.collect());
    Ok(map([("graphs", listed), ("sums", shown(sums))]))
}

/// What is pending by each rule, at the tokens that a text has taken on average.
fn averaged(
    config: &Config,
    published: &Published,
    graph: &GraphName,
    figures: &GraphFigures,
) -> Vec<(Arc<Rule>, Estimate, Known)> {
    let rules = config.settings.rules.of(graph).into_iter();
    let estimates = rules.filter_map(|rule| {
        let figures = of_rule(figures, &rule.name)?;
        let known = Known::of(config, &rule, Some(figures), &published.snapshot.totals);
        let last = figures.last_pass.as_ref().and_then(average);
        let average = last.or_else(|| average(&published.snapshot.totals));
        let estimate = Estimate::of_average(figures.pending, average, known.rates);
        Some((rule, estimate, known))
    });
    estimates.collect()
}

/// Tokens that a text took; `None` = none was sent.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
fn average(tally: &Tally) -> Option<f64> {
    let sent = tally.tokens > 0 && tally.written > 0;
    sent.then(|| tally.tokens as f64 / tally.written as f64)
}

/// What is known beside the texts.
struct Known {
    embedder: EmbedderName,
    price: Option<Price>,
    rates: Rates,
}

impl Known {
    fn of(config: &Config, rule: &Rule, figures: Option<&GraphFigures>, totals: &Tally) -> Self {
        let embedder = rule.embedder.clone();
        let prefix = config.embedders.get(&embedder).map(|config| config.document_prefix.as_str());
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let tokens = |prefix: &str| Text::new(prefix.as_bytes(), usize::MAX).tokens() as u64;
        let price = config::price(&embedder);
        let rates = Rates {
            prefix_tokens: prefix.map_or(0, tokens),
            scale: None,
            price: price.map(|price| price.usd),
            per_s: rate(figures, totals),
        };
        Self { embedder, price, rates }
    }
}

/// Entities filled in a second: in the pass under way, or else in the last one, or else in all.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(figures: Option<&GraphFigures>, totals: &Tally) -> Option<f64> {
    let of = |tally: &Tally| {
        let seconds = tally.duration.as_secs_f64().max(0.001);
        (tally.written > 0).then(|| tally.written as f64 / seconds)
    };
    let now = figures.map(|figures| figures.rate_per_s).filter(|rate| *rate > 0.0);
    let last = || of(figures?.last_pass.as_ref()?);
    now.or_else(last).or_else(|| of(totals))
}

fn shown_rule(estimate: Estimate, known: &Known) -> RedisValue {
    let Known { embedder, price, .. } = known;
    let read = price.and_then(|price| price.read);
    map(fields(estimate).into_iter().chain([
        ("embedder", text(embedder.as_str())),
        ("price", price.map_or(RedisValue::Null, |price| RedisValue::Float(price.usd))),
        ("price_as_of", read.map_or(RedisValue::Null, text)),
    ]))
}

fn shown(estimate: Estimate) -> RedisValue {
    map(fields(estimate))
}

fn fields(estimate: Estimate) -> [(&'static str, RedisValue); 6] {
    let number = |known: Option<u64>| known.map_or(RedisValue::Null, integer);
    [
        ("texts", integer(estimate.texts)),
        ("sampled", integer(estimate.sampled)),
        ("distinct", number(estimate.distinct)),
        ("tokens", number(estimate.tokens)),
        ("usd", estimate.usd.map_or(RedisValue::Null, RedisValue::Float)),
        ("seconds", number(estimate.seconds)),
    ]
}

fn named(fields: Vec<(&str, RedisValue)>) -> RedisValue {
    let fields = fields.into_iter().map(|(name, value)| (RedisValueKey::from(name), value));
    RedisValue::OrderedMap(fields.collect())
}
