//! The service: fast, refuses poison always, and fails one request in ten in a random way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use testkit::service::{Answer, Request, Service, encoded, good, vector_of};

pub const DIMENSIONS: usize = 8;
/// A text that holds this word is refused with 400 whenever it is asked for.
pub const POISON: &str = "poison";
/// The module waits so long for an answer.
pub const PATIENCE: Duration = Duration::from_secs(2);

const SHARE: f64 = 0.1;
const BASE: Duration = Duration::from_millis(10);
const EACH: Duration = Duration::from_micros(30);

type Fault = fn(&mut Rng, &Request) -> Answer;

const FAULTS: [(&str, Fault); 16] = [
    ("429 with Retry-After", |_, _| refusal(429, "slow down", Some("1"))),
    ("429 without", |_, _| refusal(429, "slow down", None)),
    ("500", |_, _| refusal(500, "internal error", None)),
    ("503 with Retry-After", |_, _| refusal(503, "overloaded", Some("1"))),
    ("503 without", |_, _| refusal(503, "overloaded", None)),
    ("connection closed", |_, _| Answer::Reset),
    ("connection closed in mid-body", |_, request| Answer::Raw(half_an_answer(request))),
    ("broken JSON", |_, request| page(half(&body(request)))),
    ("HTML page", |_, _| page("<html><body><h1>Please log in</h1></body></html>".into())),
    ("a vector missing", |rng, request| {
        with_data(request, |data| drop(data.swap_remove(rng.usize(..data.len()))))
    }),
    ("NaN in a vector", |rng, request| {
        let number = rng.usize(..DIMENSIONS);
        with_vector(rng, request, |vector| vector[number] = f32::NAN)
    }),
    ("null in a vector", |rng, request| {
        let mut vector = vec![json!(0.5); DIMENSIONS];
        vector[rng.usize(..DIMENSIONS)] = Value::Null;
        let at = rng.usize(..request.texts.len());
        with_data(request, |data| data[at]["embedding"] = json!(vector))
    }),
    ("shuffled (a good answer)", |rng, request| match answer(request) {
        Answer::Vectors => with_data(request, |data| rng.shuffle(data)),
        refused => refused,
    }),
    ("slow (a good answer)", |rng, request| {
        std::thread::sleep(Duration::from_millis(rng.u64(300..1_500)));
        answer(request)
    }),
    ("no answer in time", |_, _| {
        std::thread::sleep(PATIENCE + Duration::from_millis(500));
        Answer::Reset
    }),
    // The last, because it takes several vectors to see that one of them is wrong.
    ("wrong dimension of one vector", |rng, request| {
        let longer = rng.bool();
        with_vector(rng, request, |vector| {
            vector.resize(if longer { DIMENSIONS + 1 } else { DIMENSIONS - 1 }, 0.5);
        })
    }),
];

/// What the service has done while it failed, and whether it still does.
#[derive(Default)]
pub struct Faults {
    requests: AtomicU64,
    poisoned: AtomicU64,
    injected: Mutex<BTreeMap<&'static str, u64>>,
    well: AtomicBool,
}

impl Faults {
    /// From now on only poison is refused.
    pub fn end(&self) {
        self.well.store(true, Ordering::SeqCst);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that held poison.
    pub fn poisoned(&self) -> u64 {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// By kind, in the order of the list.
    pub fn injected(&self) -> Vec<(&'static str, u64)> {
        let injected = self.injected.lock().unwrap();
        FAULTS.iter().map(|(kind, _)| (*kind, injected.get(kind).copied().unwrap_or(0))).collect()
    }

    pub fn total(&self) -> u64 {
        self.injected.lock().unwrap().values().sum()
    }

    fn answer(&self, seed: u64, request: &Request) -> Answer {
        if self.well.load(Ordering::SeqCst) {
            return answer(request);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if is_poisoned(request) {
            self.poisoned.fetch_add(1, Ordering::Relaxed);
        }
        // The number of the request decides, and not which thread comes first.
        let mut rng = Rng::with_seed(seed ^ (request.number as u64).wrapping_mul(0x9e37_79b9));
        if rng.f64() >= SHARE {
            return answer(request);
        }
        let kinds = FAULTS.len() - usize::from(request.texts.len() < 2);
        let (kind, fault) = FAULTS[rng.usize(..kinds)];
        *self.injected.lock().unwrap().entry(kind).or_default() += 1;
        fault(&mut rng, request)
    }
}

pub fn start(seed: u64) -> (Service, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let acting = Arc::clone(&faults);
    let service =
        Service::forgetful(DIMENSIONS, move |request: &Request| acting.answer(seed, request));
    (service, faults)
}

fn is_poisoned(request: &Request) -> bool {
    request.texts.iter().any(|text| text.contains(POISON))
}

/// What a service in good health says.
fn answer(request: &Request) -> Answer {
    std::thread::sleep(BASE + EACH * u32::try_from(request.texts.len()).unwrap());
    if is_poisoned(request) {
        return refusal(400, "content policy violation", None);
    }
    Answer::Vectors
}

fn refusal(status: u16, message: &str, retry_after: Option<&str>) -> Answer {
    let headers = retry_after.map(|after| ("retry-after", after.to_owned()));
    let body = json!({ "error": { "message": message } });
    Answer::Status(status, headers.into_iter().collect(), body.to_string())
}

fn page(text: String) -> Answer {
    Answer::Status(200, vec![], text)
}

fn body(request: &Request) -> String {
    good(request, DIMENSIONS).to_string()
}

fn half(text: &str) -> String {
    text.chars().take(text.len() / 2).collect()
}

fn half_an_answer(request: &Request) -> Vec<u8> {
    let body = body(request);
    let head = format!("HTTP/1.1 200 Scripted\r\ncontent-length: {}\r\n\r\n", body.len());
    (head + &half(&body)).into_bytes()
}

/// A good answer after a change of its list of vectors.
fn with_data(request: &Request, change: impl FnOnce(&mut Vec<Value>)) -> Answer {
    let mut body = good(request, DIMENSIONS);
    change(body["data"].as_array_mut().unwrap());
    Answer::Body(body)
}

/// A good answer after a change of one vector, which is sent as base64 like the others.
fn with_vector(rng: &mut Rng, request: &Request, change: impl FnOnce(&mut Vec<f32>)) -> Answer {
    let at = rng.usize(..request.texts.len());
    let mut vector = vector_of(&request.texts[at], DIMENSIONS);
    change(&mut vector);
    with_data(request, |data| data[at]["embedding"] = encoded(&vector))
}
