//! Google's Gemini API. Each text is a request of its own in `batchEmbedContents`: several in one
//! `content` would come back as a single vector.
//!
//! Unlike OpenAI, it has the model in the path, the key in `x-goog-api-key`, and the number of
//! dimensions in each request rather than once. Vectors come as numbers, and an index of zero is
//! left out of responses. An empty text is answered with 429, as if we were too fast.

use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::{Ask, Auth, InputTypeField, Preset, Protocol, Wire};
use crate::fill::port::embedding::InputType;

/// 100 texts are what Google's documentation allows in a batch. Without a number of dimensions, the
/// model gives 3,072; shorter vectors come back unnormalised.
pub(super) static PRESET: Preset = Preset {
    name: "gemini",
    base_url: "https://generativelanguage.googleapis.com/v1beta",
    model: "gemini-embedding-001",
    key_env: "GEMINI_API_KEY",
    max_texts: 100,
    max_tokens: 100_000,
    protocol: || Protocol {
        wire: Wire::Gemini,
        path: "/models/{model}:batchEmbedContents".into(),
        auth: Auth::Header(HeaderName::from_static("x-goog-api-key")),
        dimensions_field: Some("outputDimensionality".into()),
        input_type: Some(InputTypeField::new("taskType", "RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY")),
        base64: false,
        ..Protocol::default()
    },
};

/// Whether the model takes its task as words before the text instead of in a field.
/// The second generation does, according to Google's documentation; `gemini-embedding-001` has
/// `taskType`.
fn is_told_in_words(model: &str) -> bool {
    model.starts_with("gemini-embedding-2")
}

/// One request per text.
/// The words before a text are those of Google's documentation: they distinguish documents from
/// queries, so they are no matter of taste. `extra` fields go beside `requests`, not into each.
pub(super) fn body(ask: Ask<'_>, protocol: &Protocol) -> Value {
    let request = |text: &String| {
        let words = is_told_in_words(ask.model);
        let text = match (words, ask.input) {
            (false, _) => text.clone(),
            (true, InputType::Document) => {
                format!("title: none | text: {text}")
            }
            (true, InputType::Query) => {
                format!("task: search result | query: {text}")
            }
        };
        let model = format!("models/{}", ask.model);
        let mut request = json!({ "model": model, "content": { "parts": [{ "text": text }] } });
        if let Value::Object(fields) = &mut request {
            protocol.add_fields(fields, ask);
            if words && let Some(kind) = &protocol.input_type {
                fields.remove(&kind.field);
            }
        }
        request
    };
    json!({ "requests": ask.texts.iter().map(request).collect::<Vec<Value>>() })
}
