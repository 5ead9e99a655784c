//! The definitions in force: read from `definitions-file` and the environment at load, and again
//! when an operator asks for it. They name addresses and keys, so no command can set them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::embed::wanted::Wanted;
use crate::error::Error;
use crate::rule::Rule;
use crate::rule::definition::Definitions;
use crate::rule::name::EmbedderName;
use crate::server::config::kinds::{StringSetting, string};
use crate::server::config::{MAX_TEXT_CHARS, anything};

/// The file is read by the server itself, so only who owns the server may choose it.
pub(super) static DEFINITIONS_FILE: StringSetting =
    string("definitions-file", "", anything).env("VECTORFILL_DEFINITIONS_FILE").protected();

/// The environment variable that may hold definitions itself.
const VARIABLE: &str = "VECTORFILL_DEFINITIONS";
/// The largest file that is read, as the server waits for it.
const MAX_BYTES: u64 = 1_000_000;

/// What is defined.
#[derive(Debug, Default)]
pub(super) struct Defined {
    /// The embedders.
    pub(super) embedders: BTreeMap<EmbedderName, Wanted>,
    /// The rules.
    pub(super) rules: Vec<Arc<Rule>>,
    /// What was wrong, and is not in force.
    errors: Vec<Error>,
}

/// What is in force.
static DEFINED: ArcSwapOption<Defined> = ArcSwapOption::const_empty();

/// What is in force.
pub(super) fn current() -> Arc<Defined> {
    DEFINED.load_full().unwrap_or_default()
}

/// Puts into force whatever is right, and reports what is wrong.
pub(super) fn load() -> Arc<Defined> {
    let defined = Arc::new(look());
    DEFINED.store(Some(Arc::clone(&defined)));
    defined
}

/// Puts the definitions into force if all of them are right; fails with what is wrong.
///
/// Reads the file anew, on the main thread. The environment is that of the server's start.
pub(super) fn reload() -> Result<(), String> {
    let defined = look();
    if let Some(error) = defined.error() {
        return Err(error);
    }
    DEFINED.store(Some(Arc::new(defined)));
    Ok(())
}

impl Defined {
    /// What was wrong.
    pub(super) fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// The first thing that was wrong, and how much else.
    pub(super) fn error(&self) -> Option<String> {
        let (first, more) = self.errors.split_first()?;
        Some(match more.len() {
            0 => first.to_string(),
            1 => format!("{first} (and 1 more error)"),
            more => format!("{first} (and {more} more errors)"),
        })
    }
}

/// The file first, then the variable. A file that cannot be read is one error among the others:
/// what the variable defines still counts.
fn look() -> Defined {
    let mut definitions = Definitions::default();
    let chars = MAX_TEXT_CHARS.unsigned();
    let path = DEFINITIONS_FILE.read();
    if !path.is_empty() {
        match read_file(&path) {
            Ok(text) => definitions.add(&path, &text, chars),
            Err(e) => {
                let reason = e.to_string();
                definitions.errors.push(Error::Definitions { path, reason });
            }
        }
    }
    if let Some(text) = std::env::var_os(VARIABLE) {
        definitions.add(VARIABLE, &text.to_string_lossy(), chars);
    }
    understand(definitions)
}

fn understand(mut definitions: Definitions) -> Defined {
    let mut embedders = BTreeMap::new();
    for definition in std::mem::take(&mut definitions.embedders) {
        match super::defined::wanted(&definition) {
            Ok(wanted) => drop(embedders.insert(definition.name.value, wanted)),
            Err(error) => definitions.errors.push(error),
        }
    }
    let default = EmbedderName::default_embedder();
    let (rules, errors) = definitions.rules(embedders.keys().chain([&default]));
    Defined { embedders, rules, errors }
}

