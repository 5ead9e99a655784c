//! The measurements of BENCHMARKS.md, on real servers and a scripted service: `make bench`, or
//! `make bench PARTS="speed ping"` for some of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    missing_debug_implementations,
    unreachable_pub,
    dead_code,
    reason = "a measurement that cannot go on says where"
)]

mod bare;
mod chart;
mod clients;
mod economy;
mod filter;
mod fresh;
mod graphs;
mod idle;
mod local;
mod options;
mod peers;
mod ping;
mod proc;
mod question;
mod readers;
mod reading;
mod real;
mod report;
mod rules;
mod scale;
mod service;
mod speed;
mod stage;
mod stats;
mod threads;
mod vectors;
mod writer;

use options::Options;
use report::PARTS;

fn main() {
    // Cargo adds `--bench`.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let unknown = chosen.iter().find(|part| !PARTS.contains(&part.as_str()));
    assert!(unknown.is_none(), "no part {unknown:?}: choose from {PARTS:?}");
    let options = Options::from_environment();
    for part in PARTS {
        if chosen.is_empty() || chosen.iter().any(|name| name == part) {
            measure(part, &options);
        }
    }
}

fn measure(part: &str, options: &Options) {
    match part {
        "speed" => speed::measure(options),
        "threads" => threads::measure(options),
        "ping" => ping::measure(options),
        "readers" => readers::measure(options),
        "fresh" => fresh::measure(options),
        "scale" => scale::measure(options),
        "graphs" => graphs::measure(options),
        "rules" => rules::measure(options),
        "idle" => idle::measure(options),
        "reading" => reading::measure(options),
        "filter" => filter::measure(options),
        "economy" => economy::measure(options),
        "question" => question::measure(options),
        "local" => local::measure(options),
        "real" => real::measure(options),
        _ => unreachable!("compared with PARTS"),
    }
}
