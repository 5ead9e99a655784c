//! Where an embedding service is.

use std::net::IpAddr;

use reqwest::Url;

use crate::error::Error;

/// The base URL of a service: requests are posted to a path below it.
/// It is http or https, names a host, and holds no user and no password: `parse` is the only way to
/// make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    /// Parses `base-url`. It may end in a query string, which stays at the end.
    /// `setting` is the name that an error shows. Refused are other schemes, an address without a
    /// host, and one with a user or a password, which would show up wherever the address does.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        let refused = |why: &str| Error::setting(setting, value, why);
        let url = Url::parse(value).map_err(|e| refused(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refused("a URL that begins with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // The value holds a secret, so it is not repeated.
            let expected = "a URL without user and password: use vectorfill.api-key-file";
            return Err(Error::setting(setting, "***", expected));
        }
        Ok(Self(url))
    }

    /// The URL to post to: `path` below the base, unless the base already ends in it.
    /// `path` begins with a slash. People paste whole addresses from a service's documentation, so
    /// both `https://h/v1` and `https://h/v1/embeddings` give the latter.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/');
        let whole = if base.ends_with(path) { base.to_owned() } else { format!("{base}{path}") };
        url.set_path(&whole);
        url
    }

    /// Whether it is reached over TLS.
    /// Without it, no certificates are loaded: a container may have none.
    pub(crate) fn needs_tls(&self) -> bool {
        self.0.scheme() != "http"
    }

    /// Whether it is on this machine.
    /// Told by the address alone, without asking DNS: `localhost`, 127.0.0.0/8 and `::1`.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host().trim_matches(['[', ']']);
        let address = host.parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// The host, for people.
    /// An IPv6 address is in brackets.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Host and port, for people.
    /// The port is shown even where the scheme implies it: `api.openai.com:443`.
    pub(crate) fn authority(&self) -> String {
        let port =
            self.0.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
        format!("{}{port}", self.host())
    }
}

/// A URL without its query string, which may hold a secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_added_once_and_a_query_string_stays_at_the_end() {
        let url = |base| {
            let endpoint = Endpoint::parse("base-url", base)?;
            Ok::<String, Error>(endpoint.url("/embeddings").to_string())
        };
        for (base, expected) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"),
            ("http://localhost:11434/v1/", "http://localhost:11434/v1/embeddings"),
            ("http://h/v1/embeddings", "http://h/v1/embeddings"),
            ("http://h", "http://h/embeddings"),
            ("http://h/d/e?api-version=1", "http://h/d/e/embeddings?api-version=1"),
        ] {
            assert_eq!(url(base).unwrap(), expected);
        }
        for bad in ["", "localhost:80", "file:///etc/passwd", "ftp://host/", "https://u:p@host/v1"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_service_on_this_machine_is_told_from_others() {
        let is_loopback = |url| Endpoint::parse("base-url", url).unwrap().is_loopback();
        for own in ["http://localhost:1", "http://LocalHost", "http://127.0.0.53", "http://[::1]:8"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["http://10.0.0.1", "http://localhost.example", "http://[::2]", "http://1"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn what_is_shown_of_an_address_holds_no_query_string() {
        let endpoint = Endpoint::parse("base-url", "https://h/v1?key=secret").unwrap();
        assert_eq!(shown(&endpoint.url("/embeddings")), "https://h/v1/embeddings");
        assert_eq!(endpoint.authority(), "h:443");
    }
}
