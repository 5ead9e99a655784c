//! The settings for the embedder: who embeds, and how to talk to the service. redis.conf.example
//! explains each of them.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use once_cell::race::OnceNonZeroUsize;

use crate::embed::config::{EmbedderConfig, Provider, auth_header, extra_body};
use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::KeySource;
use crate::embed::provider::{Auth, InputTypeField, Preset, Protocol};
use crate::error::Error;
use crate::fill::port::settings::{BatchLimits, LaneLimits};
use crate::server::config::kinds::{
    BoolSetting, IntSetting, StringSetting, boolean, integer, string,
};
use crate::server::config::{MAX, MILLISECOND, SECOND, anything};

/// A service by name, or `local`. It decides what the other settings default to where they are left
/// at theirs.
pub(super) static PROVIDER: StringSetting =
    string("provider", "openai", |name, value| Provider::parse(name, value).map(drop)).protected();
/// Where the service is. At its default, the address of the service by name, if it has one.
pub(super) static BASE_URL: StringSetting =
    string("base-url", "https://api.openai.com/v1", |name, value| {
        Endpoint::parse(name, value).map(drop)
    })
    .env("OPENAI_BASE_URL")
    .protected();
/// The model's name at the service; with provider `local`, the directory of a model.
// An error about a path reveals whether it exists, hence protected.
pub(super) static MODEL: StringSetting =
    string("model", "text-embedding-3-small", not_empty).env("EMBEDDING_MODEL").protected();
/// The path below the base URL; `{model}` is replaced. Empty = the one of the service by name.
pub(super) static PATH: StringSetting = string("path", "", url_path).protected();
/// The header for the plain key; empty = the one of the service by name.
pub(super) static AUTH_HEADER: StringSetting =
    string("auth-header", "", |name, value| auth_header(name, value).map(drop)).protected();
/// The field that requests a number of dimensions; `none` = there is none, empty = the one of the
/// service by name.
pub(super) static DIMENSIONS_FIELD: StringSetting =
    string("dimensions-field", "", field).protected();
/// The field that tells documents from queries; empty = the one of the service by name.
pub(super) static INPUT_TYPE_FIELD: StringSetting =
    string("input-type-field", "", field).protected();
/// The value of that field for documents.
pub(super) static INPUT_TYPE_DOCUMENT: StringSetting =
    string("input-type-document", "document", anything);
/// The value of that field for queries.
pub(super) static INPUT_TYPE_QUERY: StringSetting = string("input-type-query", "query", anything);
/// A JSON object whose fields are added to every request; empty = none.
pub(super) static EXTRA_BODY: StringSetting =
    string("extra-body", "", |name, value| extra_body(name, value).map(drop)).protected();
/// Whether to request vectors as base64, in fewer bytes. A service that complains is asked for
/// plain numbers from then on.
pub(super) static BASE64: BoolSetting = boolean("base64");
/// Prepended to each text of a node. Changing it leaves existing vectors as they are.
pub(super) static DOCUMENT_PREFIX: StringSetting = string("document-prefix", "", anything);
/// Prepended to each query.
pub(super) static QUERY_PREFIX: StringSetting = string("query-prefix", "", anything);
/// Threads of a local model; 0 = half of the cores.
pub(super) static LOCAL_THREADS: IntSetting = integer("local-threads", 0, 0, 256);
/// The length of vectors to request; 0 = the model's own.
pub(super) static DIMENSIONS: IntSetting = integer("dimensions", 0, 0, 65_536);
/// The name of the environment variable that holds the key; empty = no key is sent.
pub(super) static API_KEY_ENV: StringSetting =
    string("api-key-env", "OPENAI_API_KEY", anything).protected();
/// A file that holds the key, read for each request; it wins over the variable.
pub(super) static API_KEY_FILE: StringSetting = string("api-key-file", "", anything).protected();
/// The most texts per request; the lane learns smaller limits by itself.
pub(super) static BATCH_SIZE: IntSetting = integer("batch-size", 50, 1, 2_048).env("BATCH_SIZE");
/// The most tokens per request, estimated at four bytes each.
pub(super) static BATCH_TOKENS: IntSetting = integer("batch-tokens", 100_000, 1, MAX);
/// The most requests in flight. A local model has one more than it has threads.
pub(super) static CONCURRENCY: IntSetting = integer("concurrency", 8, 1, 64);
/// The longest wait for one answer, connecting included.
pub(super) static REQUEST_TIMEOUT_MS: IntSetting =
    integer("request-timeout-ms", 30_000, 100, 600_000);
/// The operator's own limit on requests; 0 = none.
pub(super) static REQUESTS_PER_MINUTE: IntSetting = integer("requests-per-minute", 0, 0, MAX);
/// The operator's own limit on tokens; 0 = none.
pub(super) static TOKENS_PER_MINUTE: IntSetting = integer("tokens-per-minute", 0, 0, MAX);

/// The value for a service that has no field for the number of dimensions.
const NO_FIELD: &str = "none";

