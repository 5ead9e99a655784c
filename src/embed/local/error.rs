//! Errors in a model directory, and reasons for a call to end early.

use std::path::PathBuf;
use std::{fmt, io};

/// Why a model cannot be opened or a text cannot be embedded.
#[derive(Debug)]
pub(crate) enum Error {
    /// A file cannot be opened or read. A missing file counts, unless it is optional.
    Io { file: PathBuf, source: io::Error },
    /// A file is not in the format its name implies: it is not JSON, for example, or a
    /// safetensors file is truncated.
    Format { file: PathBuf, reason: String },
    /// A file holds a value that this encoder does not support. A missing key or tensor and a
    /// tensor of another shape count, too.
    Value { file: PathBuf, name: String, found: String, wanted: String },
    /// The tokenizer gave up on a text, or named a token the model has no row for. `pool`
    /// blames the text for this one, and the model for all others but `Cancelled`.
    Text { reason: String },
    /// The network's result holds NaN or infinity: the weights are damaged.
    NotFinite,
    /// Two matrices do not fit together. Shapes are checked on opening, so this is a bug in this
    /// crate.
    Shape { what: &'static str },
    /// The caller's flag was raised. No partial result is returned.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "{}: {source}", file.display()),
            Self::Format { file, reason } => write!(f, "{}: {reason}", file.display()),
            Self::Value { file, name, found, wanted } => {
                write!(f, "{}: {name} is {found}; supported: {wanted}", file.display())
            }
            Self::Text { reason } => write!(f, "a text cannot be tokenized: {reason}"),
            Self::NotFinite => write!(f, "the model computes NaN or infinity: damaged weights"),
            Self::Shape { what } => write!(f, "matrices do not fit together: {what}"),
            Self::Cancelled => write!(f, "cancelled"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io { source, .. } = self { Some(source) } else { None }
    }
}
