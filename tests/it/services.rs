//! What services really do: texts they never take, limits they do or do not tell, answers of every
//! shape, refusals by chance. No node is lost to any of it, and none is paid for twice.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::vectors::own_vectors;
use testkit::harness::{Redis, Server, Setup, wait_for};
use testkit::service::{Answer, Request, Service, encoded, good, vector_of};

const DIM: usize = 8;

fn refusal(status: u16, message: &str) -> Answer {
    Answer::Status(status, vec![], json!({ "error": { "message": message } }).to_string())
}

fn texts(redis: &mut Redis, from: usize, to: usize) {
    redis.query(
        "kb",
        &format!("UNWIND range({from}, {to}) AS i CREATE (:Doc {{text: 'text number ' + i}})"),
    );
}

/// A server that asks the service, with so many texts to embed.
fn with_texts(service: &Service, number: usize) -> (Server, Redis) {
    with(Setup::with(service), number)
}

fn with(setup: Setup, number: usize) -> (Server, Redis) {
    let server = setup.start();
    let mut redis = server.connect();
    texts(&mut redis, 1, number);
    (server, redis)
}

/// Requests that were answered with something else than vectors.
fn refused(service: &Service, is_refused: impl Fn(&Request) -> bool) -> usize {
    service.requests().iter().filter(|request| is_refused(request)).count()
}

#[test]
fn a_text_that_alone_always_fails_is_set_aside_whatever_the_status() {
    const BAD: &str = "text number 57";
    let holds = |request: &Request| request.texts.iter().any(|text| text == BAD);
    for status in [400, 403, 404, 413, 422, 451, 500, 502, 504] {
        let service = Service::scripted(DIM, move |request| {
            if holds(request) { refusal(status, "these words") } else { Answer::Vectors }
        });
        let (_server, mut redis) = with_texts(&service, 120);
        assert_eq!(redis.run("kb").counts(), [120, 119, 0, 1, 0], "{status}");
        let failures: Vec<(i64, String)> = redis.call(&["VECTORFILL.FAILURES", "kb"]);
        assert!(failures.len() == 1 && failures[0].1.contains("these words"), "{failures:?}");
        let before = service.requests().len();
        assert_eq!(redis.run("kb").counts(), [0; 5], "{status}");
        assert_eq!(service.requests().len(), before, "it costs nothing more");
        assert_eq!(redis.status().get("embedder").text("state"), "ready", "{status}");
    }
}

