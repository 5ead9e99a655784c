//! Parses the definition of an embedder. What its values mean, and their bounds, is decided where
//! the settings are read.

use crate::error::Error;
use crate::rule::definition::cursor::{Cursor, text, yes_or_no};
use crate::rule::definition::word::{Given, Word, at, refusal};
use crate::rule::name::EmbedderName;

const KEYWORDS: &str = "PROVIDER, MODEL, QUERY-MODEL, URL, KEY-ENV, KEY-FILE, DIMENSIONS, \
                        DOCUMENT-PREFIX, QUERY-PREFIX, BATCH, BATCH-TOKENS, CONCURRENCY, RPM, TPM, \
                        TIMEOUT, TRUNCATE, PRICE, BUDGET, PATH, AUTH-HEADER, DIMENSIONS-FIELD, \
                        INPUT-TYPE-FIELD, DOCUMENT, QUERY, EXTRA, BASE64 (what holds a space is \
                        quoted)";

/// An embedder as it is written down; `None` = not given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbedderDefinition {
    /// Its name.
    pub name: Given<EmbedderName>,
    /// PROVIDER: the name of a service, or local.
    pub provider: Given<String>,
    /// All else.
    pub fields: Fields,
}

/// What an embedder's definition may leave out.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fields {
    /// MODEL: its name at the service, or the directory of a local one.
    pub model: Option<Given<String>>,
    /// QUERY-MODEL: the model for queries.
    pub query_model: Option<Given<String>>,
    /// URL: the base of the service's address.
    pub url: Option<Given<String>>,
    /// KEY-ENV: the name of the variable that holds the key; empty = send no key.
    pub key_env: Option<Given<String>>,
    /// KEY-FILE: the file that holds the key.
    pub key_file: Option<Given<String>>,
    /// DIMENSIONS: the length of vectors to ask for.
    pub dimensions: Option<Given<i64>>,
    /// DOCUMENT-PREFIX: prepended to the texts of entities.
    pub document_prefix: Option<Given<String>>,
    /// QUERY-PREFIX: prepended to queries.
    pub query_prefix: Option<Given<String>>,
    /// BATCH: texts in one request.
    pub batch: Option<Given<i64>>,
    /// BATCH-TOKENS: tokens in one request.
    pub batch_tokens: Option<Given<i64>>,
    /// CONCURRENCY: requests in flight.
    pub concurrency: Option<Given<i64>>,
    /// RPM: requests a minute; 0 = unlimited.
    pub requests_per_minute: Option<Given<i64>>,
    /// TPM: tokens a minute; 0 = unlimited.
    pub tokens_per_minute: Option<Given<i64>>,
    /// TIMEOUT: milliseconds for one answer.
    pub timeout_ms: Option<Given<i64>>,
    /// TRUNCATE: whether texts with too many tokens are shortened.
    pub truncate: Option<Given<bool>>,
    /// PRICE: US$ for a million tokens.
    pub price: Option<Given<f64>>,
    /// BUDGET: tokens a day.
    pub budget: Option<Given<i64>>,
    /// PATH: the path below the URL.
    pub path: Option<Given<String>>,
    /// AUTH-HEADER: the header that holds the key.
    pub auth_header: Option<Given<String>>,
    /// DIMENSIONS-FIELD: the body's field for the dimensions, or none.
    pub dimensions_field: Option<Given<String>>,
    /// INPUT-TYPE-FIELD: the body's field that tells documents from queries.
    pub input_type_field: Option<Given<String>>,
    /// DOCUMENT: its value for documents.
    pub input_type_document: Option<Given<String>>,
    /// QUERY: its value for queries.
    pub input_type_query: Option<Given<String>>,
    /// EXTRA: a JSON object with more fields for the body.
    pub extra: Option<Given<String>>,
    /// BASE64: whether vectors are asked for as base64.
    pub base64: Option<Given<bool>>,
}

/// Parses what follows the word EMBEDDER: a name and its keywords in any order.
pub(super) fn parse(word: &Word, words: &[Word]) -> Result<EmbedderDefinition, Error> {
    let name = EmbedderName::parse("EMBEDDER", word.as_str());
    let value = name.map_err(|error| at(word.place(), error))?;
    let mut provider = None;
    let mut fields = Fields::default();
    let mut cursor = Cursor::new(words);
    while let Some(keyword) = cursor.next() {
        if keyword.is("PROVIDER") {
            cursor.once(keyword, &mut provider, text)?;
        } else if !fields.who(keyword, &mut cursor)? && !fields.how_much(keyword, &mut cursor)? {
            fields.protocol(keyword, &mut cursor)?;
        }
    }
    fields.check()?;
    let Some(provider) = provider else {
        return word.refuse("an embedder needs PROVIDER and the name of a service, or local");
    };
    Ok(EmbedderDefinition { name: Given { value, place: word.place().clone() }, provider, fields })
}

