//! The services by name: one file and one preset each. They differ in what is sent ([`Protocol`]).
//! One parser reads the responses in all their shapes ([`reply`]), and one classifies their error
//! messages ([`refusal`]).
//!
//! Pure: texts in, bytes out, and bytes in, vectors out.
//!
//! What is sent is decided by the preset, but what is read is not: a service that says it follows
//! OpenAI's protocol may still answer in its own shape, and a gateway may answer in another's.

mod azure;
mod cohere;
mod custom;
mod gemini;
mod jina;
mod mistral;
mod ollama;
mod openai;
pub(crate) mod price;
pub(super) mod refusal;
pub(super) mod reply;
mod tei;
mod vectors;
mod voyage;

use reqwest::header::HeaderName;
use serde_json::{Map, Value, json};

use crate::fill::port::embedding::InputType;
#[cfg(any(test, fuzzing))]
use crate::fill::port::embedding::by_index;

/// Longest part of a service's or a parser's message that is passed on, in characters.
pub(super) const MESSAGE_CHARS: usize = 200;

/// A service by name.
#[derive(Debug)]
pub(crate) struct Preset {
    /// The value of the setting `provider`.
    pub name: &'static str,
    /// Its address; empty = the user must give it.
    pub base_url: &'static str,
    /// The default model; empty = the user must name one.
    pub model: &'static str,
    /// The environment variable that holds its key, unless the user names another; empty = no key
    /// is needed.
    pub key_env: &'static str,
    /// The most texts it accepts in one request.
    /// The settings can ask for fewer, not for more.
    pub max_texts: usize,
    /// The most tokens it accepts in one request.
    /// Before a request is sent, its tokens are an estimate.
    pub max_tokens: usize,
    /// How to talk to it.
    /// A function, since a protocol holds maps and strings, which a static cannot.
    pub protocol: fn() -> Protocol,
}

/// All services by name.
/// In the order in which error messages list them.
pub(crate) static PRESETS: [&Preset; 10] = [
    &openai::PRESET,
    &azure::PRESET,
    &voyage::PRESET,
    &cohere::PRESET,
    &gemini::PRESET,
    &mistral::PRESET,
    &jina::PRESET,
    &ollama::PRESET,
    &tei::PRESET,
    &custom::PRESET,
];

/// The shape of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `model`, `input`: used by OpenAI and most others.
    OpenAi,
    /// `texts`, `embedding_types`: version 2 of Cohere's API.
    Cohere,
    /// One `content` per text: Gemini's `batchEmbedContents`.
    Gemini,
}

/// How the key is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer …`.
    Bearer,
    /// In this header, without a prefix.
    /// For example `api-key: …` (Azure) or `x-goog-api-key: …` (Gemini).
    Header(HeaderName),
}

/// How a service is told whether a text is a document or a query.
/// Models that are trained on pairs give the two different vectors. Where it is optional, leaving
/// it out gives worse results rather than an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputTypeField {
    /// The field in the body.
    pub field: String,
    /// Its value for documents.
    pub document: String,
    /// Its value for queries.
    pub query: String,
}

/// How to talk to one service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Protocol {
    /// The shape of the body.
    pub wire: Wire,
    /// Appended to the base URL's path; `{model}` = the model's name.
    /// Begins with a slash.
    pub path: String,
    /// How the key is sent.
    pub auth: Auth,
    /// The field that requests a number of dimensions; `None` = the service has none.
    pub dimensions_field: Option<String>,
    /// How the service distinguishes documents from queries; `None` = it does not.
    pub input_type: Option<InputTypeField>,
    /// Fields added to every body.
    /// A field of the same name replaces ours.
    pub extra: Map<String, Value>,
    /// Whether to request vectors as base64, a quarter of the size.
    pub base64: bool,
}

impl Default for Protocol {
    /// OpenAI's protocol.
    fn default() -> Self {
        Self {
            wire: Wire::OpenAi,
            path: "/embeddings".into(),
            auth: Auth::Bearer,
            dimensions_field: Some("dimensions".into()),
            input_type: None,
            extra: Map::new(),
            base64: true,
        }
    }
}

/// A request before it is serialised.
/// Borrows everything, so that it can be made again without base64.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The texts to embed.
    pub texts: &'a [String],
    /// Whether the texts are documents or a query.
    pub input: InputType,
    /// The number of dimensions; `None` = the model's default.
    pub dimensions: Option<usize>,
    /// Whether to request base64, if the protocol supports it.
    /// `false` after the service has refused it.
    pub base64: bool,
}

