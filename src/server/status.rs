//! The published snapshot as a reply: every figure under its name.
//!
//! Names and units are an interface: `_ms` is milliseconds, `_s` seconds, `_unix` a wall-clock
//! second. Null = not known, or does not apply.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis_module::RedisValue;
use redis_module::redisvalue::RedisValueKey;

use crate::entity::GraphName;
use crate::fill::port::server::ServerState;
use crate::fill::status::{GraphFigures, Snapshot};
use crate::fill::tally::Tally;
use crate::rule::name::{EmbedderName, RuleName};
use crate::server::config;
use crate::server::graph::write_path;
use crate::server::graph::write_path::WritePath;
use crate::worker::Published;

type Map = BTreeMap<RedisValueKey, RedisValue>;

/// Maximum number of graphs STATUS lists without FULL.
const MAX_BEHIND: usize = 20;

/// The reply of VECTORFILL.STATUS: the graphs with work left, or all of them with `full`, filtered
/// by `visible`.
pub(super) fn status(
    published: &Published,
    full: bool,
    visible: impl Fn(&GraphName) -> bool,
) -> RedisValue {
    let snapshot = &published.snapshot;
    let sums = snapshot.graphs.sums;
    let behind = snapshot.graphs.behind().filter(|(name, _)| visible(name)).take(MAX_BEHIND);
    let all = snapshot.graphs.iter().filter(|(name, _)| visible(name));
    let graphs: Vec<(&GraphName, &GraphFigures)> =
        if full { all.collect() } else { behind.collect() };
    let graphs = graphs.into_iter().map(|(name, figures)| (name.as_str().into(), graph(figures)));
    let (state, reason) = state(published);
    let path = write_path();
    map([
        ("version", text(env!("CARGO_PKG_VERSION"))),
        ("engine", optional(snapshot.engine.name.as_deref())),
        ("engine_tested", yes_no(snapshot)),
        ("writes", optional(path.name())),
        ("writes_reason", optional(path.reason())),
        ("state", text(state)),
        ("reason", optional(reason.as_deref())),
        ("next_run_in_ms", next_run(snapshot)),
        ("embedder", embedder(snapshot, &EmbedderName::default_embedder())),
        ("embedders", embedders(snapshot)),
        ("definitions_error", optional(config::definitions_error().as_deref())),
        ("totals", tally(&snapshot.totals)),
        (
            "sums",
            map(integers(sums.figures()).chain([("coverage", RedisValue::Float(sums.coverage()))])),
        ),
        ("graphs", RedisValue::OrderedMap(graphs.collect())),
    ])
}

/// How vectors are written; the user's setting takes precedence.
fn write_path() -> WritePath {
    let wanted = config::current().is_none_or(|current| current.settings.write_effects);
    if wanted { write_path::path() } else { WritePath::Setting }
}

fn yes_no(snapshot: &Snapshot) -> RedisValue {
    match (&snapshot.engine.name, snapshot.engine.tested) {
        (None, _) => RedisValue::Null,
        (Some(_), true) => text("yes"),
        (Some(_), false) => text("no"),
    }
}

/// One graph in VECTORFILL.STATUS.
pub(super) fn graph(figures: &GraphFigures) -> RedisValue {
    map(integers(figures.counts()).chain([
        ("state", text(figures.state.name())),
        ("coverage", RedisValue::Float(figures.coverage())),
        ("rate_per_s", RedisValue::Float(figures.rate_per_s)),
        ("eta_s", figures.eta_s().map_or(RedisValue::Null, integer)),
        ("last_run_unix", figures.last_run.map_or(RedisValue::Null, |at| integer(unix(at)))),
        ("last_pass", figures.last_pass.as_ref().map_or(RedisValue::Null, tally)),
        ("last_error", optional(figures.last_error.as_deref())),
        ("left_to", optional(figures.owner)),
        ("rules", rules(figures)),
    ]))
}

/// The figures of one rule of a graph. Of the settings' rule alone, they are the graph's.
///
/// `None` = the rule has no figures there: it does not apply to the graph, or no pass has looked
/// yet.
pub(super) fn of_rule<'a>(figures: &'a GraphFigures, rule: &RuleName) -> Option<&'a GraphFigures> {
    match figures.rules.iter().find(|(name, _)| name == rule) {
        Some((_, figures)) => Some(figures),
        None if *rule == RuleName::default_rule() => figures.rules.is_empty().then_some(figures),
        None => None,
    }
}

/// The rules of a graph, where there are others than the settings' one.
fn rules(figures: &GraphFigures) -> RedisValue {
    let rules = figures.rules.iter();
    let rules = rules.map(|(name, figures)| (name.as_str().into(), graph(figures)));
    RedisValue::OrderedMap(rules.collect())
}

