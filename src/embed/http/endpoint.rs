//! Where an embedding service is.

use reqwest::Url;

use crate::error::Error;

/// The address requests are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    /// Reads `base-url`, to which `/embeddings` is added.
    pub(crate) fn parse(setting: &str, value: &str) -> Result<Self, Error> {
        let refused = |why: &str| Error::setting(setting, value, why);
        let mut url = Url::parse(value).map_err(|e| refused(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refused("a URL that begins with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // The value holds a secret, and so is not repeated.
            let expected = "a URL without user and password: use vectorfill.api-key-file";
            return Err(Error::setting(setting, "***", expected));
        }
        url.path_segments_mut()
            .map_err(|()| refused("a URL with a path"))?
            .pop_if_empty()
            .push("embeddings");
        Ok(Self(url))
    }

    /// Where to post.
    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }

    /// Whether certificates are needed to speak to it.
    pub(crate) fn needs_tls(&self) -> bool {
        self.0.scheme() != "http"
    }

    /// The host, for people.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_added_once() {
        let url = |value| Endpoint::parse("base-url", value).map(|endpoint| endpoint.0.to_string());
        assert_eq!(
            url("https://api.openai.com/v1").unwrap(),
            "https://api.openai.com/v1/embeddings"
        );
        assert_eq!(
            url("http://localhost:11434/v1/").unwrap(),
            "http://localhost:11434/v1/embeddings"
        );
        for bad in ["", "localhost:80", "file:///etc/passwd", "ftp://host/", "https://u:p@host/v1"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
