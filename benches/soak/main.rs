//! A real server under four busy clients and a service that fails one time in ten: `make soak`.
//!
//! At the end every node must have the vector of its text, or be poison and marked as such, and the
//! server must have stayed responsive and no larger than its data. Exits with 1 if not.
//!
//! `VECTORFILL_SOAK_MINUTES` (10), `VECTORFILL_SOAK_NODES` (1,000,000) and `VECTORFILL_SOAK_SEED` say
//! how long, how much and which faults.
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

mod check;
mod clients;
mod faults;
mod report;
mod watch;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::str::FromStr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clients::Load;
use faults::{Faults, PATIENCE};
use report::Outcome;
use testkit::harness::{Redis, Server, Setup};
use testkit::service::Service;
use watch::Watch;

/// How long the filler may take to catch up once the service is well.
const CATCH_UP: Duration = Duration::from_mins(10);
/// What has been allocated by then is the start that memory is compared with.
const WARM: Duration = Duration::from_mins(1);
const SAMPLE: Duration = Duration::from_secs(1);
const PROGRESS: Duration = Duration::from_secs(30);

/// How much is to be done.
pub struct Plan {
    pub span: Duration,
    pub nodes: u64,
    pub seed: u64,
}

impl Plan {
    fn read() -> Self {
        Self {
            span: Duration::from_secs_f64(setting("MINUTES", 10.0) * 60.0),
            nodes: setting("NODES", 1_000_000),
            seed: setting("SEED", fastrand::u64(..1_000_000)),
        }
    }

    /// When memory is compared for the first time: a short run is warm sooner.
    fn warm(&self) -> Duration {
        WARM.min(self.span / 4)
    }
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    let name = format!("VECTORFILL_SOAK_{name}");
    let Ok(value) = std::env::var(&name) else { return default };
    value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number"))
}

fn start(service: &Service) -> Server {
    Setup::with(service)
        .set("interval", "5")
        .set("wake-on-write", "yes")
        .set("batch-size", "200")
        .set("concurrency", "8")
        .set("request-timeout-ms", &PATIENCE.as_millis().to_string())
        .arg("--latency-monitor-threshold", "10")
        .start()
}

/// Looks on until the clients have ended; returns how many of them failed.
fn look_on(
    clients: Vec<JoinHandle<()>>,
    load: &Load,
    faults: &Faults,
    watch: &mut Watch,
    redis: &mut Redis,
) -> usize {
    let mut told = Instant::now();
    while clients.iter().any(|client| !client.is_finished()) {
        std::thread::sleep(SAMPLE);
        let memory = watch.sample();
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            eprintln!(
                "{:>4} s: {} nodes, {} pending, {} faults in {} requests, {} MB beside the data",
                memory.at.as_secs(),
                load.live(),
                check::pending(redis),
                faults.total(),
                faults.requests(),
                report::mb(memory.beside_data()),
            );
        }
    }
    clients.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
}

fn soak(plan: Plan) -> Outcome {
    let (service, faults) = faults::start(plan.seed);
    let server = start(&service);
    let mut redis = server.connect();
    let mut watch = Watch::start(&server);
    let begun = Instant::now();
    let (load, clients) = clients::start(&plan, &server);
    let failed_clients = look_on(clients, &load, &faults, &mut watch, &mut redis);
    let loaded = begun.elapsed();
    faults.end();
    let drained = check::drain(&mut redis, CATCH_UP, &mut watch);
    watch.sample();
    let memory = watch.first_and_last(plan.warm());
    let (stops, pings) = (watch::stops(&mut redis), watch.stop());
    let verdict = check::all(&mut redis);
    let info: String = redis.call(&["INFO", "vectorfill"]);
    report::keep("server.log", &server.log());
    Outcome {
        plan,
        faults,
        load,
        loaded,
        failed_clients,
        drained,
        memory,
        pings,
        stops,
        verdict,
        info,
    }
}

fn main() -> ExitCode {
    let plan = Plan::read();
    eprintln!("{} nodes in {:?}, VECTORFILL_SOAK_SEED={}", plan.nodes, plan.span, plan.seed);
    // Whatever panics has said why.
    let Ok(outcome) = catch_unwind(|| soak(plan)) else {
        eprintln!("VIOLATION: the soak could not go on");
        return ExitCode::FAILURE;
    };
    let table = outcome.table();
    println!("\n{table}");
    report::keep("report.md", &table);
    let violations = outcome.violations();
    violations.iter().for_each(|violation| eprintln!("VIOLATION: {violation}"));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
