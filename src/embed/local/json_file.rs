//! One JSON file of a model directory: typed values, or an error naming file, key and value.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

use crate::embed::local::error::Error;

/// No size in a model comes near this; it keeps sums and products of sizes far from overflow.
const MAX_SIZE: u64 = 1 << 24;

/// A parsed file.
pub(super) struct Document {
    file: PathBuf,
    value: Value,
}

impl Document {
    /// Reads a file that must exist. `Error::Io` if it cannot be read, `Error::Format` if it is not
    /// JSON.
    pub(super) fn open(file: PathBuf) -> Result<Self, Error> {
        match fs::read(&file) {
            Ok(bytes) => Self::parse(file, &bytes),
            Err(source) => Err(Error::Io { file, source }),
        }
    }

    /// `None` if the file does not exist; any other failure is an error.
    pub(super) fn open_optional(file: PathBuf) -> Result<Option<Self>, Error> {
        match Self::open(file) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Its path as given to `open`, for errors built elsewhere.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Its top-level value. An object in all files but `modules.json`, which is an array; nothing
    /// checks that here.
    pub(super) fn root(&self) -> &Value {
        &self.value
    }

    /// The value of a key that is present and not null. `None` also where the file is not an
    /// object. Python writes unset values as null, so null means absent.
    pub(super) fn find(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    /// A whole number from 1 to 16 777 216. Anything else, a missing key included, is
    /// `Error::Value`.
    pub(super) fn size(&self, key: &str) -> Result<usize, Error> {
        let size = self.find(key).and_then(Value::as_u64).filter(|n| (1..=MAX_SIZE).contains(n));
        size.and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.refuse(key, "a whole number, at least 1"))
    }

    /// A string; an error where the key is absent.
    pub(super) fn text(&self, key: &str) -> Result<&str, Error> {
        self.find(key).and_then(Value::as_str).ok_or_else(|| self.refuse(key, "a string"))
    }

    /// A number; an error where the key is absent.
    pub(super) fn number(&self, key: &str) -> Result<f64, Error> {
        self.find(key).and_then(Value::as_f64).ok_or_else(|| self.refuse(key, "a number"))
    }

    /// False where the key is absent or holds anything but a bool.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.find(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// The error that states what `key` holds and what is supported.
    pub(super) fn refuse(&self, key: &str, wanted: &str) -> Error {
        let found = self.value.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        Error::Value {
            file: self.file.clone(),
            name: key.to_owned(),
            found,
            wanted: wanted.to_owned(),
        }
    }

    fn parse(file: PathBuf, bytes: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(bytes) {
            Ok(value) => Ok(Self { file, value }),
            Err(error) => Err(Error::Format { file, reason: format!("not JSON: {error}") }),
        }
    }
}
