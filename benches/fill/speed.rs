//! Nodes a second, side by side: the module, the others, and the two limits.

use crate::chart::{Chart, Scale};
use crate::options::Options;
use crate::peers;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Size, Stage};
use crate::stats::{Samples, number, ratio};
use crate::writer;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Module,
    Polling,
    Expert,
    Writer,
    TwoWriters,
    Service,
}

const ALL: [(Contender, &str); 6] = [
    (Contender::Module, "vectorfill"),
    (Contender::Polling, "polling job"),
    (Contender::Expert, "expert's asyncio job"),
    (Contender::Writer, "the engine alone, one writer"),
    (Contender::TwoWriters, "the engine alone, two writers"),
    (Contender::Service, "the service alone"),
];

pub fn measure(options: &Options) {
    let about = "Nodes a second with no other client, medians of the rounds and their spread. *The \
        smaller limit* is the engine with one writer, or the service.";
    let mut section = Section::new("speed", "Speed", about);
    section.head(&[
        "graph",
        "vectorfill",
        "polling",
        "expert",
        "engine, 1 writer",
        "engine, 2 writers",
        "service",
        "÷ smaller limit",
        "÷ expert",
        "÷ polling",
    ]);
    for size in sizes(options) {
        let rates = rates(options, size);
        let of = |contender| &rates[ALL.iter().position(|(known, _)| *known == contender).unwrap()];
        let ours = of(Contender::Module).median();
        let limit = of(Contender::Writer).median().min(of(Contender::Service).median());
        let mut cells = vec![label(size)];
        cells.extend(rates.iter().map(Samples::show));
        cells.push(ratio(ours / limit));
        cells.push(ratio(ours / of(Contender::Expert).median()));
        cells.push(ratio(ours / of(Contender::Polling).median()));
        section.row(&cells);
        let mut chart = Chart::new(label(size), "nodes/s", Scale::Linear);
        ALL.iter().zip(&rates).for_each(|((_, name), samples)| chart.bar(*name, samples));
        section.chart(chart);
    }
    section.finish();
}

fn sizes(options: &Options) -> Vec<Size> {
    let mut sizes = Vec::new();
    for &nodes in &options.nodes {
        for &dimensions in &options.dimensions {
            let indexed = options.indexed.iter().map(|word| word == "yes");
            sizes.extend(indexed.map(|indexed| Size { nodes, dimensions, indexed }));
        }
    }
    sizes
}

fn label(size: Size) -> String {
    let index = if size.indexed { "index present" } else { "no index" };
    format!("{} × {}, {index}", number(size.nodes as f64), size.dimensions)
}

/// All contenders in turn, round after round: what disturbs the machine disturbs all of them.
fn rates(options: &Options, size: Size) -> Vec<Samples> {
    let mut rates = vec![Samples::default(); ALL.len()];
    for round in 1..=options.rounds {
        for (samples, (contender, name)) in rates.iter_mut().zip(ALL) {
            if !name.starts_with(&options.only) {
                continue;
            }
            if let Some(rate) = rate(options, size, contender) {
                eprintln!("round {round}: {}: {name}: {} nodes/s", label(size), number(rate));
                samples.push(rate);
            }
        }
    }
    rates
}

fn rate(options: &Options, size: Size, contender: Contender) -> Option<f64> {
    let service = Service::start(size.dimensions, Latency::COMMON);
    if contender == Contender::Service {
        return Some(peers::service_alone(&service, size.nodes));
    }
    let main = size.dimensions == options.dimensions[0] && !size.indexed;
    if contender == Contender::Polling && !main {
        // It is known from the first row for how slow it is.
        return None;
    }
    let mut stage = Stage::new(options, &service, size);
    let rate = match contender {
        Contender::Module => stage.fill(),
        Contender::Expert => peers::expert(&stage, &service),
        Contender::Writer => writer::write(&stage, &service.vectors, options.rows, 1),
        Contender::TwoWriters => writer::write(&stage, &service.vectors, options.rows, 2),
        // It is stopped before it is done.
        Contender::Polling => return Some(peers::polling(&stage, &service, options.polling)),
        Contender::Service => unreachable!("asked before the stage was made"),
    };
    stage.check(&service.vectors);
    Some(rate)
}
