//! vectorfill: a Redis module that keeps every FalkorDB node that has a text supplied with a vector.
//!
//! # Who runs on which thread
//!
//! ```text
//! main thread       │ worker ("vectorfill")                 │ elsewhere
//! RUN, filter ────▶ │ Event::Run, Event::Touched            │
//!                   │ ▶ Action::Read ─ GIL for the call ──▶ │ the engine's pool: GRAPH.RO_QUERY
//! unblock handler ─▶│ Event::Read                           │
//!                   │ ▶ Action::Embed ────────────────────▶ │ "vectorfill-http": one POST, or
//!                   │ Event::Embedded ◀──────────────────── │ "vectorfill-model": the local model
//!                   │ ▶ Action::Write: one hold of the GIL  │
//!                   │ Event::Written                        │
//! STATUS, INFO ◀─── │ publishes a snapshot                  │
//! ```
//!
//! The main thread runs commands, callbacks and the copying of the engine's replies, and never waits
//! for the worker. The worker waits for the GIL, and for nothing else without a bound.
//!
//! # Where to find what
//!
//! - `fill`: the core. Decides, and is pure: begin with its documentation.
//! - `worker`: the thread. Carries out what the core decides.
//! - `server`: all that knows Redis. `server/graph.rs` takes the GIL.
//! - `embed`: all that knows HTTP, and the local model.
//! - `error`: what is told to a person. `inject`: panics for tests.
//!
//! Imports go one way: `lib → server → {worker, embed, fill, error}`, `worker → {fill, embed, error}`,
//! `embed → {fill, error}`, `fill → error`; a test sees to it.

mod embed;
mod engine;
mod error;
mod fill;
mod inject;
mod server;
mod text;
mod worker;

use redis_module::{AclCategory, redis_module};

use server::{Gate, acl_category, deinit, init};

static GATE: Gate = Gate;

redis_module! {
    name: "vectorfill",
    version: 100,
    // The system's allocator and not Redis': a model of 90 MB must not count as used memory, or
    // maxmemory would evict the user's keys for it.
    allocator: (std::alloc::System, std::alloc::System),
    data_types: [GATE],
    acl_categories: [acl_category(),],
    init: init,
    deinit: deinit,
    commands: [],
}
