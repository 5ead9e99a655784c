//! Registers the settings with Redis, and reacts when one is changed.

use std::sync::PoisonError;

use redis_module::configuration::{
    ConfigurationContext, ConfigurationFlags, register_bool_configuration,
    register_i64_configuration, register_string_configuration,
};
use redis_module::{Context, RedisString};

use crate::error::Error;
use crate::server::config::kinds::{BoolSetting, IntSetting, StringSetting, yes_or_no};
use crate::server::config::{BOOLS, INTS, STRINGS, changed};

/// Registers all settings. Defaults come from the loadmodule arguments, else the environment, else
/// the table; redis.conf and CONFIG SET override them.
///
/// Fails with the first argument, variable or default that is not valid; the load is aborted then.
/// A loadmodule argument without a value, or for no known setting, is an error, too.
///
/// ```text
/// loadmodule libvectorfill.so interval 60 graphs "kb docs-*"
/// ```
pub(in crate::server) fn register(ctx: &Context, args: &[RedisString]) -> Result<(), Error> {
    let args = pairs(args)?;
    // Statics survive UNLOAD and LOAD: old values must not clash with new ones.
    for setting in STRINGS {
        setting.clear();
    }
    for setting in INTS {
        let default = match default_text(setting.name, setting.env, &args) {
            Some(text) => setting.parse(&text)?,
            None => setting.default,
        };
        let (name, flags) = (setting.name, ConfigurationFlags::DEFAULT);
        let changed = Some(Box::new(on_integer) as Box<_>);
        let (min, max) = (setting.min, setting.max);
        register_i64_configuration(ctx, name, setting, default, min, max, flags, changed);
    }
    for setting in BOOLS {
        let default = match default_text(setting.name, None, &args) {
            Some(text) => yes_or_no(setting.name, &text)?,
            None => setting.default,
        };
        let (name, flags) = (setting.name, ConfigurationFlags::DEFAULT);
        register_bool_configuration(ctx, name, setting, default, flags, Some(Box::new(on_switch)));
    }
    for setting in STRINGS {
        let default = default_text(setting.name, setting.env, &args);
        let default = default.as_deref().unwrap_or(setting.default);
        (setting.check)(setting.name, default)?;
        default.clone_into(&mut setting.value.lock().unwrap_or_else(PoisonError::into_inner));
        let mut flags = ConfigurationFlags::DEFAULT;
        if setting.protected {
            flags |= ConfigurationFlags::PROTECTED;
        }
        let changed = Some(Box::new(on_word) as Box<_>);
        register_string_configuration(ctx, setting.name, setting, default, flags, changed);
    }
    Ok(())
}

/// The loadmodule arguments: `name value` pairs of known settings.
fn pairs(args: &[RedisString]) -> Result<Vec<(String, String)>, Error> {
    let known = |name: &str| {
        INTS.iter().any(|s| s.name == name)
            || BOOLS.iter().any(|s| s.name == name)
            || STRINGS.iter().any(|s| s.name == name)
    };
    args.chunks(2)
        .map(|pair| {
            let mut pair = pair.iter().map(RedisString::to_string_lossy);
            let (name, value) = (pair.next().unwrap_or_default().to_lowercase(), pair.next());
            let value = value.ok_or_else(|| Error::setting(&name, "", "name value pairs"))?;
            if known(&name) {
                Ok((name, value))
            } else {
                Err(Error::setting(&name, &value, "there is no such setting"))
            }
        })
        .collect()
}

/// The later of two arguments for the same setting wins, as in redis.conf.
///
/// An empty environment variable counts as unset: container files often define such.
fn default_text(name: &str, env: Option<&str>, args: &[(String, String)]) -> Option<String> {
    let argument = args.iter().rev().find(|(known, _)| known == name);
    let variable = || std::env::var(env?).ok().filter(|value| !value.is_empty());
    argument.map(|(_, value)| value.clone()).or_else(variable)
}

fn on_integer(_: &ConfigurationContext, _: &str, _: &'static IntSetting) {
    changed();
}

fn on_switch(_: &ConfigurationContext, _: &str, _: &'static BoolSetting) {
    changed();
}

fn on_word(_: &ConfigurationContext, _: &str, _: &'static StringSetting) {
    changed();
}
