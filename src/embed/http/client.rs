//! OpenAI and all services that speak its protocol: one client, one runtime, one POST a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::runtime::{Builder, Runtime};

use crate::embed::config::EmbedderConfig;
use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::{KeySource, Secret};
use crate::embed::http::rate_limit::{rate_limits, retry_after};
use crate::embed::promise::Promise;
use crate::embed::provider::openai;
use crate::embed::provider::openai::Request;
use crate::error::Error;
use crate::fill::port::embedding::{RateLimits, Reply};
use crate::fill::port::fault::ServiceFault;
use crate::inject::{Point, reached};
use crate::text::one_line;

/// Longest answer that is read, by text: 4,096 plain numbers, and the white space of a pretty one.
/// The requests in flight can all be answered with so much, in memory that is the database's.
const BYTES_PER_TEXT: usize = 128 * 1024;
/// A number, a comma, a line break and some white space.
const BYTES_PER_NUMBER: usize = 32;
/// Read of every answer beyond that.
const BYTES_BESIDES: usize = 1 << 20;
const MAX_BYTES: usize = 256 << 20;
/// Longest piece of an error's answer that is read.
const FAILURE_BYTES: usize = 64 * 1024;
/// A host that does not even accept a connection is not waited for as long as an answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A service in reach of HTTP.
#[derive(Debug)]
pub(crate) struct Service {
    runtime: Runtime,
    caller: Arc<Caller>,
}

impl Service {
    /// Starts the runtime; nothing is sent yet.
    pub(crate) fn start(config: &EmbedderConfig) -> Result<Self, Error> {
        let name = "vectorfill-http";
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_keep_alive(Duration::from_secs(1))
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|e| Error::Thread { name, reason: e.to_string() })?;
        Ok(Self { runtime, caller: Arc::new(Caller::new(config)?) })
    }

    pub(crate) fn submit(&self, texts: Vec<String>, promise: Promise) {
        let caller = Arc::clone(&self.caller);
        self.runtime.spawn(async move {
            reached(Point::Http);
            let mut limits = RateLimits::default();
            let outcome = caller.embed(&texts, &mut limits).await;
            promise.keep(outcome, limits);
        });
    }

    pub(crate) fn stop(self, limit: Duration) {
        self.runtime.shutdown_timeout(limit);
    }
}

/// Everything one request needs.
#[derive(Debug)]
struct Caller {
    client: Client,
    endpoint: Endpoint,
    model: String,
    dimensions: Option<usize>,
    key: KeySource,
    timeout: Duration,
    /// Cleared when the service complains about `encoding_format`.
    base64: AtomicBool,
}

