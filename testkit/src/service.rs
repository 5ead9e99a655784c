//! A scripted embedding service on loopback: real sockets, real HTTP, answers as a test wants them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Address, LIMIT, wait_for};

/// A request as the service saw it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Counts from 0.
    pub number: usize,
    /// Path and query string.
    pub path: String,
    pub texts: Vec<String>,
    pub body: Value,
    pub headers: Vec<(String, String)>,
}

/// What the service does.
pub enum Answer {
    /// Vectors of the right kind.
    Vectors,
    /// A body under a status, with further headers.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Another body under 200.
    Body(Value),
    /// Nothing; the connection is closed.
    Reset,
    /// Bytes as they are, and the connection is closed.
    Raw(Vec<u8>),
    /// A head, and then the same bytes again and again, with a pause between.
    Endless(&'static str, Vec<u8>, Duration),
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    taken: usize,
    held: bool,
}

struct Shared {
    dimensions: usize,
    /// Whether requests are kept for the test to look at.
    remembers: bool,
    script: Box<Script>,
    state: Mutex<State>,
    released: Condvar,
}

/// The service; it lives as long as the test's process.
pub struct Service {
    port: u16,
    shared: Arc<Shared>,
}

impl Service {
    /// Answers every request well.
    pub fn start(dimensions: usize) -> Self {
        Self::scripted(dimensions, |_| Answer::Vectors)
    }

    pub fn scripted(
        dimensions: usize,
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::launch(dimensions, true, Box::new(script))
    }

    /// Keeps no request: for more texts than the memory should hold.
    pub fn forgetful(
        dimensions: usize,
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::launch(dimensions, false, Box::new(script))
    }

    fn launch(dimensions: usize, remembers: bool, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, released) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { dimensions, remembers, script, state, released });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, shared }
    }

    /// The service's address with another path.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// All texts that were ever sent.
    pub fn texts(&self) -> Vec<String> {
        self.requests().into_iter().flat_map(|request| request.texts).collect()
    }

    /// Lets requests come in and none go out.
    pub fn hold(&self) {
        self.shared.state.lock().unwrap().held = true;
    }

    pub fn release(&self) {
        self.shared.state.lock().unwrap().held = false;
        self.shared.released.notify_all();
    }

    pub fn wait_for_requests(&self, number: usize) {
        wait_for("requests at the service", || (self.requests().len() >= number).then_some(()));
    }
}

impl Address for Service {
    fn url(&self) -> String {
        self.at("/v1")
    }
}

/// The vector the service gives a text: another for every text.
pub fn vector_of(text: &str, dimensions: usize) -> Vec<f32> {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut next = |byte: u8| {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        hash
    };
    let seed = text.bytes().map(&mut next).last().unwrap_or(1);
    (0..dimensions)
        .map(|at| {
            let mixed = (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            (mixed as f32 + 1.0) / (1u32 << 24) as f32 - 0.5
        })
        .collect()
}

/// A vector as base64.
pub fn encoded(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    json!(STANDARD.encode(bytes))
}

/// The body of a good answer.
pub fn good(request: &Request, dimensions: usize) -> Value {
    let base64 = request.body["encoding_format"] == "base64";
    let item = |(index, text): (usize, &String)| {
        let vector = vector_of(text, dimensions);
        let embedding = if base64 { encoded(&vector) } else { json!(vector) };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let data: Vec<Value> = request.texts.iter().enumerate().map(item).collect();
    json!({ "object": "list", "data": data, "usage": { "total_tokens": request.texts.len() } })
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    while let Some(request) = read_request(&mut stream, shared) {
        let answer = (shared.script)(&request);
        let mut state = shared.state.lock().unwrap();
        while state.held {
            state = shared.released.wait(state).unwrap();
        }
        drop(state);
        let written = match answer {
            Answer::Vectors => {
                reply(&mut stream, 200, &[], &good(&request, shared.dimensions).to_string())
            }
            Answer::Body(body) => reply(&mut stream, 200, &[], &body.to_string()),
            Answer::Status(status, headers, body) => reply(&mut stream, status, &headers, &body),
            Answer::Reset => return,
            Answer::Raw(bytes) => {
                stream.write_all(&bytes).ok();
                return;
            }
            Answer::Endless(head, bytes, pause) => {
                let mut going = stream.write_all(head.as_bytes()).is_ok();
                while going {
                    going = stream.write_all(&bytes).is_ok();
                    std::thread::sleep(pause);
                }
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn reply(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &str,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())
}

fn read_request(stream: &mut TcpStream, shared: &Shared) -> Option<Request> {
    let mut bytes = Vec::new();
    let (head, path, headers) = loop {
        let mut chunk = [0; 65_536];
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(parsed) = request.parse(&bytes) else {
            // TLS on a port for plain HTTP: this is how servers answer that.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").ok();
            return None;
        };
        if let httparse::Status::Complete(head) = parsed {
            let text = |header: &httparse::Header<'_>| {
                (header.name.to_lowercase(), String::from_utf8_lossy(header.value).into_owned())
            };
            let headers: Vec<_> = request.headers.iter().map(text).collect();
            break (head, request.path.unwrap_or_default().to_owned(), headers);
        }
    };
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .unwrap()
        .1
        .parse::<usize>()
        .unwrap();
    while bytes.len() < head + length {
        let mut chunk = [0; 65_536];
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
    let body: Value = serde_json::from_slice(&bytes[head..head + length]).unwrap();
    let texts = texts_of(&body);
    let mut state = shared.state.lock().unwrap();
    let request = Request { number: state.taken, path, texts, body, headers };
    state.taken += 1;
    if shared.remembers {
        state.requests.push(request.clone());
    }
    Some(request)
}

/// The texts of a request, where its protocol has them.
fn texts_of(body: &Value) -> Vec<String> {
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    let plain = [&body["input"], &body["texts"]].into_iter().find_map(Value::as_array);
    if let Some(texts) = plain {
        return texts.iter().map(text).collect();
    }
    let requests = body["requests"].as_array().unwrap_or_else(|| panic!("no texts: {body}"));
    requests.iter().map(|request| text(&request["content"]["parts"][0]["text"])).collect()
}

/// A service that takes its time, for measurements.
pub fn paced(dimensions: usize, base: Duration, each: Duration) -> Service {
    Service::scripted(dimensions, move |request| {
        std::thread::sleep(base + each * u32::try_from(request.texts.len()).unwrap());
        Answer::Vectors
    })
}