#[test]
fn a_new_node_does_not_wait_for_bad_ones() {
    let service = Service::scripted(DIM, |request| {
        let bad = request.texts.iter().any(|text| text.ends_with('7'));
        if bad { refusal(500, "the model runner has stopped") } else { Answer::Vectors }
    });
    let (_server, mut redis) = with(Setup::with(&service).set("wake-on-write", "yes"), 120);
    for number in [1_000, 1_001, 1_002] {
        let begun = Instant::now();
        texts(&mut redis, number, number);
        let filled =
            format!("MATCH (n {{text: 'text number {number}'}}) RETURN count(n.embedding)");
        wait_for("the new vector", || (redis.number("kb", &filled) == 1).then_some(()));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[test]
fn one_bad_answer_among_good_ones_ends_nothing() {
    for status in [404, 408, 409, 424, 500, 502, 503, 529] {
        let service = Service::scripted(DIM, move |request| {
            if request.number == 3 { refusal(status, "stumbled") } else { Answer::Vectors }
        });
        let (_server, mut redis) = with_texts(&service, 600);
        assert_eq!(redis.run("kb").counts(), [600, 600, 0, 0, 0], "{status}");
    }
}

#[test]
fn a_limit_of_texts_that_is_told_is_learnt_once() {
    let words = "batch size is invalid, it should not be larger than 10.: input.contents";
    for status in [400, 413, 422] {
        let service = Service::scripted(DIM, move |request| {
            if request.texts.len() > 10 { refusal(status, words) } else { Answer::Vectors }
        });
        let (_server, mut redis) = with_texts(&service, 2_000);
        assert_eq!(redis.run("kb").counts(), [2_000, 2_000, 0, 0, 0]);
        assert!(service.requests().len() <= 210, "{} requests", service.requests().len());
    }
}

#[test]
fn a_limit_that_only_shows_in_what_comes_back_is_learnt_once() {
    let service = Service::scripted(DIM, |request| {
        let mut body = good(request, DIM);
        body["data"].as_array_mut().unwrap().truncate(10);
        Answer::Body(body)
    });
    let (_server, mut redis) = with_texts(&service, 2_000);
    assert_eq!(redis.run("kb").counts(), [2_000, 2_000, 0, 0, 0]);
    assert!(service.requests().len() <= 210, "{} requests", service.requests().len());
    assert_eq!(own_vectors(&mut redis, "kb"), 2_000);
}

#[test]
fn a_limit_that_no_words_name_is_found_and_blames_no_text() {
    let large = |request: &Request| request.texts.len() > 10;
    let service = Service::scripted(DIM, move |request| {
        if large(request) { refusal(422, "unprocessable") } else { Answer::Vectors }
    });
    let (_server, mut redis) = with_texts(&service, 2_000);
    assert_eq!(redis.run("kb").counts(), [2_000, 2_000, 0, 0, 0]);
    // What is in flight at once, and of each level of halving down to six texts twice as much.
    let bound = 8 + 3 * 16;
    assert!(refused(&service, large) <= bound, "{} refused", refused(&service, large));
}

#[test]
fn a_request_larger_than_a_minute_allows_is_made_smaller() {
    const LIMIT: usize = 10_000;
    let tokens = |texts: &[String]| texts.iter().map(|text| text.len() / 4 + 1).sum::<usize>();
    let service = Service::scripted(DIM, move |request| {
        let tokens = tokens(&request.texts);
        let words = format!(
            "Request too large for the model on tokens per min (TPM): Limit {LIMIT}, Requested \
             {tokens}. The input or output tokens must be reduced in order to run successfully."
        );
        if tokens > LIMIT { refusal(429, &words) } else { Answer::Vectors }
    });
    let server = Setup::with(&service).start();
    let mut redis = server.connect();
    let long = "lorem ipsum ".repeat(150);
    redis.query("kb", &format!("UNWIND range(1, 120) AS i CREATE (:Doc {{text: '{long}' + i}})"));
    assert_eq!(redis.run("kb").counts(), [120, 120, 0, 0, 0]);
}

#[test]
fn an_account_that_is_empty_is_rejected_with_the_services_words() {
    let service =
        Service::scripted(DIM, |_| refusal(429, "Insufficient balance. Please recharge."));
    let (_server, mut redis) = with_texts(&service, 60);
    let tally = redis.run("kb");
    assert_eq!(tally.counts(), [60, 0, 0, 0, 60]);
    assert!(tally.text("error").contains("Insufficient balance"));
    assert_eq!(redis.status().get("embedder").text("state"), "rejected");
}

#[test]
fn refusals_by_chance_delay_only_what_was_refused() {
    let service = Service::scripted(DIM, |request| {
        std::thread::sleep(Duration::from_millis(20));
        if request.number % 5 == 4 {
            return Answer::Status(429, vec![("retry-after", "1".into())], String::new());
        }
        Answer::Vectors
    });
    let (_server, mut redis) = with_texts(&service, 3_000);
    let begun = Instant::now();
    assert_eq!(redis.run("kb").counts(), [3_000, 3_000, 0, 0, 0]);
    // A request may be refused twice or three times; a client that pauses as a whole takes 15 s.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn a_slow_service_gets_requests_it_can_answer_in_time() {
    let busy = std::sync::Mutex::new(());
    let service = Service::scripted(DIM, move |request| {
        let _one_at_a_time = busy.lock().unwrap();
        std::thread::sleep(Duration::from_millis(20) * request.texts.len() as u32);
        Answer::Vectors
    });
    let (_server, mut redis) = with(Setup::with(&service).set("request-timeout-ms", "600"), 200);
    assert_eq!(redis.run("kb").counts(), [200, 200, 0, 0, 0]);
}

/// What a service may answer to two texts, as bytes.
fn shapes(request: &Request) -> Vec<Vec<u8>> {
    let vectors: Vec<Value> = request.texts.iter().map(|t| json!(vector_of(t, DIM))).collect();
    let base64 = request.texts.iter().map(|text| encoded(&vector_of(text, DIM)));
    let item = |embedding: &Value| json!({ "embedding": embedding });
    let bodies = [
        json!({ "data": vectors.iter().map(item).collect::<Vec<Value>>() }),
        json!({ "data": base64.map(|text| item(&text)).collect::<Vec<Value>>() }),
        json!({ "embeddings": vectors }),
        json!({ "embeddings": { "float": vectors } }),
        json!({ "embeddings": vectors.iter().map(|v| json!({ "values": v })).collect::<Vec<_>>() }),
        json!(vectors),
    ];
    let mut shapes: Vec<Vec<u8>> =
        bodies.iter().map(|body| plain(body.to_string().as_bytes(), "")).collect();
    let body = bodies[0].to_string();
    shapes.push(plain(format!("\u{feff}{body}").as_bytes(), ""));
    shapes.push(plain(&gzip(body.as_bytes()), "content-encoding: gzip\r\n"));
    shapes
}

fn plain(body: &[u8], headers: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// As gzip, not compressed.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let crc = bytes.iter().fold(!0u32, |crc, byte| {
        let bit = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ bit(crc))
    });
    let length = u16::try_from(bytes.len()).unwrap();
    let mut gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(bytes);
    gzip.extend((!crc).to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    gzip
}

