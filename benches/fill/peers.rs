//! The others: two jobs in Python, and the service's own limit.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use std::io::Write as _;

use serde::Deserialize;

use crate::service::{Service, message};
use crate::stage::{Stage, text_of};
use testkit::harness::{Address as _, path};

/// The module's defaults: the same requests are sent without it.
const BATCH: usize = 50;
const CONCURRENCY: usize = 8;

#[derive(Deserialize)]
struct Outcome {
    written: usize,
    seconds: f64,
}

/// What many write first: see the script.
pub fn polling(stage: &Stage, service: &Service, limit: Duration) -> f64 {
    python("polling.py", stage, &[&service.url(), &limit.as_secs().to_string()])
}

/// What an expert writes: see the script.
pub fn expert(stage: &Stage, service: &Service) -> f64 {
    python("expert.py", stage, &[&service.url()])
}

fn python(name: &str, stage: &Stage, args: &[&str]) -> f64 {
    let mut command = script(&path("VECTORFILL_PYTHON").to_string_lossy(), name);
    command.arg(stage.server.port.to_string()).args(args).stdin(Stdio::piped());
    rate(command, b"")
}

pub fn script(python: &str, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(format!("{}/benches/peers/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// Runs a script with this on its standard input. It takes the time itself, so that starting Python is
/// not counted.
pub fn rate(mut command: Command, input: &[u8]) -> f64 {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} (the clients come with `make bench`): {failure}");
    let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap();
    outcome.written as f64 / outcome.seconds
}

/// The same requests as the module sends, at the same concurrency, with the answers thrown away.
pub fn service_alone(service: &Service, nodes: usize) -> f64 {
    let texts: Vec<String> = (0..nodes).map(text_of).collect();
    let requests: Vec<Vec<u8>> = texts.chunks(BATCH).map(request).collect();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENCY {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
                stream.set_nodelay(true).unwrap();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    stream.write_all(request).unwrap();
                    message(&mut stream).unwrap();
                }
            });
        }
    });
    nodes as f64 / begun.elapsed().as_secs_f64()
}

/// A request as it goes over the wire.
pub fn request(texts: &[String]) -> Vec<u8> {
    let body = serde_json::json!({ "model": "m", "input": texts, "encoding_format": "base64" });
    let body = body.to_string();
    let length = body.len();
    let head =
        format!("POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    (head + &body).into_bytes()
}
