//! One request to a service, and what its response means.
//!
//! Every response becomes vectors or a `ServiceFault`. What a fault means for the texts, the batch
//! or the lane is decided in `port/fault`, not here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use crate::embed::config::EmbedderConfig;
use crate::embed::http::diagnosis::causes;
use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::{KeySource, Secret};
use crate::embed::http::proxy::Proxy;
use crate::embed::http::rate_limit::{rate_limits, retry_after};
use crate::embed::provider::refusal::{self};
use crate::embed::provider::reply::{self, Answer};
use crate::embed::provider::{Ask, Auth, MESSAGE_CHARS, Protocol};
use crate::error::Error;
use crate::fill::port::embedding::{InputType, RateLimits, Reply};
use crate::fill::port::fault::{Malformed, Says, ServiceFault};
use crate::text::one_line;

/// Maximum bytes read per text: 4,096 plain numbers, with the white space of pretty-printed JSON.
/// All requests in flight may receive this much at once, in the database's memory.
const BYTES_PER_TEXT: usize = 128 * 1024;
/// A number, a comma, a line break and some white space.
const BYTES_PER_NUMBER: usize = 32;
/// A response with shorter vectors may still carry other fields.
const MIN_DIMENSIONS: usize = 64;
/// The status assumed for an error inside a successful response, if it names none.
const SERVER_ERROR: u16 = 500;
/// Allowance for everything else in a response.
const BYTES_BESIDES: usize = 1 << 20;
const MAX_BYTES: usize = 256 << 20;
/// Maximum bytes read of an error response.
const FAILURE_BYTES: usize = 64 * 1024;
/// A host that does not even accept a connection gets less time than a response.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The lengths of vectors that a request is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    /// What to ask for; `None` = what the embedder is set to.
    pub asked: Option<usize>,
    /// What will come back, if known: a longer answer is not read.
    pub known: Option<usize>,
}

/// Everything one request needs.
/// Shared by all requests in flight, which run on the one HTTP thread.
#[derive(Debug)]
pub(super) struct Caller {
    client: Client,
    pub(super) endpoint: Endpoint,
    pub(super) url: Url,
    protocol: Protocol,
    /// The proxy that requests go through, for error messages.
    pub(super) proxy: Option<Proxy>,
    model: String,
    dimensions: Option<usize>,
    key: KeySource,
    pub(super) timeout: Duration,
    /// Cleared when the service complains about `encoding_format`.
    base64: AtomicBool,
}

