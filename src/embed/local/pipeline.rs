//! The steps around the network: modules.json, the pooling, the token limit, lower-casing.
//!
//! A model computes correct vectors only if all of these are followed, so an unknown step is an
//! error rather than skipped.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::embed::local::config::Config;
use crate::embed::local::error::Error;
use crate::embed::local::json_file::Document;
use crate::embed::local::pooling::{Mode, Pooling};

/// The start, the end and one in between.
const FEWEST_TOKENS: usize = 3;

/// The steps of a model directory.
pub(super) struct Recipe {
    /// Where the network's own files are: the directory itself, or `0_Transformer` in older models.
    pub(super) network: PathBuf,
    /// How the rows become one vector. Includes the last step, `Normalize`, where the model has it.
    pub(super) pooling: Pooling,
}

/// How a text is cut and changed before it becomes tokens.
pub(super) struct TextRules {
    /// Longer texts are cut here; counts the tokens at start and end too. At most the rows of the
    /// position table.
    pub(super) most_tokens: usize,
    /// Whether texts are lower-cased first. Some tokenizers do so by themselves, whatever this
    /// says.
    pub(super) lower_case: bool,
}

impl Recipe {
    /// Reads `modules.json` and the pooling's configuration; rejects unsupported modules.
    ///
    /// `Error::Io` without `modules.json`, `Error::Value` for another sequence of modules, another
    /// pooling mode or a default prompt. The folder of each module is relative to `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let json = Document::open(dir.join("modules.json"))?;
        let modules: Vec<(&str, &str)> =
            json.root().as_array().into_iter().flatten().map(module).collect();
        let (network, pooling, normalize) = match modules.as_slice() {
            [("Transformer", network), ("Pooling", pooling)] => (network, pooling, false),
            [("Transformer", network), ("Pooling", pooling), ("Normalize", _)] => {
                (network, pooling, true)
            }
            _ => return Err(unsupported(&json, &modules)),
        };
        no_prompt(dir)?;
        let mode = mode(dir.join(pooling).join("config.json"))?;
        Ok(Self { network: dir.join(network), pooling: Pooling { mode, normalize } })
    }
}

impl TextRules {
    /// Reads the limit from `sentence_bert_config.json` or `tokenizer_config.json`.
    ///
    /// The first of the two that states one counts; without any, the position table is the limit.
    /// `Error::Value` for a limit below 3 tokens.
    pub(super) fn open(network: &Path, config: &Config) -> Result<Self, Error> {
        let json = Document::open_optional(network.join("sentence_bert_config.json"))?;
        let lower_case = json.as_ref().is_some_and(|json| json.flag("do_lower_case"));
        let limit = match json {
            Some(json) if json.find("max_seq_length").is_some() => limit(&json, "max_seq_length")?,
            _ => tokenizer_limit(network)?,
        };
        Ok(Self { most_tokens: limit.min(config.longest()), lower_case })
    }
}

/// A module's kind (the last part of its dotted Python name) and its folder.
fn module(entry: &Value) -> (&str, &str) {
    let part = |key| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = part("type");
    (kind.rsplit('.').next().unwrap_or(kind), part("path"))
}

fn unsupported(json: &Document, modules: &[(&str, &str)]) -> Error {
    let kinds: Vec<&str> = modules.iter().map(|(kind, _)| *kind).collect();
    Error::Value {
        file: json.file().to_owned(),
        name: "the list of modules".to_owned(),
        found: format!("[{}]", kinds.join(", ")),
        wanted: "[Transformer, Pooling], [Transformer, Pooling, Normalize]".to_owned(),
    }
}

/// Rejects a default prompt: sentence-transformers would prepend it to every text, we would not.
fn no_prompt(dir: &Path) -> Result<(), Error> {
    let json = Document::open_optional(dir.join("config_sentence_transformers.json"))?;
    match json {
        Some(json) if json.find("default_prompt_name").is_some() => {
            Err(json.refuse("default_prompt_name", "null"))
        }
        _ => Ok(()),
    }
}

/// The newer form names the mode; where it is absent, the older flags decide.
fn mode(file: PathBuf) -> Result<Mode, Error> {
    let json = Document::open(file)?;
    if let Some(name) = json.find("pooling_mode") {
        let mode = name.as_str().and_then(Mode::named);
        return mode.ok_or_else(|| json.refuse("pooling_mode", Mode::NAMES));
    }
    flagged_mode(&json)
}

/// The older form: exactly one `pooling_mode_…` key is true.
fn flagged_mode(json: &Document) -> Result<Mode, Error> {
    let flags = json.root().as_object().into_iter().flatten();
    let set: Vec<&str> = flags
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .collect();
    let mode = match set.as_slice() {
        [name] => Mode::named(
            name.strip_suffix("_tokens").or(name.strip_suffix("_token")).unwrap_or(name),
        ),
        _ => None,
    };
    mode.ok_or_else(|| Error::Value {
        file: json.file().to_owned(),
        name: "the pooling mode".to_owned(),
        found: format!("[{}]", set.join(", ")),
        wanted: format!("one of {}", Mode::NAMES),
    })
}

/// sentence-transformers 6 saves the limit only here; a tokenizer without one writes 10^30.
fn tokenizer_limit(network: &Path) -> Result<usize, Error> {
    match Document::open_optional(network.join("tokenizer_config.json"))? {
        Some(json) if json.find("model_max_length").is_some() => limit(&json, "model_max_length"),
        _ => Ok(usize::MAX),
    }
}

/// Read as a float, since 10^30 fits no integer; it becomes `usize::MAX`, no limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate")]
fn limit(json: &Document, key: &str) -> Result<usize, Error> {
    let limit = json.number(key)? as usize;
    let usable = limit >= FEWEST_TOKENS;
    usable.then_some(limit).ok_or_else(|| json.refuse(key, "a number of tokens, at least 3"))
}
