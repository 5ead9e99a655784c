//! Settings: from redis.conf, arguments, environment and CONFIG SET; what is wrong is refused.

use std::fs;

use testkit::harness::{Redis, Setup, wait_for};
use testkit::service::Service;

const NAMES: [&str; 41] = [
    "api-key-env",
    "api-key-file",
    "auth-header",
    "auto-index",
    "base-url",
    "base64",
    "batch-size",
    "batch-tokens",
    "concurrency",
    "definitions-file",
    "dimensions",
    "dimensions-field",
    "document-prefix",
    "enabled",
    "error-property",
    "extra-body",
    "graphs",
    "input-type-document",
    "input-type-field",
    "input-type-query",
    "interval",
    "label",
    "local-threads",
    "max-attempts",
    "max-text-chars",
    "model",
    "path",
    "provider",
    "query-cache",
    "query-prefix",
    "request-timeout-ms",
    "requests-per-minute",
    "similarity",
    "source",
    "target",
    "tokens-per-minute",
    "truncate",
    "wake-on-write",
    "write-budget-ms",
    "write-effects",
    "write-patience-ms",
];

/// They can send the texts, or the key, elsewhere.
const PROTECTED: [&str; 11] = [
    "api-key-env",
    "api-key-file",
    "auth-header",
    "base-url",
    "definitions-file",
    "dimensions-field",
    "extra-body",
    "input-type-field",
    "model",
    "path",
    "provider",
];

fn get(redis: &mut Redis, name: &str) -> String {
    let name = format!("vectorfill.{name}");
    redis.call::<Vec<String>>(&["CONFIG", "GET", &name]).pop().unwrap_or_default()
}

#[test]
fn every_setting_has_its_default_and_can_be_written_back() {
    let server = Setup::default().start();
    let mut redis = server.connect();
    let all: Vec<String> = redis.call(&["CONFIG", "GET", "vectorfill.*"]);
    let mut names: Vec<&str> = all.chunks(2).map(|pair| &pair[0]["vectorfill.".len()..]).collect();
    names.sort_unstable();
    assert_eq!(names, NAMES);
    assert_eq!(get(&mut redis, "batch-size"), "50");
    assert_eq!(get(&mut redis, "interval"), "300");
    assert_eq!(get(&mut redis, "model"), "text-embedding-3-small");
    assert_eq!(get(&mut redis, "api-key-env"), "OPENAI_API_KEY");
    for name in NAMES {
        let value = get(&mut redis, name);
        let outcome =
            redis.try_call::<String>(&["CONFIG", "SET", &format!("vectorfill.{name}"), &value]);
        let protected = PROTECTED.contains(&name);
        assert_eq!(outcome.is_err(), protected, "{name}");
    }
}

#[test]
fn an_argument_beats_the_environment_and_redis_conf_beats_both() {
    let setup = Setup::default()
        .set("batch-size", "70")
        .env("BATCH_SIZE", "60")
        .env("SLEEP_INTERVAL", "42")
        .env("EMBEDDING_MODEL", "env-model")
        .env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        .arg("--vectorfill.concurrency", "3");
    let server = setup.set("concurrency", "5").start();
    let mut redis = server.connect();
    assert_eq!(get(&mut redis, "batch-size"), "70");
    assert_eq!(get(&mut redis, "interval"), "42");
    assert_eq!(get(&mut redis, "model"), "env-model");
    assert_eq!(get(&mut redis, "base-url"), "http://127.0.0.1:1/v1");
    assert_eq!(get(&mut redis, "concurrency"), "3");
}

#[test]
fn what_config_set_changed_survives_rewrite_and_restart() {
    let setup = Setup::default();
    let conf = setup.folder().join("redis.conf");
    fs::write(&conf, "").unwrap();
    let mut server = setup.start();
    // The harness starts without a file; this server is given one.
    server.kill();
    let conf = conf.to_string_lossy().into_owned();
    server.setup.use_file(&conf);
    server.start_again();
    let mut redis = server.connect();
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.batch-size", "33"]);
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.source", "it's a text"]);
    redis.call::<String>(&["CONFIG", "REWRITE"]);
    let written = fs::read_to_string(&conf).unwrap();
    assert!(written.contains("vectorfill.batch-size 33"), "{written}");
    server.kill();
    server.setup.only_file();
    server.start_again();
    let mut redis = server.connect();
    assert_eq!(get(&mut redis, "batch-size"), "33");
    assert_eq!(get(&mut redis, "source"), "it's a text");
}

#[test]
fn a_value_out_of_bounds_is_refused_by_config_set() {
    let server = Setup::default().arg("--enable-protected-configs", "yes").start();
    let mut redis = server.connect();
    let wrong = [
        ("batch-size", "0", "2048"),
        ("batch-size", "many", "batch-size"),
        ("concurrency", "65", "64"),
        ("provider", "acme", "openai, azure, voyage, cohere, gemini"),
        ("path", "embeddings", "/embeddings"),
        ("auth-header", "api-key: ", "api-key"),
        ("dimensions-field", "a b", "letters"),
        ("extra-body", "[1]", "JSON object"),
        ("similarity", "dot", "cosine, euclidean"),
        ("write-effects", "always", "auto, no"),
        ("target", "text", "vectorfill.source"),
        ("source", "", "empty"),
        ("graphs", "a[", "a["),
        ("model", " ", "model"),
    ];
    for (name, value, expected) in wrong {
        let setting = format!("vectorfill.{name}");
        let before = get(&mut redis, name);
        let error = redis.error(&["CONFIG", "SET", &setting, value]);
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!(get(&mut redis, name), before);
    }
}

