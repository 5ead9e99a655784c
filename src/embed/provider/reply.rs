//! Parses the body of a response, in any service's shape, straight into 32-bit floats.
//!
//! Known shapes: `data[].embedding` (OpenAI and compatible), `embeddings[]` (Ollama),
//! `embeddings.float[]` (Cohere), `embeddings[].values` (Gemini), `embedding` (one text), and a
//! bare list of vectors (text-embeddings-inference). An `index` decides where there is one;
//! otherwise the position in the list does.
//!
//! Everything is read in one pass, without a tree of JSON values: a batch of large vectors would
//! take several times its size in the database's memory. Fields that are not needed are skipped.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::embed::provider::MESSAGE_CHARS;
use crate::embed::provider::vectors::{Floats, Item, Items, NESTED, items};
use crate::fill::port::embedding::Reply;
use crate::fill::port::fault::{Malformed, ServiceFault};
use crate::text::one_line;

/// How much of an unparsable response is shown, in characters.
/// Enough to tell a login page from a stack trace.
const BEGINNING_CHARS: usize = 80;

/// A parsed response: vectors, or an error that came with a success status.
/// Some gateways answer with 200 and put the error of the service behind them into the body.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Vectors.
    Vectors(Reply),
    /// The body is an error object.
    Refusal,
}

/// Rejects a body that cannot be JSON by its first bytes, instead of downloading all of a wrong
/// page.
/// `bytes` is the first part of the body. White space alone passes, as more is to come. The error
/// holds the beginning of the page, without the key.
pub(crate) fn check_beginning(
    bytes: &[u8],
    scrub: impl Fn(&str) -> String,
) -> Result<(), ServiceFault> {
    match without_bom(bytes).trim_ascii_start() {
        [] | [b'{' | b'[', ..] => Ok(()),
        other => {
            let words = one_line(&scrub(&String::from_utf8_lossy(other)), BEGINNING_CHARS);
            Err(ServiceFault::Malformed(Malformed::NotJson(format!(
                "it is no JSON object and begins with '{words}'"
            ))))
        }
    }
}

/// Strips the byte-order mark that some services put before their JSON. It may arrive in parts.
fn without_bom(bytes: &[u8]) -> &[u8] {
    const BOM: &[u8] = b"\xef\xbb\xbf";
    let begun = BOM.starts_with(bytes);
    if begun { &[] } else { bytes.strip_prefix(BOM).unwrap_or(bytes) }
}

/// Parses the body of a successful response. `scrub` removes the key from error messages: after
/// JSON escapes are resolved, or the key could hide in them, and before shortening, because a part
/// of the key is a secret too.
///
/// Fails if the body is not JSON, ends early, has something behind it, or holds neither vectors nor
/// an error; also if an item has no vector. Whether there are enough vectors, and whether they are
/// usable, is checked by `by_index`.
pub(crate) fn parse(body: &[u8], scrub: impl Fn(&str) -> String) -> Result<Answer, ServiceFault> {
    let mut parser = serde_json::Deserializer::from_slice(without_bom(body));
    let parsed = parser.deserialize_any(AnswerVisitor).and_then(|found| {
        parser.end()?;
        Ok(found)
    });
    let found = parsed.map_err(|e| malformed(&scrub(&e.to_string())))?;
    match found {
        Found { vectors: Some(vectors), tokens, .. } => {
            Ok(Answer::Vectors(Reply { vectors: placed(vectors)?, tokens }))
        }
        Found { refusal: true, .. } => Ok(Answer::Refusal),
        Found { .. } => {
            let words = "it holds none of data, embeddings, embedding";
            Err(ServiceFault::Malformed(Malformed::NotJson(words.into())))
        }
    }
}

/// Vectors within vectors come from a model without pooling, one for each token. That is common
/// enough for an error of its own, which says so.
fn malformed(words: &str) -> ServiceFault {
    if words.contains(NESTED) {
        return ServiceFault::Malformed(Malformed::Nested);
    }
    ServiceFault::Malformed(Malformed::NotJson(one_line(words, MESSAGE_CHARS)))
}

/// Each vector with its index: the one it came with, or else its position in the list, since some
/// services (Google) omit an index of zero. `by_index` rejects an index that appears twice.
fn placed(vectors: Vec<Item>) -> Result<Vec<(usize, Vec<f32>)>, ServiceFault> {
    let vector = |(place, item): (usize, Item)| Some((item.index.unwrap_or(place), item.vector?));
    let total = vectors.len();
    let placed: Vec<_> = vectors.into_iter().enumerate().filter_map(vector).collect();
    if placed.len() < total {
        let words = "an item holds no embedding";
        return Err(ServiceFault::Malformed(Malformed::NotJson(words.into())));
    }
    Ok(placed)
}

/// What was found in the body.
#[derive(Default)]
struct Found {
    /// `None` = no field for vectors, or `null` in it.
    vectors: Option<Vec<Item>>,
    /// As the service counts them; `None` = it does not say.
    tokens: Option<u64>,
    /// The body holds an error object or message.
    /// Counts only where there are no vectors.
    refusal: bool,
}

/// Takes an object by its fields, or a bare list of vectors.
struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object or list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" | "embeddings" => {
                    if let Some(items) = map.next_value::<Items>()?.0 {
                        found.vectors = Some(items);
                    }
                }
                "embedding" => {
                    let vector = map.next_value::<Floats>()?.0;
                    found.vectors = Some(vec![Item { index: None, vector: Some(vector) }]);
                }
                "usage" => {
                    found.tokens = map.next_value::<Option<Usage>>()?.and_then(Usage::tokens);
                }
                "prompt_eval_count" => found.tokens = map.next_value::<Option<u64>>()?,
                "meta" => found.tokens = map.next_value::<Option<Meta>>()?.and_then(Meta::tokens),
                "error" | "errors" | "detail" => {
                    found.refusal |= map.next_value::<Option<IgnoredAny>>()?.is_some();
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Found, A::Error> {
        Ok(Found { vectors: Some(items(seq)?), ..Found::default() })
    }
}