impl Protocol {
    /// The body of a request.
    /// Fields that the service does not need are left out rather than sent as `null`, which some
    /// refuse.
    pub(crate) fn body(&self, ask: Ask<'_>) -> Value {
        let mut body = match self.wire {
            Wire::OpenAi => openai::body(ask, self.base64),
            Wire::Cohere => cohere::body(ask),
            Wire::Gemini => gemini::body(ask, self),
        };
        if let Value::Object(fields) = &mut body {
            // Gemini takes them in each of its requests.
            if self.wire != Wire::Gemini {
                self.add_fields(fields, ask);
            }
            fields.extend(self.extra.clone());
        }
        body
    }

    /// The number of dimensions and the type of the texts, under the names the service has for
    /// them.
    fn add_fields(&self, fields: &mut Map<String, Value>, ask: Ask<'_>) {
        if let (Some(field), Some(dimensions)) = (&self.dimensions_field, ask.dimensions) {
            fields.insert(field.clone(), json!(dimensions));
        }
        if let Some(kind) = &self.input_type {
            fields.insert(kind.field.clone(), json!(kind.of(ask.input)));
        }
    }
}

impl InputTypeField {
    fn new(field: &str, document: &str, query: &str) -> Self {
        Self { field: field.into(), document: document.into(), query: query.into() }
    }

    fn of(&self, input: InputType) -> &str {
        match input {
            InputType::Document => &self.document,
            InputType::Query => &self.query,
        }
    }
}

/// Fields to add to every body.
fn extra(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Reads a response of any bytes as vectors, as a refusal and as a wrong page; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_every_way(body: &[u8]) {
    let scrub = |text: &str| text.to_owned();
    reply::check_beginning(body, scrub).ok();
    refusal::parse(body, scrub);
    if let Ok(reply::Answer::Vectors(reply)) = reply::parse(body, scrub) {
        let expected = reply.vectors.len();
        let vectors = by_index(reply, expected, None);
        assert!(vectors.is_err() || vectors.is_ok_and(|vectors| vectors.len() == expected));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body a service is sent for one text.
    pub(super) fn body(preset: &Preset, model: &str, input: InputType) -> Value {
        let texts = ["a text".to_owned()];
        let ask = Ask { model, texts: &texts, input, dimensions: Some(256), base64: true };
        (preset.protocol)().body(ask)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_service_is_sent_what_it_documents() {
        let (doc, query) = (InputType::Document, InputType::Query);
        let cases = [
            (
                body(&openai::PRESET, "m", doc),
                json!({"model": "m", "input": ["a text"], "encoding_format": "base64",
                       "dimensions": 256}),
            ),
            (
                body(&voyage::PRESET, "m", query),
                json!({"model": "m", "input": ["a text"], "encoding_format": "base64",
                       "output_dimension": 256, "input_type": "query", "truncation": false}),
            ),
            (
                body(&cohere::PRESET, "m", query),
                json!({"model": "m", "texts": ["a text"], "embedding_types": ["float"],
                       "output_dimension": 256, "input_type": "search_query", "truncate": "NONE"}),
            ),
            (
                body(&gemini::PRESET, "gemini-embedding-001", doc),
                json!({"requests": [{"model": "models/gemini-embedding-001",
                    "content": {"parts": [{"text": "a text"}]},
                    "taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 256}]}),
            ),
            (
                body(&gemini::PRESET, "gemini-embedding-2", query),
                json!({"requests": [{"model": "models/gemini-embedding-2",
                    "content": {"parts": [{"text": "task: search result | query: a text"}]},
                    "outputDimensionality": 256}]}),
            ),
            (
                body(&mistral::PRESET, "codestral-embed", doc),
                json!({"model": "codestral-embed", "input": ["a text"], "output_dimension": 256}),
            ),
        ];
        let others = [
            (
                body(&jina::PRESET, "m", query),
                json!({"model": "m", "input": ["a text"], "dimensions": 256,
                       "task": "retrieval.query", "truncate": false}),
            ),
            (
                body(&ollama::PRESET, "m", doc),
                json!({"model": "m", "input": ["a text"], "dimensions": 256, "truncate": false}),
            ),
        ];
        for (sent, documented) in cases.into_iter().chain(others) {
            assert_eq!(sent, documented);
        }
    }

    #[test]
    fn every_service_has_a_name_of_its_own() {
        let mut names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PRESETS.len());
    }
}
