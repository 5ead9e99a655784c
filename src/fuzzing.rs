//! What the fuzz targets in `fuzz/` run: everything that reads bytes from outside the process.

use crate::embed::config::{Provider, auth_header, extra_body};
use crate::embed::http::endpoint::{Endpoint, shown};
use crate::embed::http::rate_limit;
use crate::embed::provider;
use crate::engine;
use crate::engine::query::search::with_vector;
use crate::engine::words;
use crate::entity::{GraphName, Text};
use crate::rule::globs::Globs;
use crate::rule::name::Name;
use crate::text::one_line;

/// A reply of the engine in Redis' protocol.
pub fn reply_tree(proto: &[u8]) {
    engine::read_every_way(proto);
}

/// The body of a response of an embedding service.
pub fn provider_json(body: &[u8]) {
    provider::read_every_way(body);
}

/// The value of a setting or a header, a query, an error message, or a text.
pub fn parsers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    settings(&text);
    rate_limit::read_every_way(bytes);
    words::fault(bytes);
    assert!(with_vector(bytes, &[1.0]).starts_with(b"CYPHER vector="));
    let line = one_line(&text, 9);
    assert!(line.chars().count() <= 9 && !line.contains(char::is_control), "{line:?}");
    let whole = Text::new(bytes, 7);
    let half = whole.shortened(0.5);
    assert!(whole.is_of(bytes) && half.is_of(bytes) && half.chars() <= whole.chars());
}

fn settings(value: &str) {
    if let Ok(name) = Name::parse("source", value) {
        assert_eq!(name.quoted().matches('`').count(), 2, "{name:?}");
    }
    if let Ok(globs) = Globs::parse("graphs", value) {
        globs.matches(&GraphName::new(value));
    }
    if let Ok(endpoint) = Endpoint::parse("base-url", value) {
        let url = shown(&endpoint.url("/embeddings"));
        assert!(!url.contains('?') && !endpoint.authority().contains('@'), "{url}");
    }
    Provider::parse("provider", value).ok();
    auth_header("api-key-header", value).ok();
    extra_body("extra-body", value).ok();
}
