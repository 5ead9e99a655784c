//! Reads a service's rate limits, and how long to wait before retrying, from its headers.
//!
//! There is no standard that services follow, only OpenAI's example and variations on it. A header
//! that cannot be read counts as absent: it is advice, and no reason to discard an answer.

use std::time::{Duration, SystemTime};

use jiff::{Span, SpanRelativeTo};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::fill::port::embedding::{Allowance, RateLimits};

/// `retry-after-ms`, or `Retry-After` as seconds or as a date.
/// `Retry-After: 7`, `Retry-After: 0.5` and `Retry-After: Wed, 21 Oct 2026 07:28:00 GMT` are all in
/// use. The one in milliseconds wins, since it is the finer of the two. A date that has passed is a
/// pause of zero.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(ms) = number::<f64>(headers, "retry-after-ms") {
        return Duration::try_from_secs_f64(ms / 1_000.0).ok();
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    until(text, SystemTime::now())
}

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as OpenAI and many others send them.
/// For example `x-ratelimit-limit-tokens: 1000000`, `x-ratelimit-remaining-tokens: 999000` and
/// `x-ratelimit-reset-tokens: 6m0s`. They come with refusals as well as with vectors.
pub(crate) fn rate_limits(headers: &HeaderMap) -> RateLimits {
    RateLimits { requests: allowance(headers, "requests"), tokens: allowance(headers, "tokens") }
}

/// One limit. Without a reset time it is taken to be per minute.
/// `of` is `requests` or `tokens`. `None` unless the service sends both the limit and what is left,
/// or if the limit is zero.
fn allowance(headers: &HeaderMap, of: &str) -> Option<Allowance> {
    let limit = number(headers, &format!("x-ratelimit-limit-{of}"))?;
    let remaining = number(headers, &format!("x-ratelimit-remaining-{of}"))?;
    let reset = headers.get(format!("x-ratelimit-reset-{of}")).and_then(|text| text.to_str().ok());
    let reset = reset.and_then(|text| until(text, SystemTime::now()));
    let reset = reset.unwrap_or(Duration::from_mins(1));
    (limit > 0).then_some(Allowance { limit, remaining, reset })
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Time left: given as a duration, or as the end itself: seconds or milliseconds since 1970, or a
/// date.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    /// Longer than any limit lasts, in seconds: a larger number is a time since 1970.
    const EPOCH: f64 = 1e8;
    let since_1970 = |seconds: f64| {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        Some(at.duration_since(now).unwrap_or_default())
    };
    match text.trim().parse::<f64>() {
        Ok(number) if number > EPOCH * 1_000.0 => since_1970(number / 1_000.0),
        Ok(number) if number > EPOCH => since_1970(number),
        Ok(_) => duration(text),
        Err(_) => {
            duration(text).or_else(|| Some(date(text)?.duration_since(now).unwrap_or_default()))
        }
    }
}

/// A date in HTTP or RFC 3339 format.
fn date(text: &str) -> Option<SystemTime> {
    let stamp = || text.trim().parse::<jiff::Timestamp>().ok().map(SystemTime::from);
    httpdate::parse_http_date(text.trim()).ok().or_else(stamp)
}

/// `6m0s`, `1.5s`, `20ms`, `1d`, or seconds. A day has 24 hours: a service's clock knows no zones.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Duration::ZERO);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    length.try_into().ok()
}

/// Reads a header's value as each of those above, for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn read_every_way(value: &[u8]) {
    use reqwest::header::{HeaderName, HeaderValue};

    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let headers = |names: &[&'static str], value: &HeaderValue| -> HeaderMap {
        names.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect()
    };
    let counts = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"];
    let times = ["retry-after", "x-ratelimit-reset-tokens"];
    rate_limits(&headers(&counts, &value));
    retry_after(&headers(&["retry-after-ms"], &value));
    let mut all = headers(&counts, &HeaderValue::from_static("9"));
    all.extend(headers(&times, &value));
    retry_after(&all);
    rate_limits(&all);
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let after = |text: &str| retry_after(&headers(&[("retry-after", text)]));
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("0.5"), Some(Duration::from_millis(500)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let wait = after(&date).unwrap();
        assert!((90..=100).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(after("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        for bad in ["soon", "-1", "NaN"] {
            assert_eq!(after(bad), None, "{bad}");
        }
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "250")]);
        assert_eq!(retry_after(&both), Some(Duration::from_millis(250)));
    }

    #[test]
    fn times_are_read_as_services_write_them() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("6m0s", 360_000),
            ("20ms", 20),
            ("1.5s", 1_500),
            ("2m59.56s", 179_560),
            ("1h1m", 3_660_000),
            ("59", 59_000),
            ("", 0),
        ] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for bad in ["soon", "1x", "-1s", "s", "1s1", "é", "9999999999999999d"] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_reset_is_read_as_a_duration_or_as_a_moment() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(490_000);
        let seconds = |text| until(text, now).map(|left| left.as_secs());
        for text in ["30", "30s", "1764000030", "1764000030000", "2025-11-24T16:00:30Z"] {
            assert_eq!(seconds(text), Some(30), "{text}");
        }
        assert_eq!(seconds("1763999999"), Some(0), "it is over");
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn limits_need_a_limit_and_what_is_left() {
        let says = rate_limits(&headers(&[
            ("x-ratelimit-limit-requests", "3000"),
            ("x-ratelimit-remaining-requests", "2999"),
            ("x-ratelimit-reset-requests", "20ms"),
            ("x-ratelimit-remaining-tokens", "10"),
        ]));
        let reset = Duration::from_millis(20);
        assert_eq!(says.requests, Some(Allowance { limit: 3_000, remaining: 2_999, reset }));
        assert_eq!(says.tokens, None);
    }
}
