//! vectorfill: a Redis module that keeps every FalkorDB node that has a text supplied with a vector.
//!
//! # Who runs on which thread
//!
//! ```text
//! main thread         │ worker ("vectorfill")             │ elsewhere
//! RUN, filter ──────▶ │ Event::Run, Event::Touched        │
//! one-shot, timer ◀── │ Action::Read                      │
//!   RM_Call(K) ───────┼─────────────────────────────────▶ │ the engine's pool: GRAPH.RO_QUERY
//! unblock handler ──▶ │ Event::Read, parsed here          │
//!                     │ Action::Embed ──────────────────▶ │ "vectorfill-http": one POST, or
//!                     │ Event::Embedded ◀──────────────── │ "vectorfill-model": the local model
//! one-shot, timer ◀── │ Action::Write                     │
//!   one hold ───────▶ │ Event::Written                    │
//! STATUS, INFO ◀───── │ publishes a snapshot              │
//! ```
//!
//! Only the main thread calls the engine: jobs are posted to it and answered through a channel. It
//! never waits for the worker, and the worker never holds the server nor waits without a bound.
//!
//! # Where to find what
//!
//! - `fill`: the core. Decides, and is pure: begin with its documentation.
//! - `rule`: which nodes are filled from which text. `entity`: what a graph holds for us.
//! - `worker`: the thread. Carries out what the core decides.
//! - `server`: all that knows Redis. `server/graph/hold.rs` is where the server is held.
//! - `engine`: FalkorDB's dialect and its versions; bytes in, bytes out.
//! - `embed`: all that knows HTTP, and the local model.
//! - `error`, `text`: what is told to a person. `inject`: panics for tests.
//!
//! Imports go one way: `lib → server → worker → {engine, embed} → fill → rule → {entity, text, error}`,
//! each to what stands below it; a test sees to it.

mod embed;
mod engine;
mod entity;
mod error;
mod fill;
mod inject;
mod rule;
mod server;
mod text;
mod worker;

use redis_module::{AclCategory, redis_module};

use server::lifecycle::{Gate, acl_category, deinit, init};

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
