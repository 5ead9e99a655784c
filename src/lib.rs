//! vectorfill: a Redis module that keeps an up-to-date vector embedding on every FalkorDB node and
//! relationship that has text.
//!
//! # What runs on which thread
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
//! never waits for the worker; the worker never holds the server, and every wait of its own is
//! bounded.
//!
//! # Where to find what
//!
//! - `fill`: the core. It decides, and it is pure: start with its documentation.
//! - `rule`: what is filled, from which text, by whom. `entity`: what we know of a graph's content.
//! - `worker`: the thread that carries out what the core decides.
//! - `server`: everything that knows Redis. `server/graph/hold.rs` is where the server is held.
//! - `engine`: FalkorDB's dialect and its versions; bytes in, bytes out.
//! - `embed`: everything that knows HTTP, and the local model.
//! - `error`, `text`: messages for people. `inject`: panics for tests.
//!   `fuzzing`: entry points for `fuzz/`.
//!
//! Imports go one way, each from the layers below it; a test enforces this:
//! `lib → server → worker → {engine, embed} → fill → rule → {entity, text, error}`.

mod embed;
mod engine;
mod entity;
mod error;
mod fill;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inject;
mod rule;
mod server;
mod text;
mod worker;

use redis_module::{AclCategory, redis_module};

use server::key_changed;
use server::lifecycle::{Gate, acl_category, deinit, init};

static GATE: Gate = Gate;

redis_module! {
    name: "vectorfill",
    version: 100,
    // The system allocator, not Redis's: a 90 MB model must not count as used memory, or maxmemory
    // would evict the user's keys to make room for it.
    allocator: (std::alloc::System, std::alloc::System),
    data_types: [GATE],
    acl_categories: [acl_category(),],
    init: init,
    deinit: deinit,
    commands: [],
    event_handlers: [
        [@HASH @GENERIC @EXPIRED @EVICTED @LOADED @NEW: key_changed]
    ],
}
