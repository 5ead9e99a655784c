//! What is measured, and how large: arguments choose the parts, the environment the sizes.

use std::str::FromStr;
use std::time::Duration;

/// Sizes of a run. Each field names its variable.
pub struct Options {
    /// `VECTORFILL_BENCH_NODES`: graphs that are filled; the first where one is enough.
    pub nodes: Vec<usize>,
    /// `VECTORFILL_BENCH_DIMS`: lengths of the vectors; the first where one is enough.
    pub dimensions: Vec<usize>,
    /// `VECTORFILL_BENCH_INDEX`: without an index before the fill (`no`), with it (`yes`), or both.
    pub indexed: Vec<String>,
    /// `VECTORFILL_BENCH_ROUNDS`: each figure is the median of so many.
    pub rounds: usize,
    /// `VECTORFILL_BENCH_SCALE`: graphs filled by a service without latency.
    pub scale: Vec<usize>,
    /// `VECTORFILL_BENCH_GRAPHS`: graphs of one node; a fifth of them is measured, too.
    pub graphs: usize,
    /// `VECTORFILL_BENCH_RELATIONSHIPS`: relationships that are filled.
    pub relationships: usize,
    /// `VECTORFILL_BENCH_RULED`: graphs that three rules apply to.
    pub ruled: usize,
    /// `VECTORFILL_BENCH_FRESH`: graphs of finished nodes that new ones are added to.
    pub fresh: Vec<usize>,
    /// `VECTORFILL_BENCH_FINISHED`: the graph of finished nodes that nothing is to be done for.
    pub finished: usize,
    /// `VECTORFILL_BENCH_SECONDS`: how long something steady is watched.
    pub watch: Duration,
    /// `VECTORFILL_BENCH_POLLING`: seconds after which the plain polling job is stopped.
    pub polling: Duration,
    /// `VECTORFILL_BENCH_ROWS`: rows in a query of the engine's own limit.
    pub rows: usize,
    /// `VECTORFILL_BENCH_ONLY`: contenders, or cases, whose name begins so; the others are left out.
    pub only: String,
    /// `VECTORFILL_BENCH_SENTENCES`: a Python with sentence-transformers.
    pub sentences: Option<String>,
    /// `VECTORFILL_BENCH_SET`: further settings of the module, such as `concurrency=16 batch-size=100`.
    pub set: Vec<(String, String)>,
}

/// Vectors of graphs with a million nodes: what is measured there does not depend on their length.
pub const SHORT: usize = 64;

impl Options {
    pub fn from_environment() -> Self {
        Self {
            nodes: list("NODES", "10000"),
            dimensions: list("DIMS", "1536,384,3072"),
            indexed: list("INDEX", "no,yes"),
            rounds: one("ROUNDS", "3"),
            scale: list("SCALE", "100000,500000,1000000"),
            graphs: one("GRAPHS", "5000"),
            relationships: one("RELATIONSHIPS", "200000"),
            ruled: one("RULED", "2000"),
            fresh: list("FRESH", "1000,1000000"),
            finished: one("FINISHED", "1000000"),
            watch: Duration::from_secs(one("SECONDS", "20")),
            polling: Duration::from_secs(one("POLLING", "30")),
            rows: one("ROWS", "100"),
            only: text("ONLY", ""),
            sentences: Some(text("SENTENCES", "")).filter(|path| !path.is_empty()),
            set: settings(&text("SET", "")),
        }
    }
}

fn text(name: &str, otherwise: &str) -> String {
    std::env::var(format!("VECTORFILL_BENCH_{name}")).unwrap_or_else(|_| otherwise.to_owned())
}

fn list<T: FromStr>(name: &str, otherwise: &str) -> Vec<T> {
    let text = text(name, otherwise);
    let number = |word: &str| word.trim().parse().ok();
    let numbers: Option<Vec<T>> = text.split(',').map(number).collect();
    numbers.unwrap_or_else(|| panic!("VECTORFILL_BENCH_{name}={text} is no list of numbers"))
}

fn one<T: FromStr>(name: &str, otherwise: &str) -> T {
    list(name, otherwise).into_iter().next().unwrap()
}

fn settings(text: &str) -> Vec<(String, String)> {
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{word}: name=value"));
        (name.to_owned(), value.to_owned())
    };
    text.split_whitespace().map(pair).collect()
}