impl Fields {
    /// Reads what decides which vectors come back; `false` = this keyword does not.
    fn who(&mut self, keyword: &Word, cursor: &mut Cursor<'_>) -> Result<bool, Error> {
        match keyword.keyword().as_str() {
            "MODEL" => cursor.once(keyword, &mut self.model, filled),
            "QUERY-MODEL" => cursor.once(keyword, &mut self.query_model, filled),
            "URL" => cursor.once(keyword, &mut self.url, text),
            "KEY-ENV" => cursor.once(keyword, &mut self.key_env, text),
            "KEY-FILE" => cursor.once(keyword, &mut self.key_file, filled),
            "DIMENSIONS" => cursor.once(keyword, &mut self.dimensions, number),
            "DOCUMENT-PREFIX" => cursor.once(keyword, &mut self.document_prefix, text),
            "QUERY-PREFIX" => cursor.once(keyword, &mut self.query_prefix, text),
            _ => return Ok(false),
        }
        .map(|()| true)
    }

    /// Reads what bounds its use; `false` = this keyword does not.
    fn how_much(&mut self, keyword: &Word, cursor: &mut Cursor<'_>) -> Result<bool, Error> {
        match keyword.keyword().as_str() {
            "BATCH" => cursor.once(keyword, &mut self.batch, number),
            "BATCH-TOKENS" => cursor.once(keyword, &mut self.batch_tokens, number),
            "CONCURRENCY" => cursor.once(keyword, &mut self.concurrency, number),
            "RPM" => cursor.once(keyword, &mut self.requests_per_minute, number),
            "TPM" => cursor.once(keyword, &mut self.tokens_per_minute, number),
            "TIMEOUT" => cursor.once(keyword, &mut self.timeout_ms, number),
            "TRUNCATE" => cursor.once(keyword, &mut self.truncate, yes_or_no),
            "PRICE" => cursor.once(keyword, &mut self.price, price),
            "BUDGET" => cursor.once(keyword, &mut self.budget, number),
            _ => return Ok(false),
        }
        .map(|()| true)
    }

    /// Reads how to talk to the service.
    fn protocol(&mut self, keyword: &Word, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        match keyword.keyword().as_str() {
            "PATH" => cursor.once(keyword, &mut self.path, text),
            "AUTH-HEADER" => cursor.once(keyword, &mut self.auth_header, text),
            "DIMENSIONS-FIELD" => cursor.once(keyword, &mut self.dimensions_field, text),
            "INPUT-TYPE-FIELD" => cursor.once(keyword, &mut self.input_type_field, text),
            "DOCUMENT" => cursor.once(keyword, &mut self.input_type_document, text),
            "QUERY" => cursor.once(keyword, &mut self.input_type_query, text),
            "EXTRA" => cursor.once(keyword, &mut self.extra, text),
            "BASE64" => cursor.once(keyword, &mut self.base64, yes_or_no),
            _ => keyword.refuse(format!("one of: {KEYWORDS}")),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if let (Some(_), Some(file)) = (&self.key_env, &self.key_file) {
            return refuse(file, "KEY-FILE: either KEY-ENV or KEY-FILE, not both");
        }
        let input_type = self.input_type_document.as_ref().or(self.input_type_query.as_ref());
        match (input_type, &self.input_type_field) {
            (Some(value), None) => refuse(value, "DOCUMENT and QUERY need an INPUT-TYPE-FIELD"),
            _ => Ok(()),
        }
    }
}

fn refuse(given: &Given<String>, expected: &str) -> Result<(), Error> {
    Err(refusal(&given.place, &given.value, expected))
}

fn filled(keyword: &str, value: &str) -> Result<String, Error> {
    if value.trim().is_empty() {
        return Err(Error::setting(keyword, value, "it must not be empty"));
    }
    Ok(value.to_owned())
}

fn number(keyword: &str, value: &str) -> Result<i64, Error> {
    let number = value.parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| Error::setting(keyword, value, "a whole number"))
}

fn price(keyword: &str, value: &str) -> Result<f64, Error> {
    let price = value.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| Error::setting(keyword, value, "US$ for a million tokens, such as 0.12"))
}
