//! What it costs Redis' main thread that a pass reads texts: the answer of a query is made there.

use std::time::Duration;

use crate::options::{Options, SHORT};
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{Stage, info};
use crate::stats::{Samples, number};
use testkit::harness::Redis;

const ROWS: usize = 10_000;
const LETTERS: usize = 200;
/// One pass takes the main thread some milliseconds.
const PASSES: u32 = 10;

pub fn measure(options: &Options) {
    let about = format!(
        "{} nodes with a text of {LETTERS} characters, all marked as refused: each pass reads all \
         texts and marks, whether one has been edited, and embeds nothing. The mean of {PASSES} \
         passes, with all else a pass does.",
        number(ROWS as f64)
    );
    let mut section = Section::new("reading", "Reading texts", &about);
    let head = format!("main thread, µs for {} rows", number(ROWS as f64));
    section.head(&[&head, "a pass, ms"]);
    let service = Service::start(SHORT, Latency::NONE);
    let mut stage = Stage::empty(options, &service);
    let text = format!("left('some text ' + toString(i) + '{}', {LETTERS})", " word".repeat(40));
    // A mark set by hand holds whatever the text says.
    stage.create(ROWS, &text, ", embedding_error: 'refused'");
    // The first pass learns what there is.
    stage.run();
    let (mut main, mut whole) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let before = main_thread(&mut stage.redis);
        let took: Duration = (0..PASSES).map(|_| stage.run()).sum();
        let ran = main_thread(&mut stage.redis) - before;
        main.push(ran * 1e6 / f64::from(PASSES));
        whole.push(took.as_secs_f64() * 1e3 / f64::from(PASSES));
    }
    assert_eq!(service.seen().texts, 0, "texts that were sent");
    section.row(&[main.show(), whole.show()]);
    section.finish();
}

/// Seconds that the main thread ran so far.
fn main_thread(redis: &mut Redis) -> f64 {
    let fields = ["used_cpu_user_main_thread:", "used_cpu_sys_main_thread:"];
    fields.map(|field| info(redis, "cpu", field).parse::<f64>().unwrap()).iter().sum()
}
