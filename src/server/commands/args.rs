//! The arguments of a command, read from the front.
//!
//! Words are compared without regard to case; values are taken as they are, so they may hold any
//! bytes. Nothing is copied until a value is parsed.

use std::ops::RangeInclusive;

use redis_module::{RedisError, RedisString};

use crate::server::commands::error;

/// What has not been read yet.
#[derive(Debug)]
pub(super) struct Args<'a> {
    rest: &'a [RedisString],
    syntax: &'static str,
}

impl<'a> Args<'a> {
    /// All arguments after the command's name; `syntax` goes into the error for a malformed
    /// command.
    pub(super) fn new(args: &'a [RedisString], syntax: &'static str) -> Self {
        Self { rest: args.get(1..).unwrap_or_default(), syntax }
    }

    /// The next argument, which is required.
    pub(super) fn next(&mut self) -> Result<&'a RedisString, RedisError> {
        self.take().map_or_else(|| self.refuse(), Ok)
    }

    /// The next argument, if there is one.
    pub(super) fn take(&mut self) -> Option<&'a RedisString> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Whether the next argument is this word, ignoring case; consumes it if so.
    pub(super) fn flag(&mut self, word: &str) -> bool {
        let is = |arg: &&RedisString| arg.as_slice().eq_ignore_ascii_case(word.as_bytes());
        let found = self.rest.first().is_some_and(|arg| is(&arg));
        if found {
            self.take();
        }
        found
    }

    /// The argument after this word, if the word is next.
    pub(super) fn option(&mut self, word: &str) -> Result<Option<&'a RedisString>, RedisError> {
        if self.flag(word) { self.next().map(Some) } else { Ok(None) }
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [RedisString] {
        std::mem::take(&mut self.rest)
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Rejects left-over arguments.
    pub(super) fn end(&self) -> Result<(), RedisError> {
        if self.rest.is_empty() { Ok(()) } else { self.refuse() }
    }

    /// The error reply that states the command's syntax.
    pub(super) fn refuse<T>(&self) -> Result<T, RedisError> {
        error("ERR", format_args!("syntax: {}", self.syntax))
    }
}

/// A whole number within bounds; `what` names it in the error.
pub(super) fn number(
    what: &str,
    arg: &RedisString,
    bounds: RangeInclusive<usize>,
) -> Result<usize, RedisError> {
    let number = arg.to_string_lossy().parse().ok().filter(|number| bounds.contains(number));
    let (min, max) = bounds.into_inner();
    number.map_or_else(
        || error("ERR", format_args!("{what} '{arg}': a whole number from {min} to {max}")),
        Ok,
    )
}
