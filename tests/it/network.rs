//! The network's bad days: nobody is blamed, and a person is told what to look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::vectors::own_vectors;
use testkit::harness::{Address as _, Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Service};

const FILLED: &str = "MATCH (n) RETURN count(n.embedding)";
const MARKED: &str = "MATCH (n) RETURN count(n.embedding_error)";
const TIMEOUT: Duration = Duration::from_millis(500);

pub fn setup(service: &Service) -> Setup {
    let timeout = TIMEOUT.as_millis().to_string();
    Setup::with(service).set("max-attempts", "2").set("request-timeout-ms", &timeout)
}

/// A pass over ten nodes that the service does not answer well: it ends soon, blames nobody, and
/// says `told` wherever a person may look.
pub fn endures(redis: &mut Redis, told: &[&str]) {
    redis.query("kb", "UNWIND range(1, 10) AS i CREATE (:Doc {text: toString(i)})");
    let begun = Instant::now();
    let tally = redis.run("kb");
    assert_eq!(tally.counts(), [10, 0, 0, 0, 10]);
    // Two tries and a probe, with a backoff of at most a second before each.
    assert!(begun.elapsed() < TIMEOUT * 3 + Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(redis.number("kb", MARKED), 0);
    let embedder = redis.status().get("embedder");
    assert_ne!(embedder.text("state"), "ready");
    let graph = redis.graph_status("kb").text("last_error");
    for place in [tally.text("error"), embedder.text("reason"), graph] {
        assert!(told.iter().all(|words| place.contains(words)), "{place}");
    }
}

/// [`endures`] the answer, and is filled once the service is well again.
fn recovers(answer: impl Fn() -> Answer + Send + Sync + 'static, told: &[&str]) {
    let well = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&well);
    let service =
        Service::scripted(
            8,
            move |_| {
                if now.load(Ordering::Relaxed) { Answer::Vectors } else { answer() }
            },
        );
    let server = setup(&service).start();
    let mut redis = server.connect();
    endures(&mut redis, told);
    well.store(true, Ordering::Relaxed);
    assert_eq!(redis.run("kb").counts(), [10, 10, 0, 0, 0]);
    assert_eq!(own_vectors(&mut redis, "kb"), 10);
    assert_eq!(redis.status().get("embedder").text("state"), "ready");
}

#[test]
fn an_address_that_leads_nowhere_is_named_and_mended_by_another() {
    let service = Service::start(8);
    let url = service.url();
    let tls = url.replace("http://", "https://");
    let port = url.trim_start_matches("http://127.0.0.1:").trim_end_matches("/v1");
    let handshake = format!("127.0.0.1:{port}: the TLS handshake failed");
    let wrong = [
        ("http://no-such-host.invalid/v1", "no-such-host.invalid:80"),
        (&tls, &handshake),
        ("http://127.0.0.1:1/v1", "127.0.0.1:1: Connection refused"),
    ];
    for (address, told) in wrong {
        let setup = setup(&service).set("base-url", address);
        let server = setup.arg("--enable-protected-configs", "yes").start();
        let mut redis = server.connect();
        endures(&mut redis, &[told]);
        redis.call::<String>(&["CONFIG", "SET", "vectorfill.base-url", &url]);
        wait_for("the vectors", || (redis.number("kb", FILLED) == 10).then_some(()));
    }
}

#[test]
fn a_connection_reset_in_the_middle_of_a_body_is_waited_out() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"data\": [";
    recovers(move || Answer::Raw(half.into()), &["127.0.0.1"]);
}

#[test]
fn a_connection_that_is_closed_without_an_answer_is_waited_out() {
    recovers(|| Answer::Reset, &["127.0.0.1"]);
}

#[test]
fn a_body_without_end_is_given_up_at_the_timeout() {
    let (told, pause) = (["127.0.0.1", "within 500ms"], Duration::from_millis(10));
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    recovers(move || Answer::Endless(long, b" ".into(), pause), &told);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    recovers(move || Answer::Endless(chunked, b"1\r\n \r\n".into(), pause), &told);
}

#[test]
fn a_head_without_end_is_given_up_at_the_timeout() {
    let (told, pause) = (["127.0.0.1", "within 500ms"], Duration::from_millis(10));
    recovers(move || Answer::Endless("HTTP/1.1 200 OK\r\nx: ", b"x".into(), pause), &told);
}

#[test]
fn what_is_no_json_is_waited_out() {
    let answer =
        |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let broken = answer("{\"data\":?");
    recovers(move || Answer::Raw(broken.clone().into()), &["not usable", "line 1 column 9"]);
    let page = answer(" <!doctype html>\n<title>Welcome</title>");
    let told = ["no JSON object and begins with '<!doctype html> <title>Welcome</title>'"];
    recovers(move || Answer::Raw(page.clone().into()), &told);
}

#[test]
fn the_error_page_of_a_proxy_is_told_in_one_line() {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n";
    let told = ["the service answered 502: 502 Bad Gateway"];
    recovers(move || Answer::Status(502, vec![], page.into()), &told);
}

#[test]
fn a_redirect_is_told_with_where_it_leads() {
    let elsewhere = "https://elsewhere.example/v1/embeddings";
    let headers = move || vec![("location", elsewhere.to_owned())];
    recovers(move || Answer::Status(308, headers(), String::new()), &["308", elsewhere]);
}

/// The most memory the server has ever had in use, in megabytes.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// How many megabytes a service that sends a hundred of them costs the server, and what is told.
fn garbage(bytes: &'static [u8]) -> (u64, String) {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
    let service = Service::scripted(8, move |request| match request.texts.as_slice() {
        [text] if text == "warm" => Answer::Vectors,
        _ => Answer::Endless(head, bytes.repeat(1 << 14), Duration::ZERO),
    });
    let server = Setup::with(&service).set("max-attempts", "2").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'warm'})");
    assert_eq!(redis.run("kb").counts(), [1, 1, 0, 0, 0]);
    let before = peak(&server);
    redis.query("kb", "UNWIND range(1, 400) AS i CREATE (:Doc {text: toString(i)})");
    let tally = redis.run("kb");
    assert_eq!(tally.counts(), [400, 0, 0, 0, 400]);
    (peak(&server) - before, tally.text("error"))
}

#[test]
fn garbage_without_end_is_given_up_at_its_first_bytes() {
    let (cost, told) = garbage(b"garbage ");
    assert!(told.contains("no JSON object and begins with 'garbage garbage"), "{told}");
    assert!(cost < 20, "{cost} MB");
}

#[test]
fn an_answer_without_end_does_not_fill_the_servers_memory() {
    let (cost, told) = garbage(b"{\"a\":7, ");
    assert!(told.contains("longer than"), "{told}");
    assert!(cost < 80, "{cost} MB");
}
