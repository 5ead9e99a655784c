//! A model in the process, beside the same model in sentence-transformers (PyTorch) on the same cores.

use std::fmt::Write as _;
use std::process::Stdio;

use crate::options::Options;
use crate::peers;
use crate::report::Section;
use crate::stage::Stage;
use crate::stats::{Samples, ratio};
use testkit::harness::{Setup, path};

/// Words the texts are made of: one or two tokens each.
const WORDS: &str = "the ferry leaves at seven from the old harbour and the captain waits for nobody \
    while rain falls on quiet hills near the station where trains arrive late every winter evening";
/// Words of a text, about as many tokens; and how many such texts.
const TEXTS: [(&str, usize, usize); 3] = [
    ("short, 26 words", 26, 1_500),
    ("long, 180 words", 180, 200),
    ("26 to 180 words, mixed", 0, 400),
];

pub fn measure(options: &Options) {
    let about = "Texts a second of `provider local` with all-MiniLM-L6-v2, from the request to the last \
        vector in the graph, and of `encode` in sentence-transformers with the same number of threads. \
        The peer runs where `VECTORFILL_BENCH_SENTENCES` names a Python that has it (it brings PyTorch, \
        some gigabytes).";
    let mut section = Section::new("local", "A model in the process", about);
    section.head(&["texts", "threads", "vectorfill", "sentence-transformers", "ratio"]);
    for (name, words, number) in TEXTS {
        for threads in [1, 2] {
            let texts: Vec<String> = (0..number).map(|i| text(i, length(i, words))).collect();
            let (mut ours, mut theirs) = (Samples::default(), Samples::default());
            for _ in 0..options.rounds {
                ours.push(fill(threads, &texts));
                if let Some(python) = &options.sentences {
                    theirs.push(encode(python, threads, &texts));
                }
            }
            section.row(&[
                name.to_owned(),
                threads.to_string(),
                ours.show(),
                theirs.show(),
                ratio(ours.median() / theirs.median()),
            ]);
        }
    }
    section.finish();
}

fn length(number: usize, words: usize) -> usize {
    if words > 0 { words } else { 26 + number * 37 % 155 }
}

/// A text like no other of this many words.
fn text(number: usize, words: usize) -> String {
    let mut text = number.to_string();
    let skipped = WORDS.split_whitespace().cycle().skip(number % 7);
    skipped.take(words.saturating_sub(1)).for_each(|word| write!(text, " {word}").unwrap());
    text
}

fn fill(threads: usize, texts: &[String]) -> f64 {
    let setup = Setup::default()
        .set("provider", "local")
        .set("model", &path("VECTORFILL_MODEL_DIR").to_string_lossy())
        .set("local-threads", &threads.to_string())
        .set("interval", "0")
        .set("wake-on-write", "no")
        .set("auto-index", "no");
    let mut stage = Stage::of(setup);
    // The model is read with the first text.
    stage.create_texts(&["a text to begin with".to_owned()]);
    stage.run();
    stage.create_texts(texts);
    texts.len() as f64 / stage.run().as_secs_f64()
}

fn encode(python: &str, threads: usize, texts: &[String]) -> f64 {
    let mut command = peers::script(python, "sentences.py");
    command.arg(path("VECTORFILL_MODEL_DIR")).arg(threads.to_string()).stdin(Stdio::piped());
    peers::rate(command, &serde_json::to_vec(texts).unwrap())
}
