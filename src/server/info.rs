//! `INFO vectorfill`: the published snapshot, flattened for monitoring.
//!
//! A reply covers 100 graphs at most, those that are behind first, so its size stays bounded:
//!
//! ```text
//! vectorfill_state:running
//! vectorfill_total_written:311
//! vectorfill_embedder_latency_ms:41.5
//! vectorfill_graph_kb:state=idle,pending=0,eligible=311,…
//! ```

use std::fmt::Write as _;

use redis_module::{InfoContext, RedisResult};
use redis_module_macros::info_command_handler;

use crate::fill::status::{GraphFigures, MAX_RANKED};
use crate::rule::name::DEFAULT;
use crate::server::handle::{guarded, with_worker};
use crate::server::status::state;
use crate::worker::Worker;

/// `INFO vectorfill`. Also runs while a crash report is written, when it must not wait for
/// anything.
#[info_command_handler]
fn info(ctx: &InfoContext, _for_crash_report: bool) -> RedisResult<()> {
    let published = guarded(None, || with_worker(Worker::published));
    let Some(published) = published else { return Ok(()) };
    let snapshot = &published.snapshot;
    let (state, _) = state(&published);
    let mut section = ctx
        .builder()
        .add_section("stats")
        .field("version", env!("CARGO_PKG_VERSION").to_owned())?
        .field("state", state.to_owned())?
        .field("restarts", i64::from(published.restarts))?;
    for (name, value) in snapshot.totals.figures() {
        section = section.field(&format!("total_{name}"), value)?;
    }
    for (embedder, (lane, queries)) in &snapshot.lanes {
        // The settings' embedder has no name that a user knows.
        let prefix = match embedder.as_str() {
            DEFAULT => "embedder".to_owned(),
            name => format!("embedder_{}", encoded(name)),
        };
        section = section.field(&format!("{prefix}_state"), lane.state.name().to_owned())?;
        for (name, value) in lane.counts().into_iter().chain(queries.counts()) {
            section = section.field(&format!("{prefix}_{name}"), value)?;
        }
        let latency = format!("{:.1}", lane.latency_ms);
        section = section.field(&format!("{prefix}_latency_ms"), latency)?;
    }
    let finished = snapshot.graphs.iter().filter(|(_, figures)| figures.is_finished());
    for (name, figures) in snapshot.graphs.behind().chain(finished).take(MAX_RANKED) {
        section =
            section.field(&format!("graph_{}", encoded(name.as_str())), graph_line(figures))?;
    }
    section.build_section()?.build_info()?;
    Ok(())
}

/// A name as part of an INFO field name, which ends at a colon or a line break: everything
/// but letters, digits, `-`, `.` and `_` is percent-encoded, so that no two share a field.
fn encoded(name: &str) -> String {
    let mut field = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            field.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(field, "%{byte:02X}").ok();
        }
    }
    field
}

/// The figures of one graph, in the form of Redis' own `db0:keys=1,expires=0`.
fn graph_line(figures: &GraphFigures) -> String {
    let counts = figures.counts().map(|(name, value)| format!(",{name}={value}"));
    format!("state={}{}", figures.state.name(), counts.concat())
}
