//! The kinds of settings: how each keeps its value, and what Redis may put into it.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis_module::configuration::ConfigurationContext;
use redis_module::{ConfigurationValue, RedisError, RedisString};

use crate::error::Error;

/// A whole number within bounds.
pub(super) struct IntSetting {
    pub(super) name: &'static str,
    pub(super) default: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) env: Option<&'static str>,
    pub(super) value: AtomicI64,
}

/// Yes or no.
pub(super) struct BoolSetting {
    pub(super) name: &'static str,
    pub(super) default: bool,
    pub(super) value: AtomicBool,
}

/// A text that has to pass a check.
pub(super) struct StringSetting {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) env: Option<&'static str>,
    /// Changing it can send the data, or the key, elsewhere.
    pub(super) protected: bool,
    pub(super) check: fn(&'static str, &str) -> Result<(), Error>,
    pub(super) value: Mutex<String>,
}

pub(super) const fn integer(name: &'static str, default: i64, min: i64, max: i64) -> IntSetting {
    IntSetting { name, default, min, max, env: None, value: AtomicI64::new(default) }
}

pub(super) const fn boolean(name: &'static str) -> BoolSetting {
    BoolSetting { name, default: true, value: AtomicBool::new(true) }
}

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
    pub(super) const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }
}

impl StringSetting {
    pub(super) const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    pub(super) const fn protected(mut self) -> Self {
        self.protected = true;
        self
    }
}

impl IntSetting {
    pub(super) fn read(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    pub(super) fn unsigned(&self) -> usize {
        usize::try_from(self.read()).unwrap_or(0)
    }

    pub(super) fn small(&self) -> u32 {
        u32::try_from(self.read()).unwrap_or(u32::MAX)
    }

    pub(super) fn duration(&self, unit: Duration) -> Option<Duration> {
        let value = self.small();
        (value > 0).then(|| unit.saturating_mul(value))
    }

    pub(super) fn parse(&self, value: &str) -> Result<i64, Error> {
        let number = i64::from_str(value.trim()).ok();
        number.filter(|number| (self.min..=self.max).contains(number)).ok_or_else(|| {
            let expected = format!("a whole number from {} to {}", self.min, self.max);
            Error::setting(self.name, value, expected)
        })
    }
}

impl StringSetting {
    pub(super) fn clear(&self) {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

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
        // `RedisString::create` ends the process at a NUL byte.
        RedisString::create_from_slice(std::ptr::null_mut(), self.read().as_bytes())
    }

    fn set(&self, _: &ConfigurationContext, value: RedisString) -> Result<(), RedisError> {
        let refused = |e: &dyn std::fmt::Display| RedisError::String(e.to_string());
        if value.as_slice().contains(&0) {
            // Not repeated in the refusal, which is a C string as well.
            return Err(RedisError::String(format!("vectorfill.{}: no NUL byte", self.name)));
        }
        let text = value.try_as_str().map_err(|e| refused(&e))?;
        (self.check)(self.name, text).map_err(|e| refused(&e))?;
        text.clone_into(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

pub(super) fn yes_or_no(name: &str, value: &str) -> Result<bool, Error> {
    match value.to_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Error::setting(name, value, "yes or no")),
    }
}
