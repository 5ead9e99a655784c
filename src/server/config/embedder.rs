//! The settings for the embedder: who embeds, and how to talk to the service. redis.conf.example
//! explains each of them.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use once_cell::race::OnceNonZeroUsize;

use crate::embed::config::{Provider, auth_header, extra_body};
use crate::embed::http::endpoint::Endpoint;
use crate::embed::provider::{Auth, InputTypeField};
use crate::embed::wanted::{Changes, Cost, Wanted};
use crate::error::Error;
use crate::fill::port::settings::{BatchLimits, LaneLimits, Overlong};
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
/// `yes` = a text with too many tokens is shortened until the service accepts it; `no` = its node
/// is quarantined.
pub(super) static TRUNCATE: BoolSetting = boolean("truncate");
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

/// Looked up once: it does not change, while the settings are re-read on every change.
static HALF_THE_CORES: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// Half of the cores: the server and the engine need the rest.
fn half_the_cores() -> NonZeroUsize {
    HALF_THE_CORES.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
    })
}

/// The embedder that the settings ask for.
pub(super) fn wanted() -> Result<Wanted, Error> {
    let provider = Provider::parse(PROVIDER.name, &PROVIDER.read())?;
    let url = changed(&BASE_URL).filter(|url| !url.is_empty());
    Ok(Wanted {
        provider,
        model: match provider {
            Provider::Service(_) => changed(&MODEL),
            Provider::Local => Some(MODEL.read()),
        },
        query_model: None,
        endpoint: url.map(|url| Endpoint::parse(BASE_URL.name, &url)).transpose()?,
        key_file: Some(API_KEY_FILE.read()),
        key_env: changed(&API_KEY_ENV),
        dimensions: NonZeroUsize::new(DIMENSIONS.unsigned()),
        document_prefix: DOCUMENT_PREFIX.read(),
        query_prefix: QUERY_PREFIX.read(),
        timeout: REQUEST_TIMEOUT_MS.duration(MILLISECOND).unwrap_or(SECOND),
        protocol: protocol()?,
        batch: BatchLimits { texts: BATCH_SIZE.unsigned(), tokens: BATCH_TOKENS.unsigned() },
        limits: LaneLimits {
            concurrency: CONCURRENCY.unsigned(),
            extra: 0,
            requests_per_minute: REQUESTS_PER_MINUTE.small(),
            tokens_per_minute: TOKENS_PER_MINUTE.small(),
        },
        overlong: overlong(TRUNCATE.value.load(Ordering::Relaxed)),
        cost: Cost::default(),
    })
}

/// Threads of a local model.
pub(super) fn threads() -> NonZeroUsize {
    NonZeroUsize::new(LOCAL_THREADS.unsigned()).unwrap_or_else(half_the_cores)
}

/// The setting; `None` = it is at our default, so the provider's own value counts.
fn changed(setting: &StringSetting) -> Option<String> {
    Some(setting.read()).filter(|value| value != setting.default)
}

fn protocol() -> Result<Changes, Error> {
    let field = Some(INPUT_TYPE_FIELD.read()).filter(|field| !field.is_empty());
    Ok(Changes {
        path: PATH.read(),
        auth: auth_header(AUTH_HEADER.name, &AUTH_HEADER.read())?.map(Auth::Header),
        dimensions_field: DIMENSIONS_FIELD.read(),
        input_type: field.map(|field| InputTypeField {
            field,
            document: INPUT_TYPE_DOCUMENT.read(),
            query: INPUT_TYPE_QUERY.read(),
        }),
        extra: extra_body(EXTRA_BODY.name, &EXTRA_BODY.read())?,
        base64: BASE64.value.load(Ordering::Relaxed),
    })
}

/// What `truncate` means.
pub(super) fn overlong(truncate: bool) -> Overlong {
    if truncate { Overlong::Shorten } else { Overlong::Refuse }
}

fn not_empty(setting: &str, value: &str) -> Result<(), Error> {
    if value.trim().is_empty() {
        return Err(Error::setting(setting, value, "a name, or a directory with provider local"));
    }
    Ok(())
}

/// Accepts a path below an address, or nothing.
pub(super) fn url_path(setting: &str, value: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
    if value.is_empty() || value.starts_with('/') && value.chars().all(plain) {
        return Ok(());
    }
    let expected = "empty, or a path such as /embeddings; {model} stands for the model's name";
    Err(Error::setting(setting, value, expected))
}

/// Accepts the name of a field in a JSON body, or nothing.
pub(super) fn field(setting: &str, value: &str) -> Result<(), Error> {
    if value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Ok(());
    }
    Err(Error::setting(setting, value, "the name of a field: letters, digits, _ and -"))
}