impl Caller {
    fn new(config: &EmbedderConfig) -> Result<Self, Error> {
        // Fails when a provider is installed already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut builder = Client::builder();
        if !config.endpoint.needs_tls() {
            // A client that never speaks TLS needs no certificates, and a container may have none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .redirect(Policy::none())
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(CONNECT_LIMIT))
            .user_agent(concat!("vectorfill/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::HttpClient(causes(&e)))?;
        Ok(Self {
            client,
            endpoint: config.endpoint.clone(),
            model: config.model.clone(),
            dimensions: config.dimensions.map(std::num::NonZeroUsize::get),
            key: config.key.clone(),
            timeout: config.timeout,
            base64: AtomicBool::new(true),
        })
    }

    /// What the service says about its limits is left in `limits`, however the request ends.
    async fn embed(
        &self,
        texts: &[String],
        limits: &mut RateLimits,
    ) -> Result<Reply, ServiceFault> {
        let base64 = self.base64.load(Ordering::Relaxed);
        let outcome = self.post(texts, base64, limits).await;
        if base64 && outcome.as_ref().is_err_and(complains_of_format) {
            self.base64.store(false, Ordering::Relaxed);
            return self.post(texts, false, limits).await;
        }
        outcome
    }

    async fn post(
        &self,
        texts: &[String],
        base64: bool,
        limits: &mut RateLimits,
    ) -> Result<Reply, ServiceFault> {
        let key = self.key.read().map_err(ServiceFault::NoKey)?;
        let encoding_format = base64.then_some("base64");
        let (model, dimensions) = (self.model.as_str(), self.dimensions);
        let request = Request { model, input: texts, encoding_format, dimensions };
        let body = serde_json::to_vec(&request).map_err(|e| ServiceFault::Shape(e.to_string()))?;
        let request =
            self.client.post(self.endpoint.url()).headers(headers(key.as_ref())?).body(body);
        let scrub =
            |text: &str| key.as_ref().map_or_else(|| text.to_owned(), |key| key.scrub(text));
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        *limits = rate_limits(response.headers());
        if !response.status().is_success() {
            return Err(self.refusal(response, &scrub).await);
        }
        let mut body = Vec::new();
        self.read(&mut response, &mut body, 0).await?;
        openai::check_beginning(&body, scrub)?;
        let most = (texts.len() * self.bytes_per_text() + BYTES_BESIDES).min(MAX_BYTES);
        self.read(&mut response, &mut body, most).await?;
        if body.len() > most {
            return Err(ServiceFault::Shape(format!("it is longer than {most} bytes")));
        }
        openai::parse(&body, scrub)
    }

    /// Longest answer to one text: longer only where longer vectors have been asked for.
    fn bytes_per_text(&self) -> usize {
        BYTES_PER_TEXT.max(self.dimensions.unwrap_or(0) * BYTES_PER_NUMBER)
    }

    /// Reads on until the body ends, or is longer than `most`: what a service sends is not ours to
    /// trust.
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

    /// `scrub` takes the key out of what the service says.
    async fn refusal(
        &self,
        mut response: Response,
        scrub: impl Fn(&str) -> String,
    ) -> ServiceFault {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        if let Some(to) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
            let to = scrub(&String::from_utf8_lossy(to.as_bytes()));
            let words = format!("it redirects to {to}, where vectorfill.base-url may have to lead");
            let (message, status) = (one_line(&words, 200), status.as_u16());
            return ServiceFault::Refused { status, message, retry_after, quota: false };
        }
        let mut body = Vec::new();
        // What cannot be read of an error is not worth another error.
        self.read(&mut response, &mut body, FAILURE_BYTES).await.ok();
        let (message, quota) = openai::parse_failure(&body, scrub);
        ServiceFault::Refused { status: status.as_u16(), message, retry_after, quota }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ServiceFault {
        let host = self.endpoint.host().to_owned();
        if error.is_timeout() {
            return ServiceFault::Timeout { host, limit: self.timeout };
        }
        // What TLS says of itself does not name it.
        let what = if is_tls(error) { "the TLS handshake failed: " } else { "" };
        ServiceFault::Connection {
            host,
            reason: one_line(&format!("{what}{}", causes(error)), 200),
        }
    }
}

/// A service that knows no base64 says so in a 400 or 422 about the parameter.
fn complains_of_format(fault: &ServiceFault) -> bool {
    matches!(fault, ServiceFault::Refused { status: 400 | 422, message, .. }
        if message.contains("encoding_format") || message.contains("base64"))
}

fn headers(key: Option<&Secret>) -> Result<HeaderMap, ServiceFault> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = key {
        let unusable = |_| ServiceFault::NoKey("the key cannot be put into a header".into());
        let mut value = HeaderValue::from_str(&key.bearer()).map_err(unusable)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// An error with all its causes: reqwest's own words are only "error sending request".
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        // The URL is left out with the outermost words; the last ones say what happened.
        text = cause.to_string();
        next = cause.source();
    }
    text
}

/// Whether TLS is what failed. An I/O error does not count what it wraps among its sources.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_tls(wrapped))
        || error.source().is_some_and(is_tls)
}
