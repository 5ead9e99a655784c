//! What the module costs while it has nothing to do.

use std::time::{Duration, Instant};

use crate::bare;
use crate::clients::{Client, small_read};
use crate::options::{Options, SHORT};
use crate::proc::Cpu;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Stage, create};
use crate::stats::number;
use testkit::harness::Server;

const READS_A_SECOND: u32 = 100;
/// The default of `interval`.
const INTERVAL: Duration = Duration::from_secs(300);

pub fn measure(options: &Options) {
    let about = format!(
        "A graph of {} finished nodes, all settings at their defaults, watched for {} s; percent of \
         a core. The server without the module does the same reads.",
        number(options.finished as f64),
        options.watch.as_secs()
    );
    let mut section = Section::new("idle", "With nothing to do", &about);
    section.head(&["meanwhile", "the module's threads, %", "the whole server, %", "without it, %"]);
    let service = Service::start(SHORT, Latency::COMMON);
    let mut stage = Stage::empty(options, &service);
    stage.create_finished(options.finished, SHORT);
    stage.run();
    stage.configure("interval", &INTERVAL.as_secs().to_string());
    stage.configure("wake-on-write", "yes");
    let bare = bare::start();
    create(&mut bare.connect(), 0..1_000, "toString(i)", "");
    // What follows on the settings is over by then.
    std::thread::sleep(Duration::from_secs(2));
    for reads in [false, true] {
        let (ours, whole) = watch(&stage.server, options.watch, reads);
        let (_, without) = watch(&bare, options.watch, reads);
        let name = if reads { format!("{READS_A_SECOND} reads/s") } else { "nothing".into() };
        section.row(&[name, percent(ours), percent(whole), percent(without)]);
    }
    let before = Cpu::of(stage.server.pid());
    let took = stage.run();
    let ran = Cpu::of(stage.server.pid()).since(&before);
    let share = |ran: Duration| percent(ran.as_secs_f64() / INTERVAL.as_secs_f64());
    let name = format!("one pass every {} s", INTERVAL.as_secs());
    section.row(&[name, share(ran.ours()), share(ran.total()), "–".into()]);
    section.paragraph(&format!(
        "That pass looks at all nodes and finds nothing to do. It took {} s and {} s of a core.",
        number(took.as_secs_f64()),
        number(ran.total().as_secs_f64())
    ));
    section.finish();
}

/// Shares of a core: of the module's own threads, and of all.
fn watch(server: &Server, lasting: Duration, reads: bool) -> (f64, f64) {
    let reader = reads.then(|| {
        let mut next = Instant::now();
        Client::start(server, move |redis, count: &mut usize| {
            redis.number(crate::stage::GRAPH, &small_read(*count % 1_000));
            *count += 1;
            next += Duration::from_secs(1) / READS_A_SECOND;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        })
    });
    let (before, begun) = (Cpu::of(server.pid()), Instant::now());
    std::thread::sleep(lasting);
    let ran = Cpu::of(server.pid()).since(&before);
    let share = |ran: Duration| ran.as_secs_f64() / begun.elapsed().as_secs_f64();
    let shares = (share(ran.ours()), share(ran.total()));
    if let Some(reader) = reader {
        reader.stop();
    }
    shares
}

fn percent(share: f64) -> String {
    format!("{:.3}", share * 100.0)
}