#[test]
fn good_answers_are_taken_in_whatever_shape_they_come() {
    let texts = ["one".to_owned(), "two".to_owned()];
    let number = shapes(&Request {
        number: 0,
        path: String::new(),
        texts: texts.to_vec(),
        body: Value::Null,
        headers: vec![],
    })
    .len();
    for shape in 0..number {
        let service =
            Service::scripted(DIM, move |request| Answer::Raw(shapes(request).swap_remove(shape)));
        let (_server, mut redis) = with_texts(&service, 2);
        assert_eq!(redis.run("kb").counts(), [2, 2, 0, 0, 0], "shape {shape}");
        assert_eq!(own_vectors(&mut redis, "kb"), 2, "shape {shape}");
    }
}

#[test]
fn a_vector_that_is_of_no_use_is_refused_and_those_beside_it_are_kept() {
    let service = Service::scripted(DIM, |request| {
        let mut body = good(request, DIM);
        for (item, text) in body["data"].as_array_mut().unwrap().iter_mut().zip(&request.texts) {
            if text.ends_with('3') {
                item["embedding"] = json!(vec![0.0; DIM]);
            }
        }
        Answer::Body(body)
    });
    let (_server, mut redis) = with_texts(&service, 20);
    assert_eq!(redis.run("kb").counts(), [20, 18, 0, 2, 0]);
    let failures: Vec<(i64, String)> = redis.call(&["VECTORFILL.FAILURES", "kb"]);
    assert!(failures.iter().all(|(_, words)| words.contains("zeros")), "{failures:?}");
}

#[test]
fn a_service_without_pooling_is_told_of_in_the_users_words() {
    let nested = |_: &Request| Answer::Body(json!({ "data": [{ "embedding": [[1, 2], [3, 4]] }] }));
    let service = Service::scripted(DIM, nested);
    let (_server, mut redis) = with(Setup::with(&service).set("max-attempts", "2"), 1);
    assert_eq!(redis.run("kb").counts(), [1, 0, 0, 0, 1]);
    let error = redis.graph_status("kb").text("last_error");
    assert!(error.contains("pooling") && !error.contains("enum"), "{error}");
}

/// Takes texts of 512 tokens, one for each character beyond the Latin alphabet.
fn short_only(request: &Request) -> Answer {
    let tokens = |text: &String| {
        let wide = text.chars().filter(|c| *c > '\u{2e7f}').count();
        wide + (text.chars().count() - wide) / 4 + 1
    };
    match request.texts.iter().map(tokens).find(|tokens| *tokens > 512) {
        Some(tokens) => refusal(
            500,
            &format!(
                "input ({tokens} tokens) is too large to process. increase the physical batch \
                 size (current batch size: 512)"
            ),
        ),
        None => Answer::Vectors,
    }
}

fn long_texts(redis: &mut Redis) {
    let [latin, chinese] = ["word ".repeat(700), "漢字仮名交じり文".repeat(200)];
    redis.query("kb", &format!("CREATE (:Doc {{text: '{latin}'}}), (:Doc {{text: '{chinese}'}})"));
}

