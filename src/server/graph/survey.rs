//! A survey: which engine is loaded, which graphs it holds, and what it allows.

use std::sync::atomic::Ordering;

use crate::engine;
use crate::engine::value::Value;
use crate::engine::version;
use crate::engine::version::Version;
use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::fill::port::server::Survey;
use crate::server::ffi::call::Mode;
use crate::server::graph::hold::Hold;
use crate::server::graph::{Known, MAX_ROWS, VERSION, state, write_path};

/// The raw findings of a survey, to be parsed on the worker.
pub(super) struct Looked {
    engine: Option<Version>,
    graphs: Vec<u8>,
    max_rows: Option<usize>,
}

/// Runs on the main thread, so it only copies what the engine says; `Looked::read` parses it later,
/// on the worker. Fails with why the server may not be filled, or with `StoreFault::Foreign` if an
/// untested engine does not answer as expected.
pub(super) fn look(hold: &Hold<'_>, known: &Known) -> Result<Looked, StoreFault> {
    state::lets_fill(hold)?;
    let modules = hold.call(Mode::Inline, c"MODULE", &[b"LIST"])?;
    let engine = version::of_modules(&engine::reply(modules.proto())?);
    VERSION.store(engine.map_or(0, |version| version.0), Ordering::Relaxed);
    let graphs = hold.call(Mode::Inline, c"GRAPH.LIST", &[])?.proto().to_vec();
    if engine.is_some_and(|version| !version.features().tested) {
        try_out(hold, &graphs)?;
    }
    if engine.is_some() {
        write_path::note(known.write_path(hold));
    }
    let max_rows = max_rows(hold);
    MAX_ROWS.store(max_rows.unwrap_or(usize::MAX), Ordering::Relaxed);
    Ok(Looked { engine, graphs, max_rows })
}

/// Runs a harmless query on an untested engine, to see whether it behaves like the tested ones.
fn try_out(hold: &Hold<'_>, graphs: &[u8]) -> Result<(), StoreFault> {
    let names = names(graphs);
    let Some(graph) = names.iter().find(|graph| hold.find_graph(graph).is_ok()) else {
        return Ok(());
    };
    let args: [&[u8]; 2] = [graph.as_str().as_bytes(), version::CANARY];
    let reply = hold.call(Mode::Inline, c"GRAPH.RO_QUERY", &args)?;
    if version::sings(&engine::reply(reply.proto())?) { Ok(()) } else { Err(StoreFault::Foreign) }
}

/// The most rows that a reply holds; `None` = no limit, or it could not be read.
fn max_rows(hold: &Hold<'_>) -> Option<usize> {
    // The engine reports -1 for "no limit".
    usize::try_from(engine_setting(hold, "RESULTSET_SIZE")?).ok()
}

/// A number among the engine's own settings.
///
/// `None` also if this version of the engine has no such setting: treat it as unknown, not as off.
pub(super) fn engine_setting(hold: &Hold<'_>, name: &str) -> Option<i64> {
    let reply = hold.call(Mode::Inline, c"GRAPH.CONFIG", &[b"GET", name.as_bytes()]).ok()?;
    engine::reply(reply.proto()).ok()?.items().get(1)?.integer()
}

impl Looked {
    /// Parses what was copied. Runs on the worker.
    pub(super) fn read(self) -> Survey {
        Survey {
            graphs: names(&self.graphs),
            engine: self.engine.map(|version| version.to_string()),
            engine_tested: self.engine.is_some_and(|version| version.features().tested),
            max_rows: self.max_rows,
        }
    }
}

/// All graphs.
///
/// Empty if there is no engine, or if it refuses.
pub(in crate::server) fn graphs(hold: &Hold<'_>) -> Vec<GraphName> {
    let reply = hold.call(Mode::Inline, c"GRAPH.LIST", &[]).ok();
    reply.map(|reply| names(reply.proto())).unwrap_or_default()
}

/// The graphs in a reply to GRAPH.LIST. Skips keys that are not UTF-8: they cannot be named in
/// STATUS, the log or a setting.
fn names(list: &[u8]) -> Vec<GraphName> {
    let list = Value::parse(list);
    let names = list.iter().flat_map(Value::items).filter_map(Value::text);
    names.map(GraphName::new).collect()
}
