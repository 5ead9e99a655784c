//! What went wrong with a connection, in words for people.

/// What to do about an untrusted certificate.
/// `words` is the cause as rustls puts it: `invalid peer certificate: UnknownIssuer`. `None` for
/// any other failure, such as a certificate that has expired, whose own words say enough.
pub(super) fn tls_remedy(words: &str) -> Option<&'static str> {
    let untrusted = ["UnknownIssuer", "CaUsedAsEndEntity", "UnsupportedCertVersion"];
    untrusted.iter().any(|word| words.contains(word)).then_some(
        " (its certificate is self-signed, or its issuer is not trusted here: add the issuer to \
         the system's certificates, or give the service a trusted certificate)",
    )
}

/// The innermost cause of an error: reqwest's own message is only "error sending request".
/// For a service that is not running that is `Connection refused (os error 111)`.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        // The outermost message holds the URL, and is left out; the innermost says what happened.
        text = cause.to_string();
        next = cause.source();
    }
    text
}

/// Whether TLS failed. An I/O error does not report the error it wraps as its source.
/// The message of a TLS error alone reads like a broken connection, and would send people looking
/// for a fault of the network.
pub(super) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_tls(wrapped))
        || error.source().is_some_and(is_tls)
}