#[test]
fn texts_that_are_too_long_are_shortened_and_counted() {
    let service = Service::scripted(DIM, short_only);
    let (_server, mut redis) = with_texts(&service, 58);
    long_texts(&mut redis);
    let tally = redis.run("kb");
    assert_eq!(tally.counts(), [60, 60, 0, 0, 0]);
    assert_eq!(tally.number("truncated"), 2);
    assert!(service.requests().len() <= 8, "{} requests", service.requests().len());
    long_texts(&mut redis);
    redis.run("kb");
    let last = service.requests().pop().unwrap();
    assert!(matches!(short_only(&last), Answer::Vectors), "the limit is remembered");
}

#[test]
fn texts_that_are_too_long_are_quarantined_where_they_must_not_be_cut() {
    let service = Service::scripted(DIM, short_only);
    let (_server, mut redis) = with(Setup::with(&service).set("truncate", "no"), 58);
    long_texts(&mut redis);
    assert_eq!(redis.run("kb").counts(), [60, 58, 0, 2, 0]);
}

/// A service by name: what it is asked, and what it answers.
struct Named {
    name: &'static str,
    /// The variable its key is in, and the header it is sent in.
    key: Option<(&'static str, &'static str)>,
    base: &'static str,
    path: &'static str,
    /// Part of the body for a document.
    body: Value,
    answer: fn(&Request) -> Value,
}

fn vectors(request: &Request) -> Value {
    json!(request.texts.iter().map(|text| vector_of(text, DIM)).collect::<Vec<_>>())
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn named() -> Vec<Named> {
    let openai = |request: &Request| good(request, DIM);
    let bearer = "authorization";
    vec![
        Named {
            name: "openai",
            key: Some(("OPENAI_API_KEY", bearer)),
            base: "/v1",
            path: "/v1/embeddings",
            body: json!({ "model": "text-embedding-3-small", "encoding_format": "base64" }),
            answer: openai,
        },
        Named {
            name: "azure",
            key: Some(("AZURE_OPENAI_API_KEY", "api-key")),
            base: "/openai/deployments/emb?api-version=2024-02-01",
            path: "/openai/deployments/emb/embeddings?api-version=2024-02-01",
            body: json!({ "dimensions": DIM }),
            answer: openai,
        },
        Named {
            name: "voyage",
            key: Some(("VOYAGE_API_KEY", bearer)),
            base: "/v1",
            path: "/v1/embeddings",
            body: json!({ "model": "voyage-4", "input_type": "document", "truncation": false,
                          "output_dimension": DIM }),
            answer: openai,
        },
        Named {
            name: "cohere",
            key: Some(("COHERE_API_KEY", bearer)),
            base: "/v2",
            path: "/v2/embed",
            body: json!({ "model": "embed-v4.0", "input_type": "search_document",
                          "embedding_types": ["float"], "truncate": "NONE" }),
            answer: |request| json!({ "embeddings": { "float": vectors(request) } }),
        },
        Named {
            name: "gemini",
            key: Some(("GEMINI_API_KEY", "x-goog-api-key")),
            base: "/v1beta",
            path: "/v1beta/models/gemini-embedding-001:batchEmbedContents",
            body: json!({}),
            answer: |request| {
                let values = |text: &String| json!({ "values": vector_of(text, DIM) });
                json!({ "embeddings": request.texts.iter().map(values).collect::<Vec<_>>() })
            },
        },
        Named {
            name: "mistral",
            key: Some(("MISTRAL_API_KEY", bearer)),
            base: "/v1",
            path: "/v1/embeddings",
            body: json!({ "model": "mistral-embed", "output_dimension": DIM }),
            answer: openai,
        },
        Named {
            name: "jina",
            key: Some(("JINA_API_KEY", bearer)),
            base: "/v1",
            path: "/v1/embeddings",
            body: json!({ "task": "retrieval.passage" }),
            answer: openai,
        },
        Named {
            name: "ollama",
            key: None,
            base: "",
            path: "/api/embed",
            body: json!({ "model": "nomic-embed-text", "truncate": false }),
            answer: |request| json!({ "embeddings": vectors(request), "prompt_eval_count": 7 }),
        },
        Named {
            name: "tei",
            key: None,
            base: "/v1",
            path: "/v1/embeddings",
            body: json!({}),
            answer: openai,
        },
        Named {
            name: "custom",
            key: Some(("OPENAI_API_KEY", bearer)),
            base: "/v1",
            path: "/v1/embeddings",
            body: json!({ "dimensions": DIM }),
            answer: openai,
        },
    ]
}

#[test]
fn every_service_is_spoken_to_by_its_name() {
    for Named { name, key, base, path, body, answer } in named() {
        let service = Service::scripted(DIM, move |request| Answer::Body(answer(request)));
        let mut setup = Setup::default().set("provider", name).set("base-url", &service.at(base));
        setup = setup.set("dimensions", &DIM.to_string());
        setup = setup.set("interval", "0").set("wake-on-write", "no");
        if let Some((variable, _)) = key {
            setup = setup.env(variable, "sk-of-this-service");
        }
        let (_server, mut redis) = with(setup, 60);
        assert_eq!(redis.run("kb").counts(), [60, 60, 0, 0, 0], "{name}");
        assert_eq!(own_vectors(&mut redis, "kb"), 60, "{name}");
        let request = service.requests().swap_remove(0);
        assert_eq!(request.path, path, "{name}");
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&request.body[field], value, "{name}: {field}");
        }
        let sent = |header: &str| {
            let found = request.headers.iter().find(|(known, _)| known == header);
            found.map(|(_, value)| value.trim_start_matches("Bearer ").to_owned())
        };
        match key {
            Some((_, header)) => assert_eq!(sent(header).unwrap(), "sk-of-this-service", "{name}"),
            None => assert_eq!(sent("authorization"), None, "{name}"),
        }
        if name == "tei" {
            assert!(service.requests().iter().all(|request| request.texts.len() <= 32));
        }
    }
}

