//! A write in one hold of the server: first the checks that allow it, then the change.

use std::time::Duration;

use crate::engine::query::write::{self, Numbers};
use crate::engine::version::Features;
use crate::engine::{self, Text, effect, info};
use crate::entity::EntityId;
use crate::fill::port::fault::StoreFault;
use crate::fill::port::store::{Readers, Row, Write};
use crate::server::ffi::call::Mode;
use crate::server::graph::hold::Hold;
use crate::server::graph::write_path::WritePath;
use crate::server::graph::{Known, state, write_path};

/// A client's query that has run on the graph for longer than this counts as long: a write would
/// hold the server until it ends. One that has just started may become long.
const READER: Duration = Duration::from_millis(3);

/// A change, prepared for the hold.
pub(super) enum Call {
    /// A query.
    Query(Vec<u8>),
    /// An effect for those rows that an effect can write, once this query has looked them up.
    Effect { lookup: Text },
}

/// Prepares what it can before the hold, on our time rather than the server's. A lookup of more
/// than `max_rows` rows would be cut off.
pub(super) fn prepare(write: &Write, engine: Features, max_rows: usize) -> Call {
    let effects = if write.rule.pattern.is_relationships() {
        engine.relationship_effects
    } else {
        engine.effects
    };
    match write.vectors() {
        // For a single row, a query is cheaper than a lookup and an effect.
        Some(rows) if effects && write.effects && (2..=max_rows).contains(&rows.len()) => {
            Call::Effect { lookup: engine::lookup_text(&write.rule, rows) }
        }
        _ => Call::Query(engine::write_text(write)),
    }
}

/// **Whether a write may happen**, checked in the same hold that makes it, so that the answer
/// cannot change before the write.
///
/// The error says what stands in the way: a replica, loading, a pause, a missing graph, readers, or
/// what Redis would refuse a client. Nothing has been written then.
pub(super) fn may_write(hold: &Hold<'_>, write: &Write) -> Result<(), StoreFault> {
    state::takes_writes(hold, &write.graph)?;
    if state::is_paused(hold) {
        return Err(StoreFault::Paused);
    }
    // GRAPH.QUERY on a missing key would create the graph: a deleted graph must not come back.
    hold.find_graph(&write.graph)?;
    has_no_reader(hold, write)
}

/// A write waits for the graph's readers while it holds the server. No query can start while we
/// hold it, so "no reader now" stays true until the write is done.
///
/// Fails with `Readers` if a query has run for longer than `READER`, and with `Begun` for any query
/// if the write is one that waits. Both mean: try again later.
fn has_no_reader(hold: &Hold<'_>, write: &Write) -> Result<(), StoreFault> {
    if write.readers == Readers::Ignore {
        return Ok(());
    }
    // Without an argument: the engine declares the first one as a key, which another cluster node
    // may own.
    let reply = hold.call(Mode::Inline, c"GRAPH.INFO", &[])?;
    match info::oldest_reader(&engine::reply(reply.proto())?, write.graph.as_str().as_bytes()) {
        Some(age) if age > READER => Err(StoreFault::Readers),
        Some(age) if age > Duration::ZERO && write.readers == Readers::Wait => {
            Err(StoreFault::Begun)
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes the change; returns the nodes that were changed.
pub(super) fn carry_out(
    hold: &Hold<'_>,
    write: &Write,
    call: &Call,
    known: &Known,
) -> Result<Vec<EntityId>, StoreFault> {
    let lookup = match call {
        Call::Query(cypher) => return change(hold, write, cypher),
        Call::Effect { lookup } => lookup,
    };
    let rows = write.vectors().unwrap_or_default();
    let path = known.write_path(hold);
    write_path::note(path);
    if path != WritePath::Effects {
        return change(hold, write, &write::vectors(&write.rule, rows));
    }
    as_effects(hold, write, rows, lookup)
}

/// Looks up where each row stands, then applies one effect to all rows that an effect can write;
/// the others go through a query. The effect costs the server less, as nothing is parsed or
/// planned.
fn as_effects(
    hold: &Hold<'_>,
    write: &Write,
    rows: &[Row],
    lookup: &Text,
) -> Result<Vec<EntityId>, StoreFault> {
    let (graph, rule) = (write.graph.as_str().as_bytes(), &write.rule);
    let numbers = numbers(hold, write)?;
    let found = hold.call(Mode::Inline, c"GRAPH.RO_QUERY", &lookup.args(graph))?;
    let targets = write::targets(rule, rows, &numbers, &engine::reply(found.proto())?);
    let (updates, others) = targets.split(rows);
    let mut ids = Vec::with_capacity(rows.len());
    if !others.is_empty() {
        ids = change(hold, write, &write::vectors(rule, &others))?;
    }
    if !updates.is_empty() {
        hold.call(Mode::Write, c"GRAPH.EFFECT", &[graph, &effect::of(&updates)])?;
        ids.extend(updates.iter().map(|update| update.row.entity.id));
    }
    Ok(ids)
}

/// The engine's numbers for what an effect names.
fn numbers(hold: &Hold<'_>, write: &Write) -> Result<Numbers, StoreFault> {
    let graph = write.graph.as_str().as_bytes();
    let ask = |cypher| hold.call(Mode::Inline, c"GRAPH.RO_QUERY", &[graph, cypher]);
    let properties = ask(write::PROPERTIES)?;
    let properties = engine::reply(properties.proto())?;
    if !write.rule.pattern.is_relationships() {
        return Ok(Numbers::read(&write.rule, &properties, None));
    }
    let relations = ask(write::RELATIONS)?;
    let relations = engine::reply(relations.proto())?;
    Ok(Numbers::read(&write.rule, &properties, Some(&relations)))
}

/// Runs a query that writes; returns the nodes it reports.
fn change(hold: &Hold<'_>, write: &Write, cypher: &[u8]) -> Result<Vec<EntityId>, StoreFault> {
    let graph = write.graph.as_str().as_bytes();
    let reply = hold.call(Mode::Write, c"GRAPH.QUERY", &[graph, cypher])?;
    Ok(write::written(&engine::reply(reply.proto())?))
}