impl Caller {
    /// Redirects are not followed: they would carry the key to an address that nobody has set.
    pub(super) fn new(config: &EmbedderConfig) -> Result<Self, Error> {
        // Fails if a provider is already installed, which is just as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut builder = Client::builder();
        let no_address = "the address of the service: this provider has none of its own";
        let endpoint = config.endpoint.clone();
        let endpoint = endpoint.ok_or_else(|| Error::setting("base-url", "", no_address))?;
        if !endpoint.needs_tls() {
            // A client that never uses TLS needs no certificates, and a container may have none.
            builder = builder.tls_certs_only([]);
        }
        if endpoint.is_loopback() {
            builder = builder.no_proxy();
        }
        let url = endpoint.url(&config.protocol.path.replace("{model}", &config.model));
        let client = builder
            .redirect(Policy::none())
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(CONNECT_LIMIT))
            .user_agent(concat!("vectorfill/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::HttpClient(causes(&e)))?;
        Ok(Self {
            client,
            proxy: Proxy::of(&endpoint, &url),
            url,
            endpoint,
            protocol: config.protocol.clone(),
            model: config.model.clone(),
            dimensions: config.dimensions.map(std::num::NonZeroUsize::get),
            key: config.key.clone(),
            timeout: config.timeout,
            base64: AtomicBool::new(config.protocol.base64),
        })
    }

    /// Stores the rate limits that the service reports in `limits`, however the request ends.
    pub(super) async fn embed(
        &self,
        texts: &[String],
        input: InputType,
        lengths: Lengths,
        limits: &mut RateLimits,
    ) -> Result<Reply, ServiceFault> {
        let (model, known) = (self.model.as_str(), lengths.known);
        let dimensions = lengths.asked.or(self.dimensions);
        let base64 = self.base64.load(Ordering::Relaxed);
        let ask = Ask { model, texts, input, dimensions, base64 };
        let outcome = self.post(ask, known, limits).await;
        if base64 && outcome.as_ref().is_err_and(complains_of_format) {
            self.base64.store(false, Ordering::Relaxed);
            return self.post(Ask { base64: false, ..ask }, known, limits).await;
        }
        outcome
    }

    /// Both reads go through one buffer: the first chunk tells a wrong page from an answer, before
    /// the rest is downloaded.
    async fn post(
        &self,
        ask: Ask<'_>,
        known: Option<usize>,
        limits: &mut RateLimits,
    ) -> Result<Reply, ServiceFault> {
        let key = self.key.read().map_err(ServiceFault::NoKey)?;
        let body = self.protocol.body(ask).to_string();
        let headers = headers(key.as_ref(), &self.protocol.auth)?;
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let scrub =
            |text: &str| key.as_ref().map_or_else(|| text.to_owned(), |key| key.scrub(text));
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        *limits = rate_limits(response.headers());
        if !response.status().is_success() {
            return Err(self.refusal(response, &scrub).await);
        }
        let mut body = Vec::new();
        self.read(&mut response, &mut body, 0).await?;
        reply::check_beginning(&body, scrub)?;
        let max = self.max_bytes(ask.texts.len(), known);
        self.read(&mut response, &mut body, max).await?;
        if body.len() > max {
            return Err(ServiceFault::Malformed(Malformed::TooLong(max)));
        }
        match reply::parse(&body, scrub)? {
            Answer::Vectors(reply) => Ok(reply),
            Answer::Refusal => {
                let refusal = refusal::parse(&body, scrub);
                let status = refusal.status.unwrap_or(SERVER_ERROR);
                Err(self.refused(status, refusal, retry_after(response.headers())))
            }
        }
    }

    /// Maximum bytes read of a response.
    fn max_bytes(&self, texts: usize, known: Option<usize>) -> usize {
        let per_text = match known.or(self.dimensions) {
            Some(dimensions) => dimensions.max(MIN_DIMENSIONS) * BYTES_PER_NUMBER,
            None => BYTES_PER_TEXT,
        };
        (texts * per_text + BYTES_BESIDES).min(MAX_BYTES)
    }

    /// Reads until the body ends or is longer than `most`: responses are untrusted input.
    /// Counts bytes after decompression: a small response can unpack to a large one.
    async fn read(
        &self,
        response: &mut Response,
        body: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), ServiceFault> {
        while body.len() <= most {
            match response.chunk().await.map_err(|e| self.unreachable(&e))? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok(())
    }

    /// The fault for an error response. `scrub` removes the key from the service's message.
    async fn refusal(
        &self,
        mut response: Response,
        scrub: impl Fn(&str) -> String,
    ) -> ServiceFault {
        let status = response.status();
        let wait = retry_after(response.headers());
        if let Some(to) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
            let to = scrub(&String::from_utf8_lossy(to.as_bytes()));
            let words = format!("it redirects to {to}: vectorfill.base-url may need that address");
            let message = one_line(&words, MESSAGE_CHARS);
            let (status, says) = (status.as_u16(), Says::Nothing);
            return ServiceFault::Refused { status, message, retry_after: wait, says };
        }
        let mut body = Vec::new();
        // An error body that cannot be read is not worth another error.
        self.read(&mut response, &mut body, FAILURE_BYTES).await.ok();
        self.refused(status.as_u16(), refusal::parse(&body, scrub), wait)
    }
}

/// A service without base64 support rejects the parameter with a 400 or 422.
fn complains_of_format(fault: &ServiceFault) -> bool {
    matches!(fault, ServiceFault::Refused { status: 400 | 422, message, .. }
        if message.contains("encoding_format") || message.contains("base64"))
}

/// The header with the key is marked as sensitive: it is not printed with the request, and HTTP/2
/// does not index it.
fn headers(key: Option<&Secret>, auth: &Auth) -> Result<HeaderMap, ServiceFault> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let Some(key) = key else { return Ok(headers) };
    let unusable = |_| ServiceFault::NoKey("the key cannot be sent in a header".into());
    let (name, value) = match auth {
        Auth::Bearer => (AUTHORIZATION, key.bearer()),
        Auth::Header(name) => (name.clone(), key.plain()),
    };
    let mut value = HeaderValue::from_str(&value).map_err(unusable)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}
