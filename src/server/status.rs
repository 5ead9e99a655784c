//! The published picture as a reply and as INFO: every figure under its name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis_module::redisvalue::RedisValueKey;
use redis_module::{InfoContext, RedisResult, RedisValue};
use redis_module_macros::info_command_handler;

use crate::entity::GraphName;
use crate::fill::port::event::ServerState;
use crate::fill::status::{GraphFigures, GraphState, LaneState, Snapshot};
use crate::fill::tally::Tally;
use crate::server::config;
use crate::server::graph::journal;
use crate::server::graph::journal::WritePath;
use crate::server::handle::with_worker;
use crate::worker::Published;

type Map = BTreeMap<RedisValueKey, RedisValue>;

/// Most graphs STATUS lists unless it is asked for all.
const MAX_BEHIND: usize = 20;

/// The reply of VECTORFILL.STATUS: the graphs that are behind, or all with `full`, of those that
/// `visible` lets through.
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
        ("embedder", embedder(snapshot)),
        ("totals", tally(&snapshot.totals)),
        (
            "sums",
            map([
                ("graphs", integer(sums.graphs)),
                ("pending", integer(sums.pending)),
                ("in_flight", integer(sums.in_flight)),
                ("eligible", integer(sums.eligible)),
                ("embedded", integer(sums.embedded)),
                ("coverage", RedisValue::Float(sums.coverage())),
                ("quarantined", integer(sums.quarantined)),
            ]),
        ),
        ("graphs", RedisValue::OrderedMap(graphs.collect())),
    ])
}

/// How vectors are written, the user's own wish first.
fn write_path() -> WritePath {
    let wanted = config::current().is_none_or(|current| current.settings.write_effects);
    if wanted { journal::path() } else { WritePath::Setting }
}

fn yes_no(snapshot: &Snapshot) -> RedisValue {
    match (&snapshot.engine.name, snapshot.engine.tested) {
        (None, _) => RedisValue::Null,
        (Some(_), true) => text("yes"),
        (Some(_), false) => text("no"),
    }
}

/// One graph of VECTORFILL.STATUS.
pub(super) fn graph(figures: &GraphFigures) -> RedisValue {
    map([
        ("state", text(graph_state(figures.state))),
        ("pending", integer(figures.pending)),
        ("eligible", integer(figures.eligible)),
        ("embedded", integer(figures.embedded)),
        ("coverage", RedisValue::Float(figures.coverage())),
        ("quarantined", integer(figures.quarantined)),
        ("in_flight", integer(figures.in_flight)),
        ("rate_per_s", RedisValue::Float(figures.rate_per_s)),
        ("eta_s", figures.eta_s().map_or(RedisValue::Null, integer)),
        ("last_run_unix", figures.last_run.map_or(RedisValue::Null, |at| integer(unix(at)))),
        ("last_pass", figures.last_pass.as_ref().map_or(RedisValue::Null, tally)),
        ("last_error", optional(figures.last_error.as_deref())),
    ])
}

/// A tally, as RUN … WAIT and STATUS show it.
pub(super) fn tally(tally: &Tally) -> RedisValue {
    let mut all: Vec<(&str, RedisValue)> =
        figures(tally).into_iter().map(|(name, value)| (name, integer(value))).collect();
    all.push(("error", optional(tally.error.as_deref())));
    map(all)
}

