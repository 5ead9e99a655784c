//! What the module costs a server of thousands of small graphs: a graph a tenant.

use std::time::{Duration, Instant};

use crate::bare;
use crate::options::{Options, SHORT};
use crate::proc::{self, Cpu};
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Stage, index, text_of};
use crate::stats::{Samples, number};
use crate::vectors::Vectors;
use testkit::harness::{Redis, Tally};

/// Of a command whose cost is told: one alone takes microseconds.
const CALLS: usize = 20;
/// The engine builds an index, and lets go of a query, behind the client's back.
const SETTLES: Duration = Duration::from_secs(2);

/// The rows of the table, for one number of graphs.
#[derive(Default)]
struct Cost {
    /// Seconds until all graphs were filled.
    fill: f64,
    /// Of a pass that finds nothing to do: seconds on a core, and on the clock.
    ran: Samples,
    took: Samples,
    /// Microseconds a call.
    status: f64,
    info: f64,
    /// Bytes a graph that the fill added, and that the same vectors added without the module.
    ours: f64,
    engine: f64,
}

pub fn measure(options: &Options) {
    let about = format!(
        "Graphs of one node each, {SHORT} dimensions, a service without latency, with `auto-index`. \
         An idle pass is a `VECTORFILL.RUN` of all graphs that finds nothing to do; its time on a core \
         is that of the whole server. Memory is what the kernel says the fill added to the server. The \
         engine alone: a client writes the same vectors and creates the same indexes, without the \
         module."
    );
    let mut section = Section::new("graphs", "Many graphs", &about);
    let sizes = [options.graphs / 5, options.graphs];
    let heads = sizes.map(|graphs| format!("{} graphs", number(graphs as f64)));
    section.head(&["", &heads[0], &heads[1]]);
    let costs = sizes.map(|graphs| (graphs, cost(options, graphs)));
    let mut row = |name: &str, figure: fn(usize, &Cost) -> String| {
        let figures = costs.iter().map(|(graphs, cost)| figure(*graphs, cost));
        let cells: Vec<String> = std::iter::once(name.to_owned()).chain(figures).collect();
        section.row(&cells);
    };
    row("first fill, s", |_, cost| number(cost.fill));
    row("idle pass, s of a core", |_, cost| cost.ran.show());
    row("idle pass, s", |_, cost| cost.took.show());
    row("idle pass, ms of a core a graph", |graphs, cost| {
        number(cost.ran.median() * 1e3 / graphs as f64)
    });
    row("VECTORFILL.STATUS, µs", |_, cost| number(cost.status));
    row("INFO vectorfill, µs", |_, cost| number(cost.info));
    row("memory a graph, kB", |_, cost| number(cost.ours / 1e3));
    row("the engine alone, kB", |_, cost| number(cost.engine / 1e3));
    row("over the engine's own, kB", |_, cost| number((cost.ours - cost.engine) / 1e3));
    section.finish();
}

fn cost(options: &Options, graphs: usize) -> Cost {
    let service = Service::start(SHORT, Latency::NONE);
    let mut stage = Stage::empty(options, &service);
    stage.configure("auto-index", "yes");
    create(&mut stage.redis, graphs);
    let pid = stage.server.pid();
    let mut cost = Cost { engine: alone(graphs, &service.vectors), ..Cost::default() };
    let begun = Instant::now();
    cost.ours = added(pid, graphs, || {
        assert_eq!(run(&mut stage.redis).number("written"), graphs as i64, "vectors written");
        cost.fill = begun.elapsed().as_secs_f64();
    });
    for _ in 0..options.rounds {
        let (before, begun) = (Cpu::of(pid), Instant::now());
        let tally = run(&mut stage.redis);
        cost.took.push(begun.elapsed().as_secs_f64());
        cost.ran.push(Cpu::of(pid).since(&before).total().as_secs_f64());
        assert_eq!(tally.number("selected"), 0, "nodes found by an idle pass");
    }
    cost.status = microseconds(&mut stage.redis, &["VECTORFILL.STATUS"]);
    cost.info = microseconds(&mut stage.redis, &["INFO", "vectorfill"]);
    cost
}

fn create(redis: &mut Redis, graphs: usize) {
    for graph in 0..graphs {
        let text = text_of(graph);
        redis.query(&name(graph), &format!("CREATE (:Doc {{text: '{text}'}})"));
    }
}

fn name(graph: usize) -> String {
    format!("tenant{graph}")
}

/// A pass over all graphs.
fn run(redis: &mut Redis) -> Tally {
    Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "0"]))
}

/// Bytes a graph that the engine takes for itself.
fn alone(graphs: usize, vectors: &Vectors) -> f64 {
    let server = bare::start();
    let mut redis = server.connect();
    create(&mut redis, graphs);
    added(server.pid(), graphs, || {
        for graph in 0..graphs {
            let mut query = "CYPHER vector=".to_owned();
            vectors.cypher(&text_of(graph), &mut query);
            query += " MATCH (n:Doc) WHERE n.embedding IS NULL SET n.embedding = vecf32($vector)";
            redis.query(&name(graph), &query);
            redis.query(&name(graph), &index(SHORT));
        }
    })
}

/// Bytes a graph that the server occupies more than before the work.
fn added(pid: u32, graphs: usize, work: impl FnOnce()) -> f64 {
    let (before, _) = proc::memory(pid);
    work();
    std::thread::sleep(SETTLES);
    let (after, _) = proc::memory(pid);
    (after as f64 - before as f64) / graphs as f64
}

/// What Redis says a call of the command takes.
fn microseconds(redis: &mut Redis, command: &[&str]) -> f64 {
    redis.call::<String>(&["CONFIG", "RESETSTAT"]);
    for _ in 0..CALLS {
        redis.call::<redis::Value>(command);
    }
    // Redis has its own commands in small letters.
    let stats: String = redis.call(&["INFO", "commandstats"]);
    let field = format!("cmdstat_{}:", command[0].to_lowercase());
    let line = stats.lines().find(|line| line.to_lowercase().starts_with(&field)).unwrap();
    let figure = line.split(',').find_map(|field| field.strip_prefix("usec_per_call="));
    figure.unwrap().parse().unwrap()
}
