//! What a request that fails is reported as: a refusal in the service's words, or why there is no
//! answer.

use std::time::Duration;

use crate::embed::http::diagnosis::{causes, is_tls, tls_remedy};
use crate::embed::http::endpoint::shown;
use crate::embed::http::proxy::Proxy;
use crate::embed::http::request::Caller;
use crate::embed::provider::refusal::Refusal;
use crate::fill::port::fault::{Says, ServiceFault};
use crate::text::one_line;

/// A proxy wants a user and a password.
const PROXY_AUTH_REQUIRED: u16 = 407;

impl Caller {
    pub(super) fn refused(
        &self,
        status: u16,
        refusal: Refusal,
        wait: Option<Duration>,
    ) -> ServiceFault {
        let Refusal { mut message, says, retry_after, .. } = refusal;
        if matches!(status, 404 | 405) {
            // Usually the address is wrong.
            message = format!("POST {}: {message}", shown(&self.url));
        }
        if let Some(proxy) = self.proxy.as_ref().filter(|_| status == PROXY_AUTH_REQUIRED) {
            return password_wanted(proxy);
        }
        ServiceFault::Refused { status, message, retry_after: wait.or(retry_after), says }
    }

    /// The fault where no whole response arrived. It names host and port, and the proxy if there is
    /// one, but not the URL, whose query string may hold a secret.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> ServiceFault {
        let through = self.proxy.as_ref().map_or_else(String::new, Proxy::to_string);
        let host = format!("{}{through}", self.endpoint.authority());
        if error.is_timeout() {
            return ServiceFault::Timeout { host, limit: self.timeout };
        }
        let words = causes(error);
        if let Some(proxy) = self.proxy.as_ref().filter(|_| Proxy::wants_password(&words)) {
            return password_wanted(proxy);
        }
        // TLS errors do not mention TLS.
        let what = if is_tls(error) { "the TLS handshake failed: " } else { "" };
        let proxy = self.proxy.as_ref().filter(|_| error.is_connect() && what.is_empty());
        let untrusted = tls_remedy(&words).unwrap_or_default();
        let remedy = proxy.map_or_else(|| untrusted.to_owned(), Proxy::remedy);
        ServiceFault::Connection { host, reason: one_line(&format!("{what}{words}{remedy}"), 300) }
    }
}

fn password_wanted(proxy: &Proxy) -> ServiceFault {
    let (message, status) = (proxy.password_wanted(), PROXY_AUTH_REQUIRED);
    ServiceFault::Refused { status, message, retry_after: None, says: Says::Nothing }
}
