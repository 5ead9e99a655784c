//! What the other clients feel: answer times of PING while this and that goes on.

use std::time::{Duration, Instant};

use crate::chart::{Chart, Scale};
use crate::clients::{Pings, long_read, long_reads};
use crate::options::Options;
use crate::peers;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Size, Stage};
use crate::stats::{Samples, ms, number};
use crate::writer;

/// The long queries of somebody else, and the pause between two of them.
const READ: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(1);
/// How many long queries are looked at.
const READS: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Idle,
    Fill,
    Build,
    Expert,
    FillBesideReads,
    WriterBesideReads,
    Hang,
}

#[derive(Default)]
struct Row {
    rate: Samples,
    p999: Samples,
    longest: Samples,
}

pub fn measure(options: &Options) {
    let about = format!(
        "PING every millisecond; a PING that took longer also counts for those that could not be \
         sent meanwhile. Medians of the rounds and their spread. The long reads take {} s each, on \
         the same graph, with a pause of {} s.",
        READ.as_secs(),
        PAUSE.as_secs()
    );
    let mut section = Section::new("ping", "Answer times of other clients", &about);
    section.head(&["meanwhile", "graph", "nodes/s", "p99.9, ms", "longest, ms"]);
    let cases = cases(options);
    let mut rows: Vec<Row> = cases.iter().map(|_| Row::default()).collect();
    for round in 1..=options.rounds {
        for ((case, size), row) in cases.iter().zip(&mut rows) {
            let (pings, rate) = run(options, *case, *size);
            row.rate.push(rate);
            row.p999.push(ms(pings.p999()));
            row.longest.push(ms(pings.longest()));
            let longest = ms(pings.longest());
            eprintln!("round {round}: {}, {}: {longest:.1} ms", name(*case), graph(*size));
        }
    }
    let mut chart = Chart::new("Longest PING", "ms", Scale::Logarithmic);
    for ((case, size), row) in cases.iter().zip(&rows) {
        let (name, graph) = (name(*case), graph(*size));
        chart.bar(format!("{name}, {graph}"), &row.longest);
        let figures = [&row.rate, &row.p999, &row.longest].map(Samples::show);
        let [rate, p999, longest] = figures;
        // Where nothing is written, there is no rate.
        let rate = if row.rate.median() > 0.0 { rate } else { "–".into() };
        section.row(&[name.into(), graph, rate, p999, longest]);
    }
    section.chart(chart);
    section.finish();
}

fn cases(options: &Options) -> Vec<(Case, Size)> {
    let (nodes, main) = (options.nodes[0], options.dimensions[0]);
    let size = |dimensions, indexed| Size { nodes, dimensions, indexed };
    let mut cases = vec![(Case::Idle, size(main, false))];
    for &nodes in &options.nodes {
        for &dimensions in &options.dimensions {
            let size = |indexed| Size { nodes, dimensions, indexed };
            cases.push((Case::Fill, size(false)));
            cases.push((Case::Build, size(false)));
            cases.push((Case::Fill, size(true)));
        }
    }
    let others = [Case::FillBesideReads, Case::WriterBesideReads, Case::Hang];
    cases.extend([(Case::Expert, size(main, false)), (Case::Expert, size(main, true))]);
    cases.extend(others.map(|case| (case, size(main, false))));
    cases.retain(|(case, _)| name(*case).starts_with(&options.only));
    cases
}

fn name(case: Case) -> &'static str {
    match case {
        Case::Idle => "nothing",
        Case::Fill => "vectorfill fills",
        Case::Build => "vectorfill's index is built",
        Case::Expert => "expert's job fills",
        Case::FillBesideReads => "vectorfill fills beside 3 s reads",
        Case::WriterBesideReads => "an ordinary writer beside 3 s reads",
        Case::Hang => "vectorfill waits for a service that hangs",
    }
}

fn graph(size: Size) -> String {
    let index = if size.indexed { ", index" } else { "" };
    format!("{} × {}{index}", number(size.nodes as f64), size.dimensions)
}

/// PINGs, and nodes a second where nodes are written.
fn run(options: &Options, case: Case, size: Size) -> (Pings, f64) {
    let latency = if case == Case::Hang { Latency::HANGING } else { Latency::COMMON };
    let service = Service::start(size.dimensions, latency);
    let mut stage = Stage::new(options, &service, size);
    let stage = &mut stage;
    match case {
        Case::Idle => Pings::during(stage, |_| rest(options.watch / 2)),
        Case::Fill => Pings::during(stage, Stage::fill),
        Case::Expert => Pings::during(stage, |stage| peers::expert(stage, &service)),
        Case::Hang => Pings::during(stage, |stage| {
            stage.ask();
            rest(Latency::HANGING.request)
        }),
        Case::Build => {
            stage.fill();
            stage.configure("auto-index", "yes");
            Pings::during(stage, |stage| {
                let begun = Instant::now();
                stage.run();
                stage.wait_for_index();
                stage.nodes as f64 / begun.elapsed().as_secs_f64()
            })
        }
        Case::FillBesideReads => beside_reads(stage, fill_until),
        Case::WriterBesideReads => {
            let queries = writer::queries(&service.vectors, 0..stage.nodes, options.rows);
            let write = |stage: &mut Stage, until| write_until(stage, &queries, until);
            beside_reads(stage, |stage, until| write(stage, until) * options.rows as f64)
        }
    }
}

fn rest(duration: Duration) -> f64 {
    std::thread::sleep(duration);
    0.0
}

/// Does `work` until the time it is given, while somebody reads and pauses in turn.
fn beside_reads(stage: &mut Stage, work: impl FnOnce(&mut Stage, Instant) -> f64) -> (Pings, f64) {
    let query = long_read(&mut stage.redis, READ);
    let reader = long_reads(&stage.server, query, PAUSE);
    // The first write meets a read.
    std::thread::sleep(READ / 10);
    let until = Instant::now() + (READ + PAUSE) * READS;
    let outcome = Pings::during(stage, |stage| work(stage, until));
    reader.stop();
    outcome
}

fn fill_until(stage: &mut Stage, until: Instant) -> f64 {
    let begun = Instant::now();
    stage.ask();
    while stage.filled() < stage.nodes && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.filled() as f64 / begun.elapsed().as_secs_f64()
}

/// Queries a second.
fn write_until(stage: &Stage, queries: &[Vec<u8>], until: Instant) -> f64 {
    let mut client = writer::Client::new(stage.server.port);
    let begun = Instant::now();
    let sent = queries.iter().take_while(|_| Instant::now() < until);
    let sent = sent.map(|query| client.call(query)).count();
    sent as f64 / begun.elapsed().as_secs_f64()
}