/// A tally, as RUN … WAIT and STATUS show it.
pub(super) fn tally(tally: &Tally) -> RedisValue {
    map(integers(tally.figures()).chain([("error", optional(tally.error.as_deref()))]))
}

fn integers<const N: usize>(
    figures: [(&'static str, u64); N],
) -> impl Iterator<Item = (&'static str, RedisValue)> {
    figures.into_iter().map(|(name, value)| (name, integer(value)))
}

/// The embedders by name, where there are others than the settings' one.
fn embedders(snapshot: &Snapshot) -> RedisValue {
    let names = snapshot.lanes.keys();
    let all = names.map(|name| (name.as_str().into(), embedder(snapshot, name)));
    RedisValue::OrderedMap(all.collect())
}

fn embedder(snapshot: &Snapshot, name: &EmbedderName) -> RedisValue {
    let Some((lane, queries)) = snapshot.lanes.get(name) else { return RedisValue::Null };
    let current = config::current();
    let config = current.as_ref().and_then(|current| current.embedders.get(name));
    let counts = integers(lane.counts()).chain(integers(queries.counts()));
    map(counts.chain([
        ("provider", optional(config.map(|config| config.provider.as_str()))),
        ("model", optional(config.map(|config| config.model.as_str()))),
        ("dimensions", lane.dimensions.map_or(RedisValue::Null, RedisValue::from)),
        ("host", optional(config.and_then(|config| config.host()))),
        ("state", text(lane.state.name())),
        ("reason", optional(lane.reason.as_deref())),
        ("warning", optional(lane.warning.as_deref())),
        ("next_try_in_ms", in_ms(lane.next_try)),
        ("latency_ms", RedisValue::Float(lane.latency_ms)),
    ]))
}

/// The overall state, and the reason for it.
///
/// One of `loading`, `replica`, `no-engine`, `disabled`, `paused`, `running` and `idle`. A worker
/// that panicked is `idle`, with the reason; otherwise the server's state comes first, then the
/// settings, then what the worker does.
pub(super) fn state(published: &Published) -> (&'static str, Option<String>) {
    let snapshot = &published.snapshot;
    if let Some(panic) = &published.panic {
        return ("idle", Some(format!("the worker panicked and restarts: {panic}")));
    }
    let busy = snapshot.graphs.sums.busy > 0;
    let restarted = published.restarts;
    let note = (restarted > 0).then(|| format!("the worker was restarted {restarted} times"));
    match snapshot.server {
        ServerState::Loading | ServerState::Settling => {
            ("loading", snapshot.server.fault().map(|f| f.to_string()))
        }
        ServerState::Replica => ("replica", snapshot.server.fault().map(|f| f.to_string())),
        ServerState::NoEngine | ServerState::Foreign => {
            ("no-engine", snapshot.server.fault().map(|f| f.to_string()))
        }
        ServerState::Ready if !snapshot.enabled && !busy => {
            ("disabled", Some("vectorfill.enabled is no".into()))
        }
        ServerState::Ready if snapshot.paused.is_some() => ("paused", snapshot.paused.clone()),
        ServerState::Ready if busy => ("running", note),
        ServerState::Ready => ("idle", note),
    }
}

/// Milliseconds to the next scheduled pass; null = none is scheduled, or the module is disabled.
fn next_run(snapshot: &Snapshot) -> RedisValue {
    let at = snapshot.next_run.filter(|_| snapshot.enabled);
    in_ms(at)
}

/// Milliseconds left until then; 0 = due. Computed for each reply, as a snapshot may be old.
fn in_ms(at: Option<Instant>) -> RedisValue {
    let left = at.map(|at| at.saturating_duration_since(Instant::now()));
    left.map_or(RedisValue::Null, |left| integer(millis(left)))
}

/// The wall-clock second of an instant in the past.
fn unix(at: Instant) -> u64 {
    let then = SystemTime::now().checked_sub(at.elapsed()).unwrap_or(UNIX_EPOCH);
    then.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A map with these fields.
pub(super) fn map(fields: impl IntoIterator<Item = (&'static str, RedisValue)>) -> RedisValue {
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
    RedisValue::OrderedMap(fields.collect::<Map>())
}

/// An integer reply, capped at `i64::MAX`.
pub(super) fn integer(value: u64) -> RedisValue {
    RedisValue::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A text reply.
pub(super) fn text(value: &str) -> RedisValue {
    RedisValue::BulkString(value.to_owned())
}

fn optional(value: Option<&str>) -> RedisValue {
    value.map_or(RedisValue::Null, text)
}
