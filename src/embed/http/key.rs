//! The API key: where it is, and how it is used without ever being shown.
//!
//! It is read anew for each request, and is never part of the configuration: what is not stored
//! cannot be printed by `CONFIG GET` or end up in a dump.

use std::fmt;
use std::io::Read as _;

use secrecy::{ExposeSecret as _, SecretString};

/// Where to find the key. Does not hold the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySource {
    /// `api-key-file`; wins over the variable.
    pub file: Option<String>,
    /// `api-key-env`: the *name* of the variable; `None` = send no key.
    pub variable: Option<String>,
}

/// A key. It can be sent in a header, but not printed, and is wiped from memory after use.
#[derive(Debug, Clone)]
pub(crate) struct Secret(SecretString);

impl Secret {
    /// The value for the `Authorization` header.
    /// The caller marks the header as sensitive: this is a plain copy of the key.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0.expose_secret())
    }

    /// The value for a service-specific header.
    pub(crate) fn plain(&self) -> String {
        self.0.expose_secret().to_owned()
    }

    /// `text` with the key replaced, in case a service echoes it: verbatim or escaped as in JSON.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let key = self.0.expose_secret();
        let quoted = key.replace('\\', r"\\").replace('"', "\\\"");
        let slashed = quoted.replace('/', r"\/");
        let forms = [slashed.as_str(), &quoted, key];
        forms.into_iter().fold(text.to_owned(), |text, form| text.replace(form, "***"))
    }
}

impl KeySource {
    /// Reads the key now, so that a key changed on disk is used by the next request. `Ok(None)` =
    /// send no key.
    /// Touches the disk, so it is called on the HTTP thread only. The error names the setting and
    /// what would help; it never holds the file's contents.
    pub(crate) fn read(&self) -> Result<Option<Secret>, String> {
        match (&self.file, &self.variable) {
            (Some(path), _) => read_file(path).map(Some),
            (None, Some(name)) => read_variable(name).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// What is missing, as far as can be told without touching the disk.
    /// For the main thread, which must not wait for a disk. A key file is taken to be there.
    pub(crate) fn missing(&self) -> Option<String> {
        match (&self.file, &self.variable) {
            (None, Some(name)) => read_variable(name).err(),
            (Some(_), _) | (None, None) => None,
        }
    }
}

/// Maximum bytes read of a key file; a key is far shorter.
const MAX_BYTES: u64 = 16 * 1024;

/// Fails if the file is missing, not readable, not a regular file, not UTF-8 or holds no key. White
/// space around the key is dropped: editors end a file with a line break.
fn read_file(path: &str) -> Result<Secret, String> {
    let named = |e: &dyn fmt::Display| format!("vectorfill.api-key-file '{path}': {e}");
    // Opening a pipe would block until something writes to it.
    if !std::fs::metadata(path).map_err(|e| named(&e))?.is_file() {
        return Err(named(&"this is not a regular file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| named(&e))?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|e| named(&e))?;
    secret(&text).ok_or_else(|| format!("vectorfill.api-key-file '{path}' holds no usable key"))
}

/// A variable that is empty or no UTF-8 is as good as none. The environment is that of the server's
/// process, so a change needs a restart; a key file does not.
fn read_variable(name: &str) -> Result<Secret, String> {
    std::env::var(name).ok().and_then(|text| secret(&text)).ok_or_else(|| {
        format!(
            "set the environment variable {name} for redis-server, or vectorfill.api-key-file, or \
             vectorfill.provider local; for a service without a key: vectorfill.api-key-env \"\""
        )
    })
}

/// A key is one line of printable ASCII: a header cannot hold anything else.
fn secret(text: &str) -> Option<Secret> {
    let key = text.trim();
    let printable = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    printable.then(|| Secret(key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed() {
        let secret = secret(" sk-verysecret\n").unwrap();
        assert!(!format!("{secret:?}").contains("verysecret"));
        assert_eq!(secret.scrub("bad key sk-verysecret!"), "bad key ***!");
        assert_eq!(secret.bearer(), "Bearer sk-verysecret");
        let secret = Secret(r#"a/b"c\d"#.into());
        for shown in [r#"a/b"c\d"#, r#"a/b\"c\\d"#, r#"a\/b\"c\\d"#] {
            assert_eq!(secret.scrub(&format!("bad {shown}!")), "bad ***!");
        }
    }

    #[test]
    fn a_key_that_would_add_a_header_is_refused() {
        assert!(secret("sk\r\nX-Evil: 1").is_none() && secret("  ").is_none());
    }

    #[test]
    fn a_missing_key_is_named_with_what_would_help() {
        let source = KeySource { file: None, variable: Some("NO_SUCH_VARIABLE".into()) };
        assert!(source.read().unwrap_err().contains("NO_SUCH_VARIABLE"));
        let source = KeySource { file: Some("/no/such/file".into()), variable: None };
        assert!(source.read().unwrap_err().contains("/no/such/file"));
        assert!(KeySource { file: None, variable: None }.read().unwrap().is_none());
    }
}
