//! The embedding service of the comparison: real sockets, real HTTP, a scripted latency. It counts
//! what it is asked for.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::harness::Address;

use serde::Deserialize;

use crate::vectors::{Vectors, hash};

/// How long an answer takes.
#[derive(Clone, Copy)]
pub struct Latency {
    pub request: Duration,
    pub text: Duration,
}

impl Latency {
    /// Of the comparison: what a good service takes for short texts.
    pub const COMMON: Self =
        Self { request: Duration::from_millis(50), text: Duration::from_micros(200) };
    pub const NONE: Self = Self { request: Duration::ZERO, text: Duration::ZERO };
    /// A service that hangs.
    pub const HANGING: Self = Self { request: Duration::from_secs(10), text: Duration::ZERO };

    pub fn of(self, texts: usize) -> Duration {
        self.request + self.text * u32::try_from(texts).unwrap()
    }
}

/// What the service was asked for.
#[derive(Default, Clone)]
pub struct Seen {
    pub requests: usize,
    pub texts: usize,
    pub distinct: HashSet<u64>,
}

pub struct Service {
    pub port: u16,
    pub vectors: Arc<Vectors>,
    pub latency: Latency,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Deserialize)]
struct Body {
    input: Vec<String>,
}

impl Service {
    /// Lives as long as the process.
    pub fn start(dimensions: usize, latency: Latency) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (vectors, seen) = (Arc::new(Vectors::new(dimensions)), Arc::default());
        let service = Self { port, vectors, latency, seen };
        let (vectors, seen) = (Arc::clone(&service.vectors), Arc::clone(&service.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (vectors, seen) = (Arc::clone(&vectors), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream, &vectors, latency, &seen));
            }
        });
        service
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

/// One connection. An error is the client's going away.
fn serve(mut stream: TcpStream, vectors: &Vectors, latency: Latency, seen: &Mutex<Seen>) {
    stream.set_nodelay(true).unwrap();
    while let Some(body) = message(&mut stream) {
        let come = Instant::now();
        let texts = serde_json::from_slice::<Body>(&body).unwrap().input;
        note(seen, &texts);
        let answer = answer(vectors, &texts);
        // What it took to make the answer is part of the latency, not on top of it.
        std::thread::sleep(latency.of(texts.len()).saturating_sub(come.elapsed()));
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn note(seen: &Mutex<Seen>, texts: &[String]) {
    let mut seen = seen.lock().unwrap();
    seen.requests += 1;
    seen.texts += texts.len();
    seen.distinct.extend(texts.iter().map(|text| hash(text)));
}

fn answer(vectors: &Vectors, texts: &[String]) -> String {
    let room = texts.len() * (vectors.dimensions * 16 / 3 + 80) + 256;
    let mut body = String::with_capacity(room);
    body += r#"{"object":"list","model":"scripted","data":["#;
    for (index, text) in texts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(body, r#"{comma}{{"object":"embedding","index":{index},"embedding":""#).unwrap();
        vectors.base64(text, &mut body);
        body += r#""}"#;
    }
    let tokens = texts.len();
    write!(body, r#"],"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#).unwrap();
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The body of the next request, or of the next response; `None` at the connection's end.
pub fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 64 * 1024];
    let mut filled = 0;
    let body = loop {
        let read = stream.read(&mut bytes[filled..]).ok().filter(|read| *read > 0)?;
        filled += read;
        if let Some(at) = bytes[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let length = content_length(&String::from_utf8_lossy(&bytes[..body]));
    bytes.resize(bytes.len().max(body + length), 0);
    if filled < body + length {
        stream.read_exact(&mut bytes[filled..body + length]).ok()?;
    }
    bytes.truncate(body + length);
    bytes.drain(..body);
    Some(bytes)
}

fn content_length(head: &str) -> usize {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    };
    head.lines().find_map(field).expect("a length")
}

impl Address for Service {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}
