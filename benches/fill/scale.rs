//! Whether large graphs cost more a node than small ones, in time and in memory.

use std::time::Instant;

use crate::chart::{Chart, Scale};
use crate::options::{Options, SHORT};
use crate::proc;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Size, Stage};
use crate::stats::{Samples, number};
use crate::writer;

/// What filling one graph took.
#[derive(Default)]
struct Cost {
    /// Seconds for 100,000 nodes.
    seconds: Samples,
    /// Megabytes added, once it was done.
    added: Samples,
    /// Megabytes added, at most.
    peak: Samples,
    /// Of these, megabytes that Redis counts as its own.
    counted: Samples,
}

pub fn measure(options: &Options) {
    let about = format!(
        "Graphs of different sizes, {SHORT} dimensions, a service without latency, no index. Memory is \
         what the kernel says of the whole server, less what it had before; `used_memory` is Redis' \
         own count of it. The vectors themselves are the raw numbers."
    );
    let mut section = Section::new("scale", "Large graphs", &about);
    section.head(&[
        "nodes",
        "who writes",
        "s for 100,000 nodes",
        "memory added, MiB",
        "at most, MiB",
        "used_memory, MiB",
        "the vectors, MiB",
    ]);
    let mut chart = Chart::new("A hundred thousand nodes", "s", Scale::Linear);
    for &nodes in &options.scale {
        let (mut ours, mut alone) = (Cost::default(), Cost::default());
        for _ in 0..options.rounds {
            cost(options, nodes, &mut ours, |stage, _| {
                stage.fill();
            });
            cost(options, nodes, &mut alone, |stage, service| {
                writer::write(stage, &service.vectors, options.rows, 1);
            });
        }
        let vectors = number(mebibytes(nodes * SHORT * size_of::<f32>()));
        for (who, cost) in [("vectorfill", ours), ("the engine alone, one writer", alone)] {
            let figures = [&cost.seconds, &cost.added, &cost.peak, &cost.counted];
            let mut cells = vec![number(nodes as f64), who.to_owned()];
            cells.extend(figures.map(Samples::show));
            cells.push(vectors.clone());
            section.row(&cells);
            chart.bar(format!("{who}, {}", number(nodes as f64)), &cost.seconds);
        }
    }
    section.chart(chart);
    section.finish();
}

fn cost(options: &Options, nodes: usize, cost: &mut Cost, work: impl FnOnce(&mut Stage, &Service)) {
    let service = Service::start(SHORT, Latency::NONE);
    let size = Size { nodes, dimensions: SHORT, indexed: false };
    let mut stage = Stage::new(options, &service, size);
    let pid = stage.server.pid();
    proc::forget_peak(pid);
    let ((before, _), counted) = (proc::memory(pid), stage.used_memory());
    let begun = Instant::now();
    work(&mut stage, &service);
    let took = begun.elapsed();
    let (after, peak) = proc::memory(pid);
    let added = |now: usize, then: usize| mebibytes(now.saturating_sub(then));
    cost.seconds.push(took.as_secs_f64() * 100_000.0 / nodes as f64);
    cost.added.push(added(after, before));
    cost.peak.push(added(peak, before));
    cost.counted.push(added(stage.used_memory(), counted));
    stage.check(&service.vectors);
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
