//! Where the server's time goes during a fill: each thread's share of a core.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::proc::Cpu;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Size, Stage};
use crate::stats::Samples;
use crate::writer;

type Shares = BTreeMap<String, Samples>;

pub fn measure(options: &Options) {
    let about = "Share of a core each thread of the server used, in percent, and of all of them \
        milliseconds of a core for 1,000 nodes; no index. `redis-server` is the main thread.";
    let mut section = Section::new("threads", "Threads during a fill", about);
    section.head(&["dimensions", "who writes", "thread", "% of a core"]);
    for &dimensions in &options.dimensions {
        let size = Size { nodes: options.nodes[0], dimensions, indexed: false };
        let (mut ours, mut alone) = (Shares::new(), Shares::new());
        for _ in 0..options.rounds {
            watch(options, size, &mut ours, |stage, _| {
                stage.fill();
            });
            watch(options, size, &mut alone, |stage, service| {
                writer::write(stage, &service.vectors, options.rows, 1);
            });
        }
        for (who, shares) in [("vectorfill", ours), ("the engine alone, one writer", alone)] {
            for (thread, samples) in shares {
                let cells = [dimensions.to_string(), who.to_owned(), thread, samples.show()];
                section.row(&cells);
            }
        }
    }
    section.finish();
}

fn watch(
    options: &Options,
    size: Size,
    shares: &mut Shares,
    work: impl FnOnce(&mut Stage, &Service),
) {
    let service = Service::start(size.dimensions, Latency::COMMON);
    let mut stage = Stage::new(options, &service, size);
    let (before, begun) = (Cpu::of(stage.server.pid()), Instant::now());
    work(&mut stage, &service);
    let took = begun.elapsed();
    let ran = Cpu::of(stage.server.pid()).since(&before);
    let mut note = |name: String, value: f64| shares.entry(name).or_default().push(value);
    for (thread, ran) in ran.threads().filter(|(_, ran)| *ran > took / 200) {
        note(thread.clone(), 100.0 * ran.as_secs_f64() / took.as_secs_f64());
    }
    let thousands = size.nodes as f64 / 1_000.0;
    note("(nodes/s)".into(), size.nodes as f64 / took.as_secs_f64());
    note("(all, ms for 1,000 nodes)".into(), millis(ran.total()) / thousands);
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
