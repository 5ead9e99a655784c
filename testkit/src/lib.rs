//! What the tests and the measurements share: a real redis-server with both modules ([`harness`]), and a
//! scripted embedding service on loopback ([`service`]). A part of no release.

#![allow(
    clippy::disallowed_methods,
    clippy::must_use_candidate,
    reason = "helpers of tests block, sleep and panic, each with a bound"
)]

pub mod harness;
pub mod proxy;
pub mod service;