#[test]
fn a_bad_argument_stops_the_load_and_is_named_in_the_log() {
    let wrong: [(&[(&str, &str)], &str); 5] = [
        (
            &[("batch-size", "0")],
            "vectorfill.batch-size: '0' is not allowed: a whole number from 1 to 2048",
        ),
        (&[("colour", "red")], "vectorfill.colour"),
        (&[("base-url", "ftp://x")], "vectorfill.base-url"),
        (&[("enabled", "maybe")], "yes or no"),
        (&[("target", "same"), ("source", "same")], "vectorfill.target: 'same'"),
    ];
    for (settings, expected) in wrong {
        let setup =
            settings.iter().fold(Setup::default(), |setup, (name, value)| setup.set(name, value));
        let mut server = setup.launch();
        assert!(!server.wait_exit().success());
        assert!(server.log().contains(expected), "{}", server.log());
    }
}

#[test]
fn protected_settings_need_the_servers_permission() {
    let setup = Setup::default().arg("--enable-protected-configs", "yes");
    let server = setup.start();
    let mut redis = server.connect();
    let set = ["CONFIG", "SET", "vectorfill.base-url", "http://127.0.0.1:9/v1"];
    assert_eq!(redis.call::<String>(&set), "OK");
    let error = redis.error(&["CONFIG", "SET", "vectorfill.base-url", "http://user:pass@host/v1"]);
    assert!(error.contains("api-key-file") && !error.contains("pass@"), "{error}");
}

#[test]
fn the_key_is_nowhere_to_be_read() {
    const KEY: &str = "sk-secret-0123456789";
    let service = Service::scripted(8, |request| {
        let key = &request.headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
        let words = format!(r#"{{"error":{{"message":"Incorrect API key provided: {key}"}}}}"#);
        testkit::service::Answer::Status(401, vec![], words)
    });
    let server =
        Setup::with(&service).env("OPENAI_API_KEY", KEY).arg("--loglevel", "debug").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.call::<redis::Value>(&["VECTORFILL.RUN", "kb", "WAIT", "0"]);
    let sent = &service.requests()[0].headers;
    let bearer = ("authorization".to_owned(), format!("Bearer {KEY}"));
    assert!(sent.contains(&bearer), "it was sent");
    let reason = redis.status().get("embedder").text("reason");
    assert!(reason.contains("401") && reason.contains("***"), "{reason}");
    let places: [&[&str]; 6] = [
        &["CONFIG", "GET", "*"],
        &["MODULE", "LIST"],
        &["INFO", "everything"],
        &["VECTORFILL.STATUS"],
        &["SLOWLOG", "GET", "100"],
        &["GRAPH.QUERY", "kb", "MATCH (n) RETURN n"],
    ];
    for place in places {
        let shown = format!("{:?}", redis.call::<redis::Value>(place));
        assert!(!shown.contains("0123456789"), "{place:?}");
    }
    assert!(!server.log().contains("0123456789"));
    let arguments = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains("0123456789"));
}

#[test]
fn a_changed_model_is_used_without_a_restart() {
    let service = Service::start(8);
    let server = Setup::with(&service).arg("--enable-protected-configs", "yes").start();
    let mut redis = server.connect();
    redis.query("kb", "CREATE (:Doc {text: 'a'})");
    redis.run("kb");
    redis.call::<String>(&["CONFIG", "SET", "vectorfill.model", "another"]);
    redis.query("kb", "CREATE (:Doc {text: 'b'})");
    redis.run("kb");
    // One word shows whether the new model's vectors fit the index.
    let models: Vec<String> = service
        .requests()
        .iter()
        .filter(|request| request.texts != ["ok"])
        .map(|request| request.body["model"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(models, ["text-embedding-3-small", "another"]);
}

#[test]
fn any_value_of_any_setting_leaves_the_server_alive() {
    let service = Service::start(8);
    let mut server = Setup::with(&service).arg("--enable-protected-configs", "yes").start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 50) AS i CREATE (:Doc {text: toString(i)})");
    let values = [
        "",
        "0",
        "1",
        "-1",
        "7",
        "yes",
        "no",
        "*",
        "[",
        "a b",
        "é",
        "http://127.0.0.1:1",
        "local",
        "openai",
        "cosine",
        "9223372036854775807",
        "`",
        "'",
        "\\",
        "\n",
        "text",
        "embedding",
        "\0",
        "a\0b",
    ];
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..2_000 {
        let name = format!("vectorfill.{}", NAMES[rng.usize(..NAMES.len())]);
        let value = values[rng.usize(..values.len())];
        redis.try_call::<String>(&["CONFIG", "SET", &name, value]).ok();
    }
    assert!(server.is_alive());
    wait_for("STATUS", || Some(redis.status()));
}
