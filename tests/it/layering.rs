//! Imports go one way: `lib → server → worker → {engine, embed} → fill → rule → {entity, text, error}`,
//! each to what stands below it.

use std::fs;
use std::path::{Path, PathBuf};

/// What a folder may name, and which crates are its alone.
const LAYERS: [(&str, &[&str]); 12] = [
    ("error", &[]),
    ("inject", &[]),
    ("text", &[]),
    ("entity", &[]),
    ("rule", &["entity", "error"]),
    ("fill", &["rule", "entity", "text", "error"]),
    ("engine", &["fill", "rule", "entity", "text", "error"]),
    ("embed", &["rule", "fill", "entity", "text", "error", "inject"]),
    ("worker", &["rule", "fill", "embed", "entity", "text", "error", "inject"]),
    ("server", &["worker", "engine", "embed", "fill", "rule", "entity", "text", "error", "inject"]),
    ("fuzzing", &["engine", "embed", "rule", "entity", "text"]),
    ("lib", &["server", "fuzzing"]),
];
const OWNED: [(&str, &[&str]); 7] = [
    ("redis_module", &["server", "lib"]),
    ("reqwest", &["embed"]),
    ("hyper_util", &["embed"]),
    ("tokio", &["embed"]),
    ("serde_json", &["embed"]),
    ("rustls", &["embed"]),
    ("unsafe {", &["server/ffi", "embed/local"]),
];

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// Source files with their path below src/ and without extension.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&src, &mut paths);
    let name = |path: &Path| {
        path.strip_prefix(&src).unwrap().with_extension("").to_string_lossy().into_owned()
    };
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let layer = name.split('/').next().unwrap().to_owned();
        let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == layer) else {
            wrong.push(format!("{name}: a folder that no layer is named for"));
            continue;
        };
        for line in code(&text) {
            for (other, _) in LAYERS {
                let names = line.contains(&format!("crate::{other}"));
                if names && other != layer && !allowed.contains(&other) {
                    wrong.push(format!("{name}: {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_crate_stays_in_its_folder() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (word, owners) in OWNED {
            let owned = owners.iter().any(|owner| name.starts_with(owner));
            if !owned && code(&text).any(|line| line.contains(word)) {
                wrong.push(format!("{name} names {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    let silent: Vec<String> = silent.map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// The files, and the names in files, that docs/architecture.md sends its readers to.
fn places() -> Vec<(String, Option<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    // Every second part stands between backticks.
    let quoted = text.split('`').skip(1).step_by(2);
    let place = |word: &str| match word.split_once(".rs:") {
        Some((file, name)) => Some((format!("{file}.rs"), Some(name.to_owned()))),
        None => word.ends_with(".rs").then(|| (word.to_owned(), None)),
    };
    quoted.filter_map(place).filter(|(file, _)| file != "file.rs").collect()
}

/// Whether a text defines something of this name.
fn defines(text: &str, name: &str) -> bool {
    const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "const", "static", "type"];
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    words.windows(2).any(|pair| KINDS.contains(&pair[0]) && pair[1] == name)
}

#[test]
fn the_places_that_the_architecture_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = places();
    assert!(places.len() > 100, "only {} places are named", places.len());
    let exists = |(file, name): &(String, Option<String>)| {
        let paths = [root.join("src").join(file), root.join(file)];
        let text = paths.iter().find_map(|path| fs::read_to_string(path).ok());
        text.is_some_and(|text| name.as_ref().is_none_or(|name| defines(&text, name)))
    };
    let wrong: Vec<_> = places.iter().filter(|place| !exists(place)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
