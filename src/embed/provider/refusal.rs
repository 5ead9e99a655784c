//! Classifies a service's error responses: extracts the message from a body of any shape, and what
//! it means where the status alone does not tell.
//!
//! Statuses are used loosely: an empty account is a 429 at OpenAI, a text that is too long is a 500
//! at llama.cpp, and too many texts are a 400 or a 422. There are no common codes either, so the
//! words decide. What they mean for the batch is decided in `port/fault`.

use std::time::Duration;

use serde_json::Value;

use crate::embed::http::rate_limit::duration;
use crate::embed::provider::MESSAGE_CHARS;
use crate::fill::port::fault::Says;
use crate::text::one_line;

/// How many levels of a body are searched.
/// Bounds the recursion: the body is untrusted.
const MAX_DEPTH: usize = 8;
/// Fields where services put their message, best first.
/// OpenAI has `{"error":{"message":"…"}}`, others `{"error":"…"}` or
/// `{"detail":[{"msg":"…"}]}`.
const WORDS: [&str; 9] = [
    "message",
    "error",
    "detail",
    "msg",
    "errors",
    "error_description",
    "description",
    "title",
    "reason",
];
/// Fields where they put error codes.
/// Text or numbers; they are searched for phrases together with the message.
const CODES: [&str; 5] = ["code", "type", "status", "error_code", "error_type"];

/// A parsed error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The service's message, on one line, without the key.
    pub message: String,
    /// What the message means.
    pub says: Says,
    /// How long to wait before retrying, if the body says so.
    pub retry_after: Option<Duration>,
    /// The status named in the body: that of the service behind a gateway.
    pub status: Option<u16>,
}

/// Parses the body of an error response. `scrub` removes the key from the message, before it is
/// shortened.
///
/// Never fails: a body that is not JSON is its own message, such as the page of a gateway. A pause
/// in a field wins over one in words.
pub(crate) fn parse(body: &[u8], scrub: impl Fn(&str) -> String) -> Refusal {
    let json = serde_json::from_slice::<Value>(body).ok();
    let plain = || String::from_utf8_lossy(body).into_owned();
    // Without a message, the JSON is printed again, so that only necessary escapes remain.
    let words = json.as_ref().map_or_else(
        || without_tags(&plain()),
        |json| words(json, MAX_DEPTH).unwrap_or_else(|| json.to_string()),
    );
    let words = scrub(&words);
    let mut codes = Vec::new();
    let mut retry = None;
    if let Some(json) = &json {
        look_around(json, MAX_DEPTH, &mut codes, &mut retry);
    }
    let all = format!("{words} {}", codes.join(" ")).to_lowercase();
    let retry_after = retry.or_else(|| retry_in_words(&all));
    let status = codes.iter().find_map(|code| code.parse().ok()).filter(|s| (400..600).contains(s));
    let says = says(&all, retry_after.is_some());
    Refusal { message: one_line(&words, MESSAGE_CHARS), says, retry_after, status }
}

