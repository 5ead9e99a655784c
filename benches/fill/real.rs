//! A fill from a real embedding server, whose answers nobody has scripted: llama.cpp's own, with
//! the model that the module can compute itself, so that the vectors can be compared.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use testkit::harness::{Address, Redis, Setup, path};

use crate::options::Options;
use crate::peers;
use crate::report::Section;
use crate::stage::{GRAPH, Stage};
use crate::stats::Samples;

const NODES: usize = 1_000;
/// Nodes whose vectors are compared.
const COMPARED: [usize; 5] = [0, 250, 500, 750, 999];
/// What two programs that compute the same model in 32 bits must agree on.
const AGREE: f64 = 0.999;

/// llama.cpp's server; it ends with its standard input.
struct Llama {
    process: Child,
    address: String,
}

impl Llama {
    fn start() -> Self {
        let cores = std::thread::available_parallelism().unwrap().to_string();
        let mut command: Command =
            peers::script(&path("VECTORFILL_PYTHON").to_string_lossy(), "llama.py");
        command.arg(path("VECTORFILL_MODEL_DIR")).args(["0", &cores]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        assert!(address.starts_with("http://"), "no server: it comes with `make bench`");
        Self { process, address }
    }
}

impl Address for Llama {
    fn url(&self) -> String {
        format!("{}/v1", self.address)
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

pub fn measure(options: &Options) {
    let about = "1,000 nodes filled by llama.cpp's server (`/v1/embeddings`, `provider openai`) with \
        all-MiniLM-L6-v2 in 32 bits, at default settings; its vectors against those of `provider \
        local` with the same model.";
    let mut section = Section::new("real", "A real server", about);
    section.head(&["nodes/s", "requests", "sent again", "nodes with a vector", "least cosine"]);
    let (mut rates, llama) = (Samples::default(), Llama::start());
    let mut last = Vec::new();
    for _ in 0..options.rounds {
        let mut stage = Stage::of(Setup::with(&llama).set("auto-index", "no"));
        create(&mut stage);
        rates.push(stage.fill());
        let embedder = stage.redis.status().get("embedder");
        let filled = "MATCH (n) RETURN count(n.embedding)";
        let filled = stage.redis.number(GRAPH, filled);
        assert_eq!(filled, NODES as i64, "nodes with a vector");
        let cosine = least_cosine(&mut stage.redis);
        assert!(cosine >= AGREE, "{cosine}");
        last = vec![
            embedder.number("requests").to_string(),
            embedder.number("retries").to_string(),
            filled.to_string(),
            format!("{cosine:.6}"),
        ];
    }
    last.insert(0, rates.show());
    section.row(&last);
    section.finish();
}

fn create(stage: &mut Stage) {
    let text = "'Note ' + toString(i) + ': the ferry leaves at ' + toString(i % 24) + ' from pier ' \
        + toString(i % 7) + ', and the captain waits for nobody'";
    stage.create(NODES, text, "");
}

/// The least similarity of the vectors stored to those of the model in the process.
fn least_cosine(redis: &mut Redis) -> f64 {
    let local = Setup::default()
        .set("provider", "local")
        .set("model", &path("VECTORFILL_MODEL_DIR").to_string_lossy());
    let mut local = Stage::of(local.set("interval", "0").set("wake-on-write", "no"));
    create(&mut local);
    local.fill();
    let cosines = COMPARED.map(|node| {
        let query = format!("MATCH (n) WHERE n.id = {node} RETURN n.embedding");
        let of = |redis: &mut Redis| redis.vector(GRAPH, &query).unwrap();
        cosine(&of(redis), &of(&mut local.redis))
    });
    cosines.into_iter().fold(1.0, f64::min)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
