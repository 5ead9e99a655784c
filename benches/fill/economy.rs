//! What is paid: texts and requests, against the least that would do.

use crate::options::{Options, SHORT};
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::Stage;
use crate::stats::{number, ratio};

/// The defaults of `batch-size` and `batch-tokens`.
const BATCH_TEXTS: usize = 50;
const BATCH_TOKENS: usize = 100_000;
/// Bytes of a long text: twenty of them fill a request.
const LONG: usize = 20_000;

pub fn measure(options: &Options) {
    let about = "Texts and requests the service was sent. The least possible: every distinct text once, \
        and as few requests as its texts fit into, by number and by estimated tokens.";
    let mut section = Section::new("economy", "What is paid", about);
    section.head(&[
        "texts",
        "nodes",
        "texts paid",
        "distinct texts",
        "paid ÷ distinct",
        "requests",
        "least possible",
        "÷ least",
    ]);
    let nodes = options.nodes[0];
    let half = nodes / 2;
    let long = "x".repeat(LONG);
    let few = nodes.min(2_000);
    let cases = [
        ("all distinct", nodes, "'some text ' + toString(i)".to_owned(), 0),
        ("each twice, far apart", nodes, format!("'some text ' + toString(i % {half})"), 0),
        ("each twice, side by side", nodes, "'some text ' + toString(i / 2)".to_owned(), 0),
        (
            "every tenth 20,000 bytes long",
            few,
            format!("CASE WHEN i % 10 = 0 THEN '{long}' ELSE 'some text ' END + toString(i)"),
            few.div_ceil(10),
        ),
        (
            "first the short ones, then a tenth of long ones",
            few,
            format!(
                "CASE WHEN i >= {few} * 9 / 10 THEN '{long}' ELSE 'some text ' END + toString(i)"
            ),
            few / 10,
        ),
    ];
    for (name, nodes, text, long) in cases {
        section.row(&row(options, name, nodes, &text, long));
    }
    section.finish();
}

fn row(options: &Options, name: &str, nodes: usize, text: &str, long: usize) -> Vec<String> {
    let service = Service::start(SHORT, Latency::COMMON);
    let mut stage = Stage::empty(options, &service);
    stage.create(nodes, text, "");
    stage.fill();
    let seen = service.seen();
    let distinct = seen.distinct.len();
    let tokens = long * LONG / 4 + distinct;
    let least = distinct.div_ceil(BATCH_TEXTS).max(tokens.div_ceil(BATCH_TOKENS));
    vec![
        name.to_owned(),
        number(nodes as f64),
        number(seen.texts as f64),
        number(distinct as f64),
        ratio(seen.texts as f64 / distinct as f64),
        number(seen.requests as f64),
        number(least as f64),
        ratio(seen.requests as f64 / least as f64),
    ]
}