/// The text of the file. Bytes that are not UTF-8 are replaced; no word may hold such.
///
/// Fails with what the system says, and for anything but a regular file of at most 1 MB.
fn read_file(path: &str) -> io::Result<String> {
    // Opening a pipe would block until something writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 MB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::wanted::Common;

    fn defined(text: &str) -> Defined {
        let mut definitions = Definitions::default();
        definitions.add("defs", text, 100);
        understand(definitions)
    }

    fn error(text: &str) -> String {
        defined(text).error().unwrap_or_default()
    }

    #[test]
    fn an_embedder_takes_from_its_provider_what_it_leaves_out() {
        let common =
            Common { threads: std::num::NonZeroUsize::MIN, query_cache: 7, max_attempts: 3 };
        let defined = defined("EMBEDDER v PROVIDER voyage QUERY-MODEL voyage-4-lite BATCH 2000");
        assert_eq!(defined.error(), None);
        let wanted = defined.embedders.values().next().unwrap();
        let (config, lane) = (wanted.config(common), wanted.lane(common));
        assert_eq!((config.model.as_str(), config.host()), ("voyage-4", Some("api.voyageai.com")));
        assert_eq!(config.query_model.as_deref(), Some("voyage-4-lite"));
        assert_eq!(config.key.variable.as_deref(), Some("VOYAGE_API_KEY"));
        assert_eq!((lane.batch.texts, lane.limits.concurrency), (1_000, 8));
        assert_eq!((lane.query_cache, config.timeout.as_secs()), (7, 30));
    }

    #[test]
    fn a_price_is_the_users_or_else_the_public_one_at_the_providers_own_address() {
        let price = |rest: &str| {
            let defined = defined(&format!("EMBEDDER e PROVIDER {rest}"));
            assert_eq!(defined.error(), None);
            let price = defined.embedders.values().next().unwrap().price();
            price.map(|price| (price.usd, price.read.is_some()))
        };
        assert_eq!(price("openai"), Some((0.02, true)));
        assert_eq!(price("openai URL https://api.openai.com/v1"), Some((0.02, true)));
        assert_eq!(price("openai MODEL text-embedding-3-large PRICE 0.5"), Some((0.5, false)));
        assert_eq!(price("openai URL http://here/v1"), None);
        assert_eq!(price("openai MODEL other"), None);
        assert_eq!(price("voyage"), None);
    }

    #[test]
    fn what_an_embedder_cannot_be_is_named() {
        for (text, expected) in [
            (
                "EMBEDDER e PROVIDER acme",
                "column 21: 'acme' is not allowed: PROVIDER: one of: openai",
            ),
            ("EMBEDDER e PROVIDER azure", "'e' is not allowed: this provider needs URL"),
            ("EMBEDDER e PROVIDER custom URL http://h", "this provider needs MODEL"),
            (
                "EMBEDDER e PROVIDER openai BATCH 0",
                "'0' is not allowed: BATCH: a whole number from 1",
            ),
            ("EMBEDDER e PROVIDER openai URL ftp://x", "'ftp://x' is not allowed: URL: a URL that"),
            ("EMBEDDER e PROVIDER openai URL http://u:secret@h", "'***' is not allowed: URL:"),
            (
                "EMBEDDER e PROVIDER openai EXTRA {secret",
                "'***' is not allowed: EXTRA: a JSON object",
            ),
            ("EMBEDDER e PROVIDER openai PATH x", "'x' is not allowed: PATH:"),
            ("EMBEDDER e PROVIDER openai AUTH-HEADER 'a b'", "AUTH-HEADER:"),
        ] {
            let error = error(text);
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[cfg(feature = "local")]
    #[test]
    fn a_local_model_is_a_directory_and_sends_nothing() {
        let error = |text: &str| error(&format!("EMBEDDER e PROVIDER local {text}"));
        assert!(error("").contains("'e' is not allowed: a local model needs MODEL"));
        assert!(
            error("MODEL /m URL http://h").contains("'http://h' is not allowed: no QUERY-MODEL")
        );
        assert_eq!(error("MODEL /m"), "");
    }

    #[test]
    fn a_rule_whose_embedder_was_refused_is_refused() {
        let defined = defined(
            "EMBEDDER a PROVIDER acme\nEMBEDDER b PROVIDER openai\n\
             RULE r NODE D TEXT t INTO v EMBEDDER a\nRULE s NODE E TEXT t INTO v EMBEDDER b",
        );
        let names: Vec<&str> = defined.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!((names.as_slice(), defined.errors().len()), (["s"].as_slice(), 2));
        assert!(defined.error().unwrap().ends_with("(and 1 more error)"));
        let last = defined.errors()[1].to_string();
        assert!(
            last.ends_with("'a' is not allowed: EMBEDDER: one that is defined: b, default"),
            "{last}"
        );
    }

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("defs");
        let path = path.to_str().unwrap();
        let error = |path: &str| read_file(path).unwrap_err().to_string();
        assert!(error(path).contains("No such file"));
        assert!(error("/dev/zero").contains("regular file"));
        std::fs::write(path, "x".repeat(1_000_001)).unwrap();
        assert!(error(path).contains("1 MB"));
        std::fs::write(path, b"a \xff").unwrap();
        assert_eq!(read_file(path).unwrap(), "a \u{fffd}");
    }
}
