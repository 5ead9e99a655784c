//! Every setting, defined once: name, default, bounds, environment variable, valid values.
//!
//! Redis parses the configuration and asks us to accept each value; on every change, [`read`] turns
//! all of them into the typed values the rest of the module works with.

mod defined;
mod definitions;
mod embedder;
mod kinds;
mod price;
mod register;
mod rules;

pub(in crate::server) use price::price;
pub(in crate::server) use register::register;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::embed::wanted::Common;
use crate::error::Error;
use crate::fill::port::settings::Settings;
use crate::rule::globs::Globs;
use crate::rule::name::EmbedderName;
use crate::server::handle::with_worker;
use crate::server::own;
use crate::worker::Config;
use definitions::DEFINITIONS_FILE;
use embedder::{
    API_KEY_ENV, API_KEY_FILE, AUTH_HEADER, BASE_URL, BASE64, BATCH_SIZE, BATCH_TOKENS,
    CONCURRENCY, DIMENSIONS, DIMENSIONS_FIELD, DOCUMENT_PREFIX, EXTRA_BODY, INPUT_TYPE_DOCUMENT,
    INPUT_TYPE_FIELD, INPUT_TYPE_QUERY, LOCAL_THREADS, MODEL, PATH, PROVIDER, QUERY_PREFIX,
    REQUEST_TIMEOUT_MS, REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE, TRUNCATE,
};
use kinds::{BoolSetting, IntSetting, StringSetting, boolean, integer, string};
use rules::{optional_name, property, rules, similarity};

/// The largest value of settings without a natural maximum: as a number of seconds, 68 years.
const MAX: i64 = i32::MAX as i64;

/// `no` = nothing new starts; requests in flight finish.
static ENABLED: BoolSetting = boolean("enabled");
/// Seconds between scheduled passes; 0 = none.
static INTERVAL: IntSetting = integer("interval", 300, 0, MAX).env("SLEEP_INTERVAL");
/// Whether a write to a graph requests a pass over it.
static WAKE_ON_WRITE: BoolSetting = boolean("wake-on-write");
/// Which graphs are filled: globs separated by spaces.
static GRAPHS: StringSetting =
    string("graphs", "*", |name, value| Globs::parse(name, value).map(drop));
/// The label of the nodes that are filled; empty = all nodes.
static LABEL: StringSetting =
    string("label", "", |name, value| optional_name(name, value).map(drop));
/// The property with the text. The three properties must differ, which [`Rule::check`] checks.
static SOURCE: StringSetting = string("source", "text", property);
/// The property that receives the vector.
static TARGET: StringSetting = string("target", "embedding", property);
/// The property that marks a quarantined node.
static ERROR_PROPERTY: StringSetting = string("error-property", "embedding_error", property);
/// How many query vectors to keep; 0 = none.
static QUERY_CACHE: IntSetting = integer("query-cache", 1_000, 0, 100_000);
/// Characters of a text that are embedded; the rest is cut off.
static MAX_TEXT_CHARS: IntSetting = integer("max-text-chars", 24_000, 1, 10_000_000);
/// Attempts per batch in one pass. Being throttled does not count.
static MAX_ATTEMPTS: IntSetting = integer("max-attempts", 5, 1, 100);
/// The longest a write may hold the server; a single row may take longer.
static WRITE_BUDGET_MS: IntSetting = integer("write-budget-ms", 5, 1, 1_000);
/// How long a write waits for other clients' queries on its graph; 0 = as long as they take.
static WRITE_PATIENCE_MS: IntSetting = integer("write-patience-ms", 0, 0, MAX);
/// `auto` = as effects wherever that is safe; `no` = always as queries.
static WRITE_EFFECTS: StringSetting =
    string("write-effects", "auto", |name, value| write_effects(name, value).map(drop));
/// Whether to create a missing vector index once a pass has drained.
static AUTO_INDEX: BoolSetting = boolean("auto-index");
/// How vectors are compared, for the indexes that we create.
static SIMILARITY: StringSetting =
    string("similarity", "cosine", |name, value| similarity(name, value).map(drop));