/// The first message found; in a list, that of the first item with one.
fn words(json: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match json {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Array(items) => items.iter().find_map(|item| words(item, depth)),
        Value::Object(fields) => {
            WORDS.iter().filter_map(|name| fields.get(*name)).find_map(|field| words(field, depth))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Collects error codes, and how long to wait.
fn look_around(json: &Value, depth: usize, codes: &mut Vec<String>, retry: &mut Option<Duration>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match json {
        Value::Array(items) => items.iter().for_each(|i| look_around(i, depth, codes, retry)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "retryDelay" {
                    *retry = value.as_str().and_then(duration);
                } else if CODES.contains(&name.as_str()) && !value.is_object() {
                    codes.push(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                } else {
                    look_around(value, depth, codes, retry);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The visible text of a web page.
/// Gateways and proxies answer with HTML, of which the log should show the words.
fn without_tags(page: &str) -> String {
    if !page.trim_start().starts_with('<') {
        return page.to_owned();
    }
    let mut words = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        words.push_str(before);
        words.push(' ');
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    // A page without visible text is returned unchanged.
    if words.trim().is_empty() { page.to_owned() } else { words }
}

/// "retry after 2 seconds", "try again in 6m0s".
fn retry_in_words(words: &str) -> Option<Duration> {
    let after = ["retry after ", "try again in ", "retry in ", "try again after "]
        .iter()
        .find_map(|before| words.split_once(before).map(|(_, after)| after))?;
    let mut parts = after.split([' ', ',', ')', ';']).filter(|part| !part.is_empty());
    let amount = parts.next()?.trim_end_matches('.');
    let Ok(number) = amount.parse::<f64>() else { return duration(amount) };
    let unit = match parts.next() {
        Some(unit) if unit.starts_with("min") => 60.0,
        Some(unit) if unit.starts_with("hour") => 3_600.0,
        Some(unit) if unit.starts_with("ms") || unit.starts_with("milli") => 0.001,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

/// Phrases about a rate limit: waiting helps.
/// The abbreviations are tokens and requests per minute.
const RATE: [&str; 7] =
    ["per min", "per day", "per second", "rate limit", "rate_limit", "tpm", "rpm"];
/// Phrases about an empty account; 1113 is Zhipu's code for it.
const NO_MONEY: [&str; 11] = [
    "insufficient",
    "balance",
    "recharge",
    "arrear",
    "overdue",
    "billing",
    "out of credit",
    "no credit",
    "exceeded your current quota",
    "payment",
    "1113",
];
/// Phrases about a request that is too large no matter when it is sent.
const TOO_LARGE: [&str; 3] = ["request too large", "must be reduced", "tokens per request"];
/// Phrases about a text that is too long.
/// The names of parameters (`n_ctx`, `max_position`) come from llama.cpp and Hugging Face.
const TOO_LONG: [&str; 12] = [
    "context length",
    "context window",
    "context size",
    "context_size",
    "context_length",
    "input length",
    "too large to process",
    "too long",
    "sequence length",
    "maximum length",
    "max_position",
    "n_ctx",
];
/// Phrases about a limit, and words for the items of a request.
/// One of each is needed: neither says anything alone.
const LIMIT: [&str; 9] = [
    "exceed",
    "maximum",
    "max ",
    "limit",
    "too many",
    "reduce",
    "larger than",
    "more than",
    "at most",
];
const MANY: [&str; 8] =
    ["inputs", "texts", "items", "documents", "sentences", "elements", "array", "batch"];

/// What a message means. `words` is in lower case; `retry` = it says how long to wait.
///
/// The order matters, since the phrases overlap. A request that is too large for a minute's tokens
/// mentions a rate, but waiting does not help. Gemini says "exceeded your current quota" of a rate
/// limit, and then says when to retry, so it is no empty account. "Too large to process. Increase
/// the physical batch size" is about one long text, not about many.
fn says(words: &str, retry: bool) -> Says {
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let numbers = numbers(words);
    // Skips small numbers: no token limit is below 32, while version numbers and counts often are.
    let limit = numbers.iter().copied().filter(|number| *number >= 32).min();
    let rate = has(&RATE);
    if has(&TOO_LARGE) && has(&["token"]) {
        return Says::TooLarge(limit);
    }
    if has(&NO_MONEY) && !retry && !rate {
        return Says::NoMoney;
    }
    if rate {
        return Says::Nothing;
    }
    if has(&TOO_LONG) || has(&["token"]) && has(&LIMIT) {
        let received = numbers.iter().copied().max().filter(|n| limit.is_some_and(|l| *n > l));
        return Says::TooLong { limit, received };
    }
    if has(&["batch size", "batch_size", "max_batch"]) || has(&MANY) && has(&LIMIT) {
        return Says::TooManyTexts(numbers.into_iter().filter(|number| *number > 0).min());
    }
    Says::Nothing
}

/// The free-standing whole numbers in a text; `352,911` is one number.
/// Parts of a name such as `text-embedding-3` count, too; `v2` and `max_32` do not.
fn numbers(words: &str) -> Vec<u64> {
    let number = |word: &str| {
        let digits: String = word.chars().filter(|c| *c != ',').collect();
        digits.parse().ok()
    };
    words
        .split(|c: char| !c.is_ascii_alphanumeric() && c != ',' && c != '_')
        .filter_map(|word| number(word.trim_matches(',')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::provider::read_every_way;

    fn read(body: &str) -> Refusal {
        parse(body.as_bytes(), str::to_owned)
    }

    #[test]
    fn the_services_words_are_found_in_whatever_shape_they_come() {
        for body in [
            r#"{"error":{"message":"no such\nmodel","type":"x"}}"#,
            r#"{"error":"no such model"}"#,
            r#"[{"error":{"code":404,"message":"no such model"}}]"#,
            r#"{"detail":[{"loc":["body"],"msg":"no such model"}]}"#,
            r#"{"detail":"no such model"}"#,
            r#"{"message":"no such model"}"#,
            r#""no such model""#,
            "no such model",
            "<html><body><h1>no such</h1> model</body></html>",
        ] {
            assert_eq!(read(body).message, "no such model", "{body}");
        }
        assert_eq!(read("<img>").message, "<img>");
        assert_eq!(read(r#"{"odd":[1]}"#).message, r#"{"odd":[1]}"#);
        assert_eq!(read(&"x".repeat(500)).message.len(), MESSAGE_CHARS);
    }

    #[test]
    fn an_empty_account_is_told_from_a_rate_limit() {
        for body in [
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}}"#,
            r#"{"error":{"code":"1113","message":"Insufficient balance. Please recharge."}}"#,
            r#"{"code":"Arrearage","message":"Access denied, your account is in arrears"}"#,
        ] {
            assert_eq!(read(body).says, Says::NoMoney, "{body}");
        }
        let gemini = r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","details":[{"retryDelay":"20s"}]}}"#;
        let read = read(gemini);
        assert_eq!((read.says, read.retry_after), (Says::Nothing, Some(Duration::from_secs(20))));
    }

    #[test]
    fn a_limit_of_texts_is_read_from_the_words() {
        for (body, most) in [
            (
                "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be larger than 10.: input.contents",
                Some(10),
            ),
            ("batch size 50 > maximum allowed batch size 32", Some(32)),
            ("Too many inputs. The max number of inputs is 64", Some(64)),
            ("input array is too long: at most 96 texts are allowed", None),
        ] {
            let says = read(body).says;
            match most {
                Some(most) => assert_eq!(says, Says::TooManyTexts(Some(most)), "{body}"),
                None => assert!(matches!(says, Says::TooLong { .. }), "{body}"),
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_told_with_both_numbers() {
        for (body, limit, received) in [
            (
                "This model's maximum context length is 8192 tokens, however you requested 30000 tokens",
                8_192,
                30_000,
            ),
            (
                "input (875 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
                512,
                875,
            ),
        ] {
            let expected = Says::TooLong { limit: Some(limit), received: Some(received) };
            assert_eq!(read(body).says, expected, "{body}");
        }
    }

    #[test]
    fn a_request_that_no_minute_allows_is_told_with_the_limit() {
        for (body, limit) in [
            (
                "Request too large for the model on tokens per min (TPM): Limit 10000, Requested 27120. The input or output tokens must be reduced in order to run successfully.",
                10_000,
            ),
            ("Requested 352,911 tokens, max 300,000 tokens per request", 300_000),
        ] {
            assert_eq!(read(body).says, Says::TooLarge(Some(limit)), "{body}");
        }
    }

    #[test]
    fn a_pause_is_read_from_the_words() {
        for (words, seconds) in [
            ("HTTP 429: RateLimitReached, retry after 2 seconds", 2.0),
            ("Please try again in 6m0s.", 360.0),
            ("please retry in 14.5s", 14.5),
            ("try again in 20 minutes", 1_200.0),
        ] {
            let wait = Duration::from_secs_f64(seconds);
            assert_eq!(read(words).retry_after, Some(wait), "{words}");
        }
        assert_eq!(read("retry later").retry_after, None);
    }

    #[test]
    fn a_status_in_the_body_is_that_of_the_service_behind() {
        let body = r#"{"error":{"message":"slow down","code":429}}"#;
        assert_eq!(read(body).status, Some(429));
        assert_eq!(read(r#"{"error":{"code":"1113"}}"#).status, None);
    }

    #[test]
    fn nothing_panics_whatever_the_body() {
        let body =
            r#"[{"error":{"message":"retry in 5 x","code":429,"details":[{"retryDelay":"2s"}]}}]"#;
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut bytes = body.as_bytes().to_vec();
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
            read_every_way(&bytes[..rng.usize(..bytes.len())]);
        }
    }
}