fn figures(tally: &Tally) -> [(&'static str, u64); 10] {
    [
        ("graphs", tally.graphs),
        ("selected", tally.selected),
        ("written", tally.written),
        ("stale", tally.stale),
        ("quarantined", tally.quarantined),
        ("deferred", tally.deferred),
        ("truncated", tally.truncated),
        ("requests", tally.requests),
        ("tokens", tally.tokens),
        ("duration_ms", millis(tally.duration)),
    ]
}

fn embedder(snapshot: &Snapshot) -> RedisValue {
    let lane = &snapshot.lane;
    let current = config::current();
    let config = current.as_ref().map(|current| &current.embedder);
    let questions = &snapshot.queries;
    map([
        ("provider", optional(config.map(|config| config.provider.as_str()))),
        ("model", optional(config.map(|config| config.model.as_str()))),
        ("dimensions", lane.dimensions.map_or(RedisValue::Null, RedisValue::from)),
        ("host", optional(config.and_then(|config| config.host()))),
        ("state", text(lane_state(lane.state))),
        ("reason", optional(lane.reason.as_deref())),
        ("in_flight", lane.in_flight.into()),
        ("window", lane.window.into()),
        ("requests", integer(lane.requests)),
        ("retries", integer(lane.retries)),
        ("tokens", integer(lane.tokens)),
        ("latency_ms", RedisValue::Float(lane.latency_ms)),
        ("questions", integer(questions.asked)),
        ("query_cache_hits", integer(questions.hits)),
        ("query_cache_entries", questions.kept.into()),
    ])
}

/// The state of all, and why it is so.
fn state(published: &Published) -> (&'static str, Option<String>) {
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

fn lane_state(state: LaneState) -> &'static str {
    match state {
        LaneState::Ready => "ready",
        LaneState::Throttled => "throttled",
        LaneState::Cooling => "cooling",
        LaneState::Rejected => "rejected",
    }
}

fn graph_state(state: GraphState) -> &'static str {
    match state {
        GraphState::Idle => "idle",
        GraphState::Counting => "counting",
        GraphState::Filling => "filling",
        GraphState::Waiting => "waiting",
        GraphState::Indexing => "indexing",
    }
}

fn next_run(snapshot: &Snapshot) -> RedisValue {
    let at = snapshot.next_run.filter(|_| snapshot.enabled);
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

fn map<'a>(fields: impl IntoIterator<Item = (&'a str, RedisValue)>) -> RedisValue {
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
    RedisValue::OrderedMap(fields.collect::<Map>())
}

pub(super) fn integer(value: u64) -> RedisValue {
    RedisValue::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn text(value: &str) -> RedisValue {
    RedisValue::BulkString(value.to_owned())
}

fn optional(value: Option<&str>) -> RedisValue {
    value.map_or(RedisValue::Null, text)
}

/// Most graphs INFO has a line for.
const MAX_INFO: usize = 100;

/// `INFO vectorfill`. Also runs while a crash report is written, when nothing may be waited for.
#[info_command_handler]
fn info(ctx: &InfoContext, _for_crash_report: bool) -> RedisResult<()> {
    let published = super::handle::guarded(None, || with_worker(crate::worker::Worker::published));
    let Some(published) = published else { return Ok(()) };
    let snapshot = &published.snapshot;
    let (state, _) = state(&published);
    let lane = &snapshot.lane;
    let mut section = ctx
        .builder()
        .add_section("stats")
        .field("version", env!("CARGO_PKG_VERSION").to_owned())?
        .field("state", state.to_owned())?
        .field("restarts", i64::from(published.restarts))?;
    for (name, value) in figures(&snapshot.totals) {
        section = section.field(&format!("total_{name}"), value)?;
    }
    section = section
        .field("embedder_state", lane_state(lane.state).to_owned())?
        .field("embedder_in_flight", lane.in_flight as u64)?
        .field("embedder_window", lane.window as u64)?
        .field("embedder_requests", lane.requests)?
        .field("embedder_retries", lane.retries)?
        .field("embedder_tokens", lane.tokens)?
        .field("embedder_latency_ms", format!("{:.1}", lane.latency_ms))?
        .field("embedder_questions", snapshot.queries.asked)?
        .field("embedder_query_cache_hits", snapshot.queries.hits)?
        .field("embedder_query_cache_entries", snapshot.queries.kept as u64)?;
    let finished = snapshot.graphs.iter().filter(|(_, figures)| figures.is_finished());
    for (name, figures) in snapshot.graphs.behind().chain(finished).take(MAX_INFO) {
        section = section.field(&format!("graph_{}", info_name(name)), graph_line(figures))?;
    }
    section.build_section()?.build_info()?;
    Ok(())
}

/// A graph's name as part of the name of an INFO field, which ends at a colon or a line break: what is
/// no letter, digit, `-`, `.` or `_` is percent-encoded, so that no two graphs share a field.
fn info_name(name: &GraphName) -> String {
    let mut field = String::new();
    for byte in name.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            field.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(field, "%{byte:02X}").ok();
        }
    }
    field
}

fn graph_line(figures: &GraphFigures) -> String {
    format!(
        "state={},pending={},eligible={},embedded={},quarantined={},in_flight={}",
        graph_state(figures.state),
        figures.pending,
        figures.eligible,
        figures.embedded,
        figures.quarantined,
        figures.in_flight
    )
}