#[test]
fn the_key_of_one_service_is_not_sent_to_another() {
    let service = Service::start(DIM);
    let server = Setup::with(&service).set("provider", "voyage").start();
    let mut redis = server.connect();
    texts(&mut redis, 1, 1);
    let error = redis.error(&["VECTORFILL.RUN", "kb"]);
    assert!(error.starts_with("NOKEY ") && error.contains("VOYAGE_API_KEY"), "{error}");
    assert!(service.requests().is_empty());
}

#[test]
fn a_provider_without_an_address_asks_for_one() {
    let setup = Setup::default().set("provider", "azure").set("interval", "0");
    let (_server, mut redis) = with(setup.env("AZURE_OPENAI_API_KEY", "sk"), 1);
    let error = redis.run("kb").text("error");
    assert!(error.contains("vectorfill.base-url"), "{error}");
}

#[test]
fn the_address_that_was_asked_is_named_where_nothing_is_found() {
    let service = Service::scripted(DIM, |_| refusal(404, "page not found"));
    let (_server, mut redis) =
        with(Setup::with(&service).set("base-url", &service.at("/api?key=secret")), 1);
    let error = redis.run("kb").text("error");
    assert!(error.contains("/api/embeddings") && !error.contains("secret"), "{error}");
}

#[test]
fn queries_of_clients_that_are_gone_are_not_sent() {
    let service = Service::start(DIM);
    let server = Setup::with(&service).start();
    service.hold();
    let ask = |number: usize| {
        let mut client = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        write!(client, "VECTORFILL.EMBED gone{number}\r\n").unwrap();
        client
    };
    let clients: Vec<TcpStream> = (0..100).map(ask).collect();
    service.wait_for_requests(7);
    let before = service.requests().len();
    drop(clients);
    let mut redis = server.connect();
    wait_for("the clients to be gone", || {
        let list: String = redis.call(&["CLIENT", "LIST"]);
        (list.lines().count() == 1).then_some(())
    });
    service.release();
    let vector: Vec<Vec<f64>> = redis.call(&["VECTORFILL.EMBED", "still here"]);
    assert_eq!(vector[0].len(), DIM);
    let after = service.requests().len() - before;
    assert!(after <= 9, "{after} requests after nobody waited");
}

#[test]
fn queries_without_a_pause_do_not_stop_a_fill() {
    let service = Service::scripted(DIM, |_| {
        std::thread::sleep(Duration::from_millis(10));
        Answer::Vectors
    });
    let (server, mut redis) = with_texts(&service, 2_000);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..24 {
            let (mut redis, stop) = (server.connect(), &stop);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let text = format!("question {client} {number}");
                    redis.call::<redis::Value>(&["VECTORFILL.EMBED", &text]);
                }
            });
        }
        let tally = redis.run("kb");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(tally.counts(), [2_000, 2_000, 0, 0, 0]);
    });
}