#[derive(Deserialize)]
/// OpenAI's `usage`. The total comes first; some services only have the tokens of the prompt, which
/// for embeddings is the same.
struct Usage {
    total_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
}

impl Usage {
    fn tokens(self) -> Option<u64> {
        self.total_tokens.or(self.prompt_tokens)
    }
}

#[derive(Deserialize)]
/// Cohere's `meta`, whose counts may be written as `4.0`.
struct Meta {
    billed_units: Option<Billed>,
}

#[derive(Deserialize)]
struct Billed {
    input_tokens: Option<f64>,
}

impl Meta {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of tokens; the cast saturates"
    )]
    fn tokens(self) -> Option<u64> {
        self.billed_units?.input_tokens.map(|tokens| tokens as u64)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::embed::provider::read_every_way;

    fn vectors(body: &str) -> Vec<(usize, Vec<f32>)> {
        match parse(body.as_bytes(), str::to_owned).unwrap() {
            Answer::Vectors(reply) => reply.vectors,
            Answer::Refusal => panic!("a refusal: {body}"),
        }
    }

    #[test]
    fn every_services_shape_gives_the_same_vectors() {
        let base64 = STANDARD.encode([0.5f32, -2.0].map(f32::to_le_bytes).concat());
        let one = vec![(0, vec![0.5, -2.0])];
        for body in [
            format!(r#"{{"data":[{{"index":0,"embedding":"{base64}"}}]}}"#),
            r#"{"object":"list","data":[{"index":0,"embedding":[0.5,-2]}],"usage":null}"#.into(),
            "\u{feff}{\"data\":[{\"embedding\":[0.5,-2]}]}".into(),
            r#"{"model":"m","embeddings":[[0.5,-2]],"total_duration":1}"#.into(),
            r#"{"embeddings":{"float":[[0.5,-2]],"int8":null},"texts":["a"]}"#.into(),
            r#"{"embeddings":[{"values":[0.5,-2]}]}"#.into(),
            r#"{"embedding":[0.5,-2]}"#.into(),
            "[[0.5,-2]]".into(),
            r#"{"error":null,"data":[{"index":0,"embedding":[0.5,-2]}]}"#.into(),
        ] {
            assert_eq!(vectors(&body), one, "{body}");
        }
    }

    #[test]
    fn the_services_own_count_of_tokens_is_taken() {
        let tokens = |body: &str| match parse(body.as_bytes(), str::to_owned) {
            Ok(Answer::Vectors(reply)) => reply.tokens,
            other => panic!("{other:?}"),
        };
        assert_eq!(tokens(r#"{"data":[],"usage":{"total_tokens":7,"prompt_tokens":6}}"#), Some(7));
        assert_eq!(tokens(r#"{"embeddings":[],"prompt_eval_count":5}"#), Some(5));
        let cohere = r#"{"embeddings":{"float":[]},"meta":{"billed_units":{"input_tokens":4.0}}}"#;
        assert_eq!(tokens(cohere), Some(4));
    }

    #[test]
    fn an_index_that_is_missing_is_the_place_in_the_list() {
        let places = |body: &str| vectors(body).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(places(r#"{"data":[{"embedding":[1]},{"index":1,"embedding":[2]}]}"#), [0, 1]);
        assert_eq!(places(r#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#), [0, 1]);
        assert_eq!(
            places(r#"{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[2]}]}"#),
            [1, 0]
        );
    }

    #[test]
    fn what_is_no_answer_is_refused_and_nothing_panics() {
        for body in [
            "",
            "<html>Bad gateway</html>",
            "{}",
            r#"{"data":[{"index":0}]}"#,
            r#"{"data":[{"index":-1,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":"AAAA"}]}"#,
            r#"{"data":[{"index":0,"embedding":"?"}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,"x"]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]}]} x"#,
        ] {
            let parsed = parse(body.as_bytes(), str::to_owned);
            assert!(matches!(parsed, Err(ServiceFault::Malformed(_))), "{body}: {parsed:?}");
        }
        let garbled = r#"{"data":[{"index":0,"embedding":[0.1,2e9]}],"usage":{"total_tokens":1}}"#;
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut bytes = garbled.as_bytes().to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            read_every_way(&bytes[..rng.usize(..bytes.len())]);
        }
    }

    #[test]
    fn a_vector_for_each_token_is_told_as_that() {
        let body = r#"{"data":[{"index":0,"embedding":[[1,2],[3,4]]}]}"#;
        let fault = parse(body.as_bytes(), str::to_owned).unwrap_err();
        assert_eq!(fault, ServiceFault::Malformed(Malformed::Nested));
        assert!(fault.to_string().contains("pooling"), "{fault}");
    }

    #[test]
    fn an_error_in_a_success_is_a_refusal() {
        let body = br#"{"error":{"message":"slow down","code":429}}"#;
        assert_eq!(parse(body, str::to_owned), Ok(Answer::Refusal));
    }

    #[test]
    fn a_wrong_page_is_told_by_its_beginning() {
        let check = |body: &[u8]| check_beginning(body, |text| text.replace("key", "***"));
        for good in [&b" \n{\"data\""[..], b" ", b"", b"[[1", b"\xef\xbb\xbf{", b"\xef"] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        let words = check(b"<p>\n my key").unwrap_err().to_string();
        assert!(words.contains("begins with '<p> my ***'"), "{words}");
        assert!(check(&[0xff; 10_000]).unwrap_err().to_string().chars().count() < 200);
    }
}
