//! Turns the definition of an embedder into what is asked for. What it leaves out takes the
//! built-in defaults, not the settings: those belong to the embedder `default`.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::embed::config::{Provider, auth_header, extra_body};
use crate::embed::http::endpoint::Endpoint;
use crate::embed::provider::{Auth, InputTypeField};
use crate::embed::wanted::{Changes, Cost, Wanted};
use crate::error::Error;
use crate::fill::port::settings::{BatchLimits, LaneLimits, Overlong};
use crate::rule::definition::{EmbedderDefinition, Fields, Given, at, refusal};
use crate::server::config::embedder::{
    BASE64, BATCH_SIZE, BATCH_TOKENS, CONCURRENCY, DIMENSIONS, INPUT_TYPE_DOCUMENT,
    INPUT_TYPE_QUERY, REQUEST_TIMEOUT_MS, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE, TRUNCATE, field,
    overlong, url_path,
};

/// The embedder that a definition asks for.
///
/// Fails with the first thing that is wrong, and where it stands. A value that may hold a secret is
/// not repeated in the error. Nothing is contacted: a key or a model that is wrong shows at the
/// first request.
pub(super) fn wanted(definition: &EmbedderDefinition) -> Result<Wanted, Error> {
    let EmbedderDefinition { name, provider, fields } = definition;
    let timeout = REQUEST_TIMEOUT_MS.defined("TIMEOUT", fields.timeout_ms.as_ref())?;
    let provider =
        Provider::parse("PROVIDER", &provider.value).map_err(|error| at(&provider.place, error))?;
    let dimensions = DIMENSIONS.defined("DIMENSIONS", fields.dimensions.as_ref())?;
    let wanted = Wanted {
        provider,
        model: text(fields.model.as_ref()),
        query_model: text(fields.query_model.as_ref()),
        endpoint: parsed(fields.url.as_ref(), "URL", Endpoint::parse)?,
        key_file: text(fields.key_file.as_ref()),
        key_env: text(fields.key_env.as_ref()),
        dimensions: NonZeroUsize::new(unsigned(dimensions)),
        document_prefix: text(fields.document_prefix.as_ref()).unwrap_or_default(),
        query_prefix: text(fields.query_prefix.as_ref()).unwrap_or_default(),
        timeout: Duration::from_millis(timeout.unsigned_abs()),
        protocol: protocol(fields)?,
        batch: batch(fields)?,
        limits: limits(fields)?,
        overlong: shortens(fields),
        cost: cost(fields),
    };
    if provider == Provider::Local {
        check_local(fields)?;
    }
    match wanted.lacks() {
        Some(lacks) => Err(refusal(&name.place, name.value.as_str(), lacks)),
        None => Ok(wanted),
    }
}

/// A local model sends nothing.
fn check_local(fields: &Fields) -> Result<(), Error> {
    let sent = [&fields.query_model, &fields.url, &fields.key_env, &fields.key_file];
    match sent.into_iter().flatten().next() {
        Some(Given { value, place }) => {
            let expected = "no QUERY-MODEL, URL, KEY-ENV or KEY-FILE with PROVIDER local";
            Err(refusal(place, value, expected))
        }
        None => Ok(()),
    }
}

fn protocol(fields: &Fields) -> Result<Changes, Error> {
    let checked = |given, keyword, check: fn(&str, &str) -> Result<(), Error>| {
        let parse = |name: &str, value: &str| check(name, value).map(|()| value.to_owned());
        parsed(given, keyword, parse).map(Option::unwrap_or_default)
    };
    let input_type = checked(fields.input_type_field.as_ref(), "INPUT-TYPE-FIELD", field)?;
    let or = |given, default: &str| text(given).unwrap_or_else(|| default.to_owned());
    Ok(Changes {
        path: checked(fields.path.as_ref(), "PATH", url_path)?,
        auth: parsed(fields.auth_header.as_ref(), "AUTH-HEADER", auth_header)?
            .flatten()
            .map(Auth::Header),
        dimensions_field: checked(fields.dimensions_field.as_ref(), "DIMENSIONS-FIELD", field)?,
        input_type: Some(input_type).filter(|field| !field.is_empty()).map(|field| {
            InputTypeField {
                field,
                document: or(fields.input_type_document.as_ref(), INPUT_TYPE_DOCUMENT.default),
                query: or(fields.input_type_query.as_ref(), INPUT_TYPE_QUERY.default),
            }
        }),
        extra: parsed(fields.extra.as_ref(), "EXTRA", |name, value| {
            // It may hold a secret.
            extra_body(name, value).map_err(Error::hiding_value)
        })?
        .unwrap_or_default(),
        base64: fields.base64.as_ref().map_or(BASE64.default, |given| given.value),
    })
}

fn batch(fields: &Fields) -> Result<BatchLimits, Error> {
    Ok(BatchLimits {
        texts: unsigned(BATCH_SIZE.defined("BATCH", fields.batch.as_ref())?),
        tokens: unsigned(BATCH_TOKENS.defined("BATCH-TOKENS", fields.batch_tokens.as_ref())?),
    })
}

fn limits(fields: &Fields) -> Result<LaneLimits, Error> {
    let requests = REQUESTS_PER_MINUTE.defined("RPM", fields.requests_per_minute.as_ref())?;
    let tokens = TOKENS_PER_MINUTE.defined("TPM", fields.tokens_per_minute.as_ref())?;
    Ok(LaneLimits {
        concurrency: unsigned(CONCURRENCY.defined("CONCURRENCY", fields.concurrency.as_ref())?),
        extra: 0,
        requests_per_minute: u32::try_from(requests).unwrap_or(u32::MAX),
        tokens_per_minute: u32::try_from(tokens).unwrap_or(u32::MAX),
    })
}

fn shortens(fields: &Fields) -> Overlong {
    overlong(fields.truncate.as_ref().map_or(TRUNCATE.default, |given| given.value))
}

fn cost(fields: &Fields) -> Cost {
    Cost {
        price: fields.price.as_ref().map(|given| given.value),
        budget: fields.budget.as_ref().map(|given| given.value.unsigned_abs()),
    }
}

fn text(given: Option<&Given<String>>) -> Option<String> {
    given.map(|given| given.value.clone())
}

/// What a setting's parser makes of a value; its error names the value's place.
fn parsed<T>(
    given: Option<&Given<String>>,
    keyword: &str,
    parse: impl Fn(&str, &str) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let Some(Given { value, place }) = given else { return Ok(None) };
    parse(keyword, value).map(Some).map_err(|error| at(place, error))
}

fn unsigned(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
