//! The proxy of the environment: who is reached through it, what it gets to see, and what is told.

use crate::network::{endures, setup};
use crate::security::shown;
use crate::vectors::own_vectors;
use testkit::harness::{Address as _, Setup};
use testkit::proxy::{Proxy, Route};
use testkit::service::Service;

/// A host that only the proxy knows.
const HIDDEN: &str = "http://embedder.invalid/v1";
const KEY: &str = "sk-test-key-1234";
const PASSWORD: &str = "hunter2hunter2";

fn proxy(service: &Service, wants_password: bool) -> Proxy {
    Proxy::start(Route { to: port(service), wants_password })
}

fn port(service: &Service) -> u16 {
    let authority = service.url().replace("http://127.0.0.1:", "");
    authority.trim_end_matches("/v1").parse().unwrap()
}

/// The proxy's address with a user and a password.
fn named(proxy: &Proxy) -> String {
    format!("http://user:{PASSWORD}@127.0.0.1:{}", proxy.port)
}

/// Ten nodes get their vectors.
fn is_filled(setup: Setup) {
    let server = setup.start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 10) AS i CREATE (:Doc {text: toString(i)})");
    assert_eq!(redis.run("kb").counts(), [10, 10, 0, 0, 0]);
    assert_eq!(own_vectors(&mut redis, "kb"), 10);
    let shown = shown(&server, &mut redis);
    assert!(!shown.contains(PASSWORD), "{shown}");
}

/// Ten nodes do not, and all of `told` is said, but never the password.
fn is_told(setup: Setup, told: &[&str]) {
    let server = setup.start();
    let mut redis = server.connect();
    endures(&mut redis, told);
    let shown = shown(&server, &mut redis);
    assert!(told.iter().all(|words| shown.contains(words)), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn a_service_is_reached_through_the_proxy_of_the_environment() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let service = Service::start(8);
        let proxy = proxy(&service, true);
        is_filled(setup(&service).set("base-url", HIDDEN).env(variable, &named(&proxy)));
        let heard = proxy.text();
        assert!(heard.contains("POST http://embedder.invalid/v1/embeddings"), "{heard}");
    }
}

#[test]
fn a_proxy_for_others_is_left_alone() {
    let service = Service::start(8);
    let proxy = proxy(&service, false);
    let address = named(&proxy);
    // This machine, as are the tests' services everywhere else.
    is_filled(setup(&service).env("HTTP_PROXY", &address).env("ALL_PROXY", &address));
    // An address that leads here too, but does not say so.
    let other = format!("http://0.0.0.0:{}/v1", port(&service));
    let without = setup(&service).set("base-url", &other).env("HTTP_PROXY", &address);
    is_filled(without.env("NO_PROXY", "example.com, 0.0.0.0/8"));
    is_filled(setup(&service).set("base-url", &other).env("HTTPS_PROXY", &address));
    assert_eq!(proxy.text(), "");
    is_filled(setup(&service).set("base-url", &other).env("HTTP_PROXY", &address));
    assert!(proxy.text().contains(&format!("POST {other}/embeddings")));
}

#[test]
fn a_proxy_sees_neither_key_nor_text_of_what_is_encrypted() {
    let service = Service::start(8);
    let proxy = proxy(&service, true);
    let hidden = HIDDEN.replace("http:", "https:");
    let through = setup(&service).set("base-url", &hidden).env("HTTPS_PROXY", &named(&proxy));
    // The service behind the proxy does not speak TLS.
    let told = format!("embedder.invalid:443 through the proxy http://127.0.0.1:{}", proxy.port);
    is_told(through.env("HTTP_PROXY", "http://127.0.0.1:1"), &[&told, "the TLS handshake failed"]);
    assert!(!proxy.heard().is_empty());
    for heard in proxy.heard() {
        let end = heard.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let (head, tunneled) = heard.split_at(end);
        let head = String::from_utf8_lossy(head).to_lowercase();
        assert!(head.starts_with("connect embedder.invalid:443 http/1.1"), "{head}");
        assert!(!head.contains("\r\nauthorization:"), "{head}");
        // A TLS record of a handshake.
        assert_eq!(tunneled.first(), Some(&0x16));
    }
    let heard = proxy.text();
    assert!(!heard.contains(KEY) && !heard.contains("input"), "{heard}");
}

#[test]
fn a_proxy_that_is_not_there_is_named_with_what_to_change() {
    let service = Service::start(8);
    let address = format!("http://user:{PASSWORD}@127.0.0.1:1");
    for (url, variable) in [(HIDDEN, "HTTP_PROXY"), ("https://embedder.invalid/v1", "HTTPS_PROXY")]
    {
        let told = [
            "through the proxy http://127.0.0.1:1: ",
            "Connection refused",
            &format!("correct {variable}, or add embedder.invalid to NO_PROXY"),
        ];
        is_told(setup(&service).set("base-url", url).env(variable, &address), &told);
    }
}

#[test]
fn a_proxy_that_wants_a_password_is_told_as_that() {
    let service = Service::start(8);
    let proxy = proxy(&service, true);
    let address = format!("http://127.0.0.1:{}", proxy.port);
    for (url, variable) in [(HIDDEN, "HTTP_PROXY"), ("https://embedder.invalid/v1", "HTTPS_PROXY")]
    {
        let wants = format!("the proxy {address} wants a user and a password");
        let told = [&wants, &format!("{variable}=http://user:password@")];
        let told = told.map(String::as_str);
        is_told(setup(&service).set("base-url", url).env(variable, &address), &told);
    }
    assert!(service.requests().is_empty());
}
