//! `VECTORFILL.EMBED text [text …] [FORMAT floats|blob]`

use redis_module::{Context, RedisError, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

use crate::server::commands::text_query::TextQuery;
use crate::server::commands::{answered, error};

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
        let (texts, format) = parse(&args)?;
        TextQuery::new(ctx, "VECTORFILL.EMBED")?.ask(ctx, texts, None, move |client, vectors| {
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
        [_, texts @ .., word, format]
            if !texts.is_empty() && word.as_slice().eq_ignore_ascii_case(b"FORMAT") =>
        {
            (texts, parse_format(format)?)
        }
        [_, texts @ ..] => (texts, Format::Floats),
        [] => return Err(RedisError::WrongArity),
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