static INTS: [&IntSetting; 14] = [
    &QUERY_CACHE,
    &INTERVAL,
    &LOCAL_THREADS,
    &DIMENSIONS,
    &BATCH_SIZE,
    &BATCH_TOKENS,
    &MAX_TEXT_CHARS,
    &CONCURRENCY,
    &REQUEST_TIMEOUT_MS,
    &MAX_ATTEMPTS,
    &REQUESTS_PER_MINUTE,
    &TOKENS_PER_MINUTE,
    &WRITE_BUDGET_MS,
    &WRITE_PATIENCE_MS,
];
static BOOLS: [&BoolSetting; 5] = [&ENABLED, &WAKE_ON_WRITE, &AUTO_INDEX, &TRUNCATE, &BASE64];
static STRINGS: [&StringSetting; 22] = [
    &DEFINITIONS_FILE,
    &PATH,
    &AUTH_HEADER,
    &DIMENSIONS_FIELD,
    &INPUT_TYPE_FIELD,
    &INPUT_TYPE_DOCUMENT,
    &INPUT_TYPE_QUERY,
    &EXTRA_BODY,
    &WRITE_EFFECTS,
    &DOCUMENT_PREFIX,
    &QUERY_PREFIX,
    &GRAPHS,
    &LABEL,
    &SOURCE,
    &TARGET,
    &ERROR_PROPERTY,
    &PROVIDER,
    &BASE_URL,
    &MODEL,
    &API_KEY_ENV,
    &API_KEY_FILE,
    &SIMILARITY,
];

/// Whether effects are used where they are safe. Earlier versions called `auto` `yes`.
fn write_effects(setting: &'static str, value: &str) -> Result<bool, Error> {
    match value.to_lowercase().as_str() {
        "auto" | "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Error::setting(setting, value, "one of: auto, no")),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a check like the others")]
fn anything(_: &'static str, _: &str) -> Result<(), Error> {
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The last result of [`read`].
static CURRENT: ArcSwapOption<Config> = ArcSwapOption::const_empty();

/// The current settings, parsed at the last change; `None` until the module is loaded.
pub(super) fn current() -> Option<Arc<Config>> {
    CURRENT.load_full()
}

/// Reads and parses all settings, and makes them [`current`].
pub(super) fn read() -> Result<Arc<Config>, Error> {
    let current = Arc::new(config()?);
    CURRENT.store(Some(Arc::clone(&current)));
    Ok(current)
}

/// Reads the definitions, and puts into force whatever is right; fails with what is wrong.
pub(super) fn load_definitions() -> Vec<Error> {
    definitions::load().errors().to_vec()
}

/// Reads the definitions again, and applies them if all are right; fails with what is wrong.
pub(super) fn reload() -> Result<(), String> {
    definitions::reload()?;
    apply().map_err(|e| e.to_string())?;
    // A rule kept beside a graph may name an embedder that is defined only now.
    own::all_changed();
    Ok(())
}

/// What is wrong with the definitions as they were loaded, and therefore not in force.
pub(super) fn definitions_error() -> Option<String> {
    definitions::current().error()
}

fn config() -> Result<Config, Error> {
    let defined = definitions::current();
    let common = Common {
        threads: embedder::threads(),
        query_cache: QUERY_CACHE.unsigned(),
        max_attempts: MAX_ATTEMPTS.small(),
    };
    let mut wanted = BTreeMap::from([(EmbedderName::default_embedder(), embedder::wanted()?)]);
    wanted.extend(defined.embedders.clone());
    let settings = Settings {
        enabled: ENABLED.value.load(Ordering::Relaxed),
        interval: INTERVAL.duration(SECOND),
        wake_on_write: WAKE_ON_WRITE.value.load(Ordering::Relaxed),
        rules: rules(&defined.rules)?,
        lanes: wanted.iter().map(|(name, wanted)| (name.clone(), wanted.lane(common))).collect(),
        max_text_chars: MAX_TEXT_CHARS.unsigned(),
        write_budget: WRITE_BUDGET_MS.duration(MILLISECOND).unwrap_or(MILLISECOND),
        write_patience: WRITE_PATIENCE_MS.duration(MILLISECOND),
        write_effects: write_effects(WRITE_EFFECTS.name, &WRITE_EFFECTS.read())?,
    };
    let embedders = wanted.into_iter().map(|(name, wanted)| (name, wanted.config(common)));
    Ok(Config { settings, embedders: embedders.collect() })
}

/// Hands the settings to the worker. Each was checked when it was set, so parsing should not fail;
/// if it does, the old settings stay.
pub(super) fn changed() {
    apply().ok();
}

fn apply() -> Result<(), Error> {
    let current = read()?;
    with_worker(|worker| worker.configure(Config::clone(&current)));
    Ok(())
}
