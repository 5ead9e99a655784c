//! One binary for all tests against a real redis-server, a real falkordb.so and our own module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    clippy::let_underscore_must_use,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a test that cannot go on has failed, and says where"
)]

mod clients;
mod cluster;
mod commands;
mod config;
mod definitions;
mod effects;
mod engine;
mod estimate;
mod faults;
mod fill;
mod fuzz;
mod injection;
mod latency;
mod layering;
mod life;
mod lifecycle;
#[cfg(feature = "local")]
mod local;
mod network;
mod panics;
mod proxy;
mod python;
mod quarantine;
mod question;
#[cfg(feature = "local")]
mod question_local;
mod relationships;
mod replication;
mod rules;
mod security;
mod services;
mod templates;
mod vectors;
mod wakes;
