//! The proxy that the environment names for a service, and what to say when it fails.
//!
//! The HTTP client finds the proxy by itself, and its errors do not mention one. Users do not
//! expect it either: the variables are often set for a whole machine. So every message names the
//! proxy.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use crate::embed::http::endpoint::Endpoint;

/// The error of a proxy that refuses to connect to the service without a password.
const AUTH_REQUIRED: &str = "proxy authorization required";

/// The proxy that requests to a service go through.
#[derive(Debug)]
pub(super) struct Proxy {
    /// Its address without user and password, which must not show up in messages.
    address: String,
    /// The variable that names it.
    variable: &'static str,
    /// The service's host.
    host: String,
}

impl Proxy {
    /// `None` = requests go directly to the service. One on this machine is never reached through a
    /// proxy: the proxy's own `localhost` is another.
    /// The environment is read once, when the embedder starts: `HTTPS_PROXY` or `HTTP_PROXY` by the
    /// service's scheme, then `ALL_PROXY`, in capitals or not, and `NO_PROXY` for exceptions.
    pub(super) fn of(endpoint: &Endpoint, url: &Url) -> Option<Self> {
        if endpoint.is_loopback() {
            return None;
        }
        // What the HTTP client asks, too.
        let found = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
        let address = found.uri().to_string().trim_end_matches('/').to_owned();
        let own = if endpoint.needs_tls() {
            ["HTTPS_PROXY", "https_proxy"]
        } else {
            ["HTTP_PROXY", "http_proxy"]
        };
        let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let variable = own.into_iter().find(is_set).unwrap_or("ALL_PROXY");
        Some(Self { address, variable, host: endpoint.host().to_owned() })
    }

    /// What to change if it cannot be reached.
    pub(super) fn remedy(&self) -> String {
        let Self { variable, host, .. } = self;
        format!(" (correct {variable}, or add {host} to NO_PROXY, and restart redis-server)")
    }

    /// Whether the proxy has refused to connect without a password.
    /// For TLS, the client asks the proxy for a tunnel, and the refusal is an error of the
    /// connection. Without TLS, it is a response with status 407 instead.
    pub(super) fn wants_password(words: &str) -> bool {
        words.contains(AUTH_REQUIRED)
    }

    /// The message where it does.
    pub(super) fn password_wanted(&self) -> String {
        let Self { address, variable, .. } = self;
        format!(
            "the proxy {address} wants a user and a password: restart redis-server with \
             {variable}=http://user:password@host:port"
        )
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " through the proxy {}", self.address)
    }
}
