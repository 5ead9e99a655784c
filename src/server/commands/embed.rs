//! `VECTORFILL.EMBED [EMBEDDER name] text [text …] [FORMAT floats|blob]`
//!
//! # Syntax
//!
//! ```text
//! VECTORFILL.EMBED [EMBEDDER name] text [text …] [FORMAT floats|blob]
//! ```
//!
//! The two options are recognised only at the two ends, and only if a text remains: anything else
//! is a text, even the word `FORMAT`.
//!
//! # Reply
//!
//! One vector per text, in their order: a list of numbers, or one string of little-endian 32-bit
//! floats, four bytes per dimension.
//!
//! ```text
//! > VECTORFILL.EMBED "a boat"
//! 1) 1) "0.0123"
//!    2) "-0.0456"
//! ```
//!
//! # Errors
//!
//! `NOKEY`, `EMBED` with the service's words, `TIMEOUT` after twice the request timeout, `ERR` for
//! an unknown embedder, more than 2048 texts, and inside MULTI or a script.

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::rule::name::EmbedderName;
use crate::server::commands::choose::embedder_name;
use crate::server::commands::text_query::TextQuery;
use crate::server::commands::{answered, current, error};

/// Maximum number of texts per command: what services take in one request.
const MAX_TEXTS: usize = 2_048;

#[command({
    name: "vectorfill.embed",
    flags: [ReadOnly, NoMandatoryKeys],
    summary: "Returns the vector of each text, from the model that fills the graphs.",
    complexity: "O(N) with N the number of texts, at the embedding service",
    since: "0.1.0",
    arity: -2,
    key_spec: [],
    args: [
        {
            name: "embedder", arg_type: String, token: "EMBEDDER", flags: [Optional],
            summary: "The name of an embedder; the default one without it.",
        },
        { name: "text", arg_type: String, flags: [Multiple] },
        {
            name: "format", arg_type: String, token: "FORMAT", flags: [Optional],
            summary: "floats: a list of numbers per text; blob: little-endian 32-bit floats.",
        },
    ],
    acl_categories: [Single("vectorfill")],
})]
fn embed(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    answered(|| {
        let current = current()?;
        let (embedder, args) = match args.as_slice() {
            [_, word, name, rest @ ..]
                if !rest.is_empty() && word.as_slice().eq_ignore_ascii_case(b"EMBEDDER") =>
            {
                (embedder_name(&current, name)?, rest)
            }
            [_, rest @ ..] => (EmbedderName::default_embedder(), rest),
            [] => return Err(RedisError::WrongArity),
        };
        let (texts, format) = parse(args)?;
        let query = TextQuery::new(ctx, "VECTORFILL.EMBED", &current, embedder)?;
        query.ask(ctx, texts, None, move |client, vectors| {
            let vectors = vectors.iter().map(|vector| format.value(vector)).collect();
            client.reply(Ok(RedisValue::Array(vectors)));
        })
    })
}

/// How vectors are returned.
#[derive(Clone, Copy)]
enum Format {
    Floats,
    Blob,
}

impl Format {
    fn value(self, vector: &[f32]) -> RedisValue {
        match self {
            Self::Floats => {
                let float = |number: &f32| RedisValue::Float(f64::from(*number));
                RedisValue::Array(vector.iter().map(float).collect())
            }
            Self::Blob => {
                RedisValue::StringBuffer(vector.iter().flat_map(|n| n.to_le_bytes()).collect())
            }
        }
    }
}

fn parse(args: &[RedisString]) -> Result<(&[RedisString], Format), RedisError> {
    let (texts, format) = match args {
        [texts @ .., word, format]
            if !texts.is_empty() && word.as_slice().eq_ignore_ascii_case(b"FORMAT") =>
        {
            (texts, parse_format(format)?)
        }
        texts => (texts, Format::Floats),
    };
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        return error(
            "ERR",
            format_args!("{} texts: between 1 and {MAX_TEXTS} are allowed", texts.len()),
        );
    }
    Ok((texts, format))
}

fn parse_format(arg: &RedisString) -> Result<Format, RedisError> {
    match arg.to_string_lossy().to_lowercase().as_str() {
        "floats" => Ok(Format::Floats),
        "blob" => Ok(Format::Blob),
        _ => error("ERR", format_args!("FORMAT '{arg}': floats or blob")),
    }
}
