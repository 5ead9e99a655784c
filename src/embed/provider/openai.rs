//! The wire format of `POST /embeddings`: what is sent, and what may come back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::fill::port::embedding::Reply;
use crate::fill::port::fault::ServiceFault;
use crate::text::one_line;

/// Longest piece of a service's own words that is passed on, in characters.
const MESSAGE_CHARS: usize = 200;
/// Longest beginning of an answer that is shown, in characters.
const BEGINNING_CHARS: usize = 80;

/// The body of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a> {
    pub(crate) model: &'a str,
    pub(crate) input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoding_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Response {
    data: Vec<Item>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

/// Base64 of little-endian `f32`, a quarter of the size; or plain numbers, from services that do
/// not know `encoding_format`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Base64(String),
    Floats(Vec<Option<f32>>),
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
}

/// Refuses what cannot become an answer at its first bytes: nobody wants all of a wrong page.
pub(crate) fn check_beginning(
    bytes: &[u8],
    scrub: impl Fn(&str) -> String,
) -> Result<(), ServiceFault> {
    match bytes.trim_ascii_start() {
        [] | [b'{', ..] => Ok(()),
        other => {
            let words = one_line(&scrub(&String::from_utf8_lossy(other)), BEGINNING_CHARS);
            Err(ServiceFault::Shape(format!("it is no JSON object and begins with '{words}'")))
        }
    }
}

/// Reads the body of a successful answer. `scrub` takes the key out of what is told: after JSON's
/// escapes are resolved, or a key could hide in them, and before anything is cut off, because a part
/// of the key is a secret, too.
pub(crate) fn parse(body: &[u8], scrub: impl Fn(&str) -> String) -> Result<Reply, ServiceFault> {
    let response: Response = serde_json::from_slice(body)
        .map_err(|e| ServiceFault::Shape(one_line(&scrub(&e.to_string()), MESSAGE_CHARS)))?;
    let vector = |item: Item| Ok((item.index, decode(item.embedding)?));
    let vectors = response.data.into_iter().map(vector).collect::<Result<_, ServiceFault>>()?;
    let tokens = response.usage.and_then(|usage| usage.total_tokens.or(usage.prompt_tokens));
    Ok(Reply { vectors, tokens })
}

fn decode(vector: Vector) -> Result<Vec<f32>, ServiceFault> {
    let text = match vector {
        // JSON has no NaN: a null among the numbers is one, and is refused as such later.
        Vector::Floats(numbers) => {
            return Ok(numbers.into_iter().map(|n| n.unwrap_or(f32::NAN)).collect());
        }
        Vector::Base64(text) => text,
    };
    let bytes =
        STANDARD.decode(text).map_err(|e| ServiceFault::Shape(format!("bad base64: {e}")))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(ServiceFault::Shape(format!("{} bytes are no list of f32", bytes.len())));
    }
    Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
}

#[derive(Deserialize)]
struct Failure {
    error: Complaint,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Complaint {
    Object { message: Option<String>, code: Option<serde_json::Value>, r#type: Option<String> },
    Text(String),
}

/// What a service says about a refusal: its words without the key, as in [`parse`], and whether the
/// account's quota is used up.
pub(crate) fn parse_failure(body: &[u8], scrub: impl Fn(&str) -> String) -> (String, bool) {
    let told = |words: &str| one_line(&scrub(words), MESSAGE_CHARS);
    let words = match serde_json::from_slice::<Failure>(body).map(|failure| failure.error) {
        Ok(Complaint::Object { message, code, r#type }) => {
            let says = |word: &str| word == "insufficient_quota";
            let quota = code.as_ref().and_then(|code| code.as_str()).is_some_and(says)
                || r#type.as_deref().is_some_and(says);
            return (told(&message.unwrap_or_default()), quota);
        }
        Ok(Complaint::Text(text)) => text,
        Err(_) => serde_json::from_slice::<serde_json::Value>(body).map_or_else(
            |_| String::from_utf8_lossy(body).into_owned(),
            // Written anew, with no more escapes than JSON needs.
            |json| json.to_string(),
        ),
    };
    (told(&words), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(body: &str) -> Vec<(usize, Vec<f32>)> {
        parse(body.as_bytes(), str::to_owned).unwrap().vectors
    }

    #[test]
    fn base64_and_floats_give_the_same_vector() {
        let base64 = STANDARD.encode([0.5f32, -2.0].map(f32::to_le_bytes).concat());
        let body = format!(r#"{{"data":[{{"index":1,"embedding":"{base64}"}}]}}"#);
        assert_eq!(vectors(&body), [(1, vec![0.5, -2.0])]);
        let body = r#"{"object":"list","data":[{"index":1,"embedding":[0.5,-2]}],"usage":{"total_tokens":7}}"#;
        assert_eq!(vectors(body), [(1, vec![0.5, -2.0])]);
        assert_eq!(parse(body.as_bytes(), str::to_owned).unwrap().tokens, Some(7));
    }

    #[test]
    fn what_is_no_answer_is_refused_and_nothing_panics() {
        let bodies = [
            "",
            "<html>Bad gateway</html>",
            "{}",
            r#"{"data":[{"embedding":[1]}]}"#,
            r#"{"data":[{"index":-1,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":"AAAA"}]}"#,
            r#"{"data":[{"index":0,"embedding":"?"}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,"x"]}]}"#,
        ];
        for body in bodies {
            assert!(
                matches!(parse(body.as_bytes(), str::to_owned), Err(ServiceFault::Shape(_))),
                "{body}"
            );
        }
        let garbled = r#"{"data":[{"index":0,"embedding":[0.1,2e9]}],"usage":{"total_tokens":1}}"#;
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut bytes = garbled.as_bytes().to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            parse(&bytes[..rng.usize(..bytes.len())], str::to_owned).ok();
            parse_failure(&bytes, str::to_owned);
        }
    }

    #[test]
    fn a_wrong_page_is_told_by_its_beginning() {
        let check = |body: &[u8]| check_beginning(body, |text| text.replace("key", "***"));
        assert!(check(b" \n{\"data\"").is_ok() && check(b" ").is_ok() && check(b"").is_ok());
        let words = "it is no JSON object and begins with '<p> my ***'".to_owned();
        assert_eq!(check(b"<p>\n my key"), Err(ServiceFault::Shape(words)));
        assert!(check(&[0xff; 10_000]).unwrap_err().to_string().chars().count() < 200);
    }

    #[test]
    fn a_refusal_is_told_in_the_services_words() {
        let body =
            r#"{"error":{"message":"You exceeded\nyour quota","type":"insufficient_quota"}}"#;
        assert_eq!(
            parse_failure(body.as_bytes(), str::to_owned),
            ("You exceeded your quota".into(), true)
        );
        assert_eq!(
            parse_failure(br#"{"error":"no such model"}"#, str::to_owned),
            ("no such model".into(), false)
        );
        assert_eq!(parse_failure(b"<h1>502</h1>", str::to_owned), ("<h1>502</h1>".into(), false));
        assert_eq!(parse_failure("x".repeat(500).as_bytes(), str::to_owned).0.len(), MESSAGE_CHARS);
    }
}
