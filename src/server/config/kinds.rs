//! The kinds of settings: how each stores its value, and which values it accepts from Redis.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis_module::configuration::ConfigurationContext;
use redis_module::{ConfigurationValue, RedisError, RedisString};

use crate::error::Error;
use crate::rule::definition::{Given, refusal};

/// A whole number within inclusive bounds.
pub(super) struct IntSetting {
    /// Its name without the module's prefix.
    pub(super) name: &'static str,
    /// The default in the table.
    pub(super) default: i64,
    /// The smallest valid value.
    pub(super) min: i64,
    /// The largest valid value.
    pub(super) max: i64,
    /// The environment variable that overrides the default.
    pub(super) env: Option<&'static str>,
    /// The current value.
    pub(super) value: AtomicI64,
}

/// Yes or no.
pub(super) struct BoolSetting {
    /// Its name without the module's prefix.
    pub(super) name: &'static str,
    /// The default in the table.
    pub(super) default: bool,
    /// The current value.
    pub(super) value: AtomicBool,
}

/// A string that must pass a check.
pub(super) struct StringSetting {
    /// Its name without the module's prefix.
    pub(super) name: &'static str,
    /// The default in the table.
    pub(super) default: &'static str,
    /// The environment variable that overrides the default.
    pub(super) env: Option<&'static str>,
    /// Changing it can send the data or the key elsewhere, so CONFIG SET needs
    /// `enable-protected-configs`.
    pub(super) protected: bool,
    /// Rejects invalid values; gets the setting's name for the error.
    pub(super) check: fn(&'static str, &str) -> Result<(), Error>,
    /// The current value; empty until registered.
    pub(super) value: Mutex<String>,
}

/// A number with its default and inclusive bounds.
pub(super) const fn integer(name: &'static str, default: i64, min: i64, max: i64) -> IntSetting {
    IntSetting { name, default, min, max, env: None, value: AtomicI64::new(default) }
}

/// A switch that is on by default.
pub(super) const fn boolean(name: &'static str) -> BoolSetting {
    BoolSetting { name, default: true, value: AtomicBool::new(true) }
}

/// A string whose every new value must pass `check`.
pub(super) const fn string(
    name: &'static str,
    default: &'static str,
    check: fn(&'static str, &str) -> Result<(), Error>,
) -> StringSetting {
    StringSetting {
        name,
        default,
        env: None,
        protected: false,
        check,
        value: Mutex::new(String::new()),
    }
}

impl IntSetting {
    /// Takes the default from this environment variable, where it is set.
    pub(super) const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }
}

impl StringSetting {
    /// Takes the default from this environment variable, where it is set.
    pub(super) const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// Marks the setting as protected.
    pub(super) const fn protected(mut self) -> Self {
        self.protected = true;
        self
    }
}

impl IntSetting {
    /// The current value.
    pub(super) fn read(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    /// The value as a size; negative values become 0.
    pub(super) fn unsigned(&self) -> usize {
        usize::try_from(self.read()).unwrap_or(0)
    }

    /// The value as a `u32`; values that do not fit become `u32::MAX`.
    pub(super) fn small(&self) -> u32 {
        u32::try_from(self.read()).unwrap_or(u32::MAX)
    }

    /// This many `unit`s; `None` = 0, which switches the setting off.
    ///
    /// Saturates, so that no value overflows.
    pub(super) fn duration(&self, unit: Duration) -> Option<Duration> {
        let value = self.small();
        (value > 0).then(|| unit.saturating_mul(value))
    }

    /// Parses a value given as text, and checks the bounds.
    pub(super) fn parse(&self, value: &str) -> Result<i64, Error> {
        i64::from_str(value.trim()).ok().filter(|number| self.allows(*number)).ok_or_else(|| {
            let expected = format!("a whole number from {} to {}", self.min, self.max);
            Error::setting(self.name, value, expected)
        })
    }

    /// A number that a definition gives for this setting, under the name of its keyword; `None` =
    /// it gives none, so it is the default.
    ///
    /// The error names the place where the number stands.
    pub(super) fn defined(&self, keyword: &str, number: Option<&Given<i64>>) -> Result<i64, Error> {
        let Some(Given { value, place }) = number else { return Ok(self.default) };
        if self.allows(*value) {
            return Ok(*value);
        }
        let expected = format!("{keyword}: a whole number from {} to {}", self.min, self.max);
        Err(refusal(place, &value.to_string(), expected))
    }

    fn allows(&self, number: i64) -> bool {
        (self.min..=self.max).contains(&number)
    }
}

impl StringSetting {
    /// Forgets the value of an earlier load.
    pub(super) fn clear(&self) {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A copy of the current value.
    pub(super) fn read(&self) -> String {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ConfigurationValue<i64> for IntSetting {
    fn get(&self, _: &ConfigurationContext) -> i64 {
        self.read()
    }

    fn set(&self, _: &ConfigurationContext, value: i64) -> Result<(), RedisError> {
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }
}

impl ConfigurationValue<bool> for BoolSetting {
    fn get(&self, _: &ConfigurationContext) -> bool {
        self.value.load(Ordering::Relaxed)
    }

    fn set(&self, _: &ConfigurationContext, value: bool) -> Result<(), RedisError> {
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }
}

impl ConfigurationValue<RedisString> for StringSetting {
    fn get(&self, _: &ConfigurationContext) -> RedisString {
        // `RedisString::create` aborts the process on a NUL byte.
        RedisString::create_from_slice(std::ptr::null_mut(), self.read().as_bytes())
    }

    fn set(&self, _: &ConfigurationContext, value: RedisString) -> Result<(), RedisError> {
        let refused = |e: &dyn std::fmt::Display| RedisError::String(e.to_string());
        if value.as_slice().contains(&0) {
            // The value is not quoted in the error, which is a C string too.
            return Err(RedisError::String(format!("vectorfill.{}: no NUL byte", self.name)));
        }
        let text = value.try_as_str().map_err(|e| refused(&e))?;
        (self.check)(self.name, text).map_err(|e| refused(&e))?;
        text.clone_into(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// Parses a switch given as text; case does not matter.
pub(super) fn yes_or_no(name: &str, value: &str) -> Result<bool, Error> {
    match value.to_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Error::setting(name, value, "yes or no")),
    }
}