/// Looked up once: it does not change, while the settings are re-read on every change.
static HALF_THE_CORES: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// Half of the cores: the server and the engine need the rest.
fn half_the_cores() -> NonZeroUsize {
    HALF_THE_CORES.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
    })
}

/// Everything that decides which vectors come back. Unset values take the provider's default.
pub(super) fn read() -> Result<EmbedderConfig, Error> {
    let provider = Provider::parse(PROVIDER.name, &PROVIDER.read())?;
    let named = match provider {
        Provider::Service(preset) if preset.name != PROVIDER.default => Some(preset),
        Provider::Service(_) | Provider::Local => None,
    };
    Ok(EmbedderConfig {
        provider,
        protocol: protocol(provider)?,
        endpoint: endpoint(named)?,
        model: set(&MODEL, named.map(|preset| preset.model)),
        dimensions: NonZeroUsize::new(DIMENSIONS.unsigned()),
        document_prefix: DOCUMENT_PREFIX.read(),
        query_prefix: QUERY_PREFIX.read(),
        key: KeySource {
            file: filled(API_KEY_FILE.read()),
            variable: filled(set(&API_KEY_ENV, named.map(|preset| preset.key_env))),
        },
        timeout: REQUEST_TIMEOUT_MS.duration(MILLISECOND).unwrap_or(SECOND),
        threads: NonZeroUsize::new(LOCAL_THREADS.unsigned()).unwrap_or_else(half_the_cores),
    })
}

/// The setting, or the provider's own value where the setting is at our default.
fn set(setting: &StringSetting, own: Option<&str>) -> String {
    let value = setting.read();
    let untouched = value == setting.default;
    own.filter(|_| untouched).map_or(value, str::to_owned)
}

fn filled(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

/// Where the service is; `None` = neither the provider nor the user gives an address.
fn endpoint(named: Option<&Preset>) -> Result<Option<Endpoint>, Error> {
    let url = filled(set(&BASE_URL, named.map(|preset| preset.base_url)));
    url.map(|url| Endpoint::parse(BASE_URL.name, &url)).transpose()
}

/// The provider's protocol, with the settings applied on top.
fn protocol(provider: Provider) -> Result<Protocol, Error> {
    let mut protocol = match provider {
        Provider::Service(preset) => (preset.protocol)(),
        Provider::Local => Protocol::default(),
    };
    if let Some(path) = filled(PATH.read()) {
        protocol.path = path;
    }
    if let Some(header) = auth_header(AUTH_HEADER.name, &AUTH_HEADER.read())? {
        protocol.auth = Auth::Header(header);
    }
    if let Some(field) = filled(DIMENSIONS_FIELD.read()) {
        protocol.dimensions_field = Some(field).filter(|field| field != NO_FIELD);
    }
    if let Some(field) = filled(INPUT_TYPE_FIELD.read()) {
        let (document, query) = (INPUT_TYPE_DOCUMENT.read(), INPUT_TYPE_QUERY.read());
        protocol.input_type = Some(InputTypeField { field, document, query });
    }
    protocol.extra.extend(extra_body(EXTRA_BODY.name, &EXTRA_BODY.read())?);
    protocol.base64 &= BASE64.value.load(Ordering::Relaxed);
    Ok(protocol)
}

/// What one request may hold: the smaller of the user's limits and those the provider is known to
/// have.
pub(super) fn batch(config: &EmbedderConfig) -> BatchLimits {
    let (texts, tokens) = match config.provider {
        Provider::Service(preset) => (preset.max_texts, preset.max_tokens),
        Provider::Local => (usize::MAX, usize::MAX),
    };
    BatchLimits {
        texts: BATCH_SIZE.unsigned().min(texts),
        tokens: BATCH_TOKENS.unsigned().min(tokens),
    }
}

/// How many requests may be in flight, and at what rate.
pub(super) fn lane(config: &EmbedderConfig) -> LaneLimits {
    let (concurrency, extra) = match config.provider {
        Provider::Service(_) => (CONCURRENCY.unsigned(), 0),
        // One batch more than threads keeps every thread busy; more would only queue. Queries have
        // a thread of their own, plus one query waiting for it.
        Provider::Local => (config.threads.get() + 1, 2),
    };
    LaneLimits {
        concurrency,
        extra,
        requests_per_minute: REQUESTS_PER_MINUTE.small(),
        tokens_per_minute: TOKENS_PER_MINUTE.small(),
    }
}

fn not_empty(setting: &'static str, value: &str) -> Result<(), Error> {
    if value.trim().is_empty() {
        return Err(Error::setting(setting, value, "a name, or a directory with provider local"));
    }
    Ok(())
}

fn url_path(setting: &'static str, value: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
    if value.is_empty() || value.starts_with('/') && value.chars().all(plain) {
        return Ok(());
    }
    let expected = "empty, or a path such as /embeddings; {model} stands for the model's name";
    Err(Error::setting(setting, value, expected))
}

/// The name of a field in a JSON body.
fn field(setting: &'static str, value: &str) -> Result<(), Error> {
    if value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Ok(());
    }
    Err(Error::setting(setting, value, "the name of a field: letters, digits, _ and -"))
}
