//! Where the server's time goes during a fill: each thread's share of a core.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::options::Options;
use crate::proc::Cpu;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Size, Stage};
use crate::stats::{Samples, ms};
use crate::writer;

/// Threads that ran for a smaller share are left out.
const LEAST: f64 = 0.5;

#[derive(Default)]
struct Thread {
    /// Percent of the time.
    ran: Samples,
    waited: Samples,
    /// Milliseconds on a core for a thousand nodes.
    each: Samples,
}

#[derive(Default)]
struct Usage {
    rate: Samples,
    total: Samples,
    threads: BTreeMap<String, Thread>,
}

pub fn measure(options: &Options) {
    let about = "How long each thread of the server was on a core during a fill without an index. The \
        main thread is `redis-server`. *Without a core*: ready to run while others had the cores; a \
        figure is good where that is next to nothing.";
    let mut section = Section::new("threads", "Threads during a fill", about);
    section.head(&[
        "dimensions",
        "who writes",
        "thread",
        "on a core, %",
        "without a core, %",
        "ms for 1,000 nodes",
    ]);
    for &dimensions in &options.dimensions {
        let size = Size { nodes: options.nodes[0], dimensions, indexed: false };
        let (mut ours, mut alone) = (Usage::default(), Usage::default());
        for _ in 0..options.rounds {
            watch(options, size, &mut ours, |stage, _| stage.fill());
            watch(options, size, &mut alone, |stage, service| {
                writer::write(stage, &service.vectors, options.rows, 1)
            });
        }
        for (who, usage) in [("vectorfill", ours), ("the engine alone, one writer", alone)] {
            let begin = [dimensions.to_string(), who.to_owned()];
            let mut row = |rest: [String; 4]| section.row(&[&begin[..], &rest[..]].concat());
            for (name, thread) in &usage.threads {
                let Thread { ran, waited, each } = thread;
                row([name.clone(), ran.show(), waited.show(), each.show()]);
            }
            let all = format!("all, at {} nodes/s", usage.rate.show());
            row([all, "–".into(), "–".into(), usage.total.show()]);
        }
    }
    section.finish();
}

fn watch(
    options: &Options,
    size: Size,
    usage: &mut Usage,
    work: impl FnOnce(&mut Stage, &Service) -> f64,
) {
    let service = Service::start(size.dimensions, Latency::COMMON);
    let mut stage = Stage::new(options, &service, size);
    let (before, begun) = (Cpu::of(stage.server.pid()), Instant::now());
    usage.rate.push(work(&mut stage, &service));
    let took = begun.elapsed();
    let since = Cpu::of(stage.server.pid()).since(&before);
    let thousands = size.nodes as f64 / 1_000.0;
    for (name, times) in since.threads() {
        let share = |part: std::time::Duration| 100.0 * part.as_secs_f64() / took.as_secs_f64();
        if share(times.ran) >= LEAST {
            let thread = usage.threads.entry(name.clone()).or_default();
            thread.ran.push(share(times.ran));
            thread.waited.push(share(times.waited));
            thread.each.push(ms(times.ran) / thousands);
        }
    }
    usage.total.push(ms(since.total()) / thousands);
}
