//! What a fill leaves to a client that reads the graph.

use std::time::{Duration, Instant};

use crate::clients::small_reads;
use crate::options::Options;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Size, Stage};
use crate::stats::{Samples, number, ratio};

/// How long the client is watched while nothing else happens.
const IDLE: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Row {
    idle: Samples,
    during: Samples,
    rate: Samples,
}

pub fn measure(options: &Options) {
    let about = "Queries a second of one client that sends small `GRAPH.RO_QUERY`s one after the \
        other, alone and during a fill.";
    let mut section = Section::new("readers", "Readers beside a fill", about);
    section.head(&["graph", "alone", "during the fill", "share", "nodes/s meanwhile"]);
    for indexed in [false, true] {
        let (nodes, dimensions) = (options.nodes[0], options.dimensions[0]);
        let size = Size { nodes, dimensions, indexed };
        let mut row = Row::default();
        (0..options.rounds).for_each(|_| round(options, size, &mut row));
        let index = if indexed { "index present" } else { "no index" };
        let share = ratio(row.during.median() / row.idle.median());
        let (idle, during, rate) = (row.idle.show(), row.during.show(), row.rate.show());
        section.row(&[
            format!("{} × {dimensions}, {index}", number(nodes as f64)),
            idle,
            during,
            share,
            rate,
        ]);
    }
    section.finish();
}

fn round(options: &Options, size: Size, row: &mut Row) {
    let service = Service::start(size.dimensions, Latency::COMMON);
    let mut stage = Stage::new(options, &service, size);
    let mut reads = |work: &mut dyn FnMut(&mut Stage)| {
        let (reader, begun) = (small_reads(&stage.server), Instant::now());
        work(&mut stage);
        let took = begun.elapsed();
        reader.stop() as f64 / took.as_secs_f64()
    };
    row.idle.push(reads(&mut |_| std::thread::sleep(IDLE)));
    let mut rate = 0.0;
    row.during.push(reads(&mut |stage| rate = stage.fill()));
    row.rate.push(rate);
}
