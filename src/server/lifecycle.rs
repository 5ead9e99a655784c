//! Loading and unloading.

use std::sync::PoisonError;
use std::time::Duration;

use redis_module::{AclCategory, Context, RedisString, Status};

use crate::error::Error;
use crate::server::handle::{WORKER, guarded};
use crate::server::{config, ffi, graph, own};
use crate::worker::{Config, Worker};

/// How long UNLOAD waits for the worker to end; the server blocks meanwhile.
const STOP_LIMIT: Duration = Duration::from_millis(100);

/// The most wrong definitions that are logged.
const MAX_WARNINGS: usize = 20;

/// The ACL category of all commands, unless it already exists.
pub(crate) fn acl_category() -> AclCategory {
    const NAME: &str = "vectorfill";
    if guarded(false, || ffi::category_exists(NAME)) {
        AclCategory::None
    } else {
        AclCategory::Single(NAME.to_owned())
    }
}

/// The oldest Redis that falkordb.so loads into: 8.0.0.
const OLDEST_SERVER: i32 = 0x08_00_00;

/// Checks the server before anything is registered with it: redis-module calls functions that older
/// servers lack, which would crash them.
#[derive(Debug)]
pub(crate) struct Gate;

impl Gate {
    /// `redis_module!` calls this for each of its data types before anything else; an error aborts
    /// the load.
    pub(crate) fn create_data_type(
        &self,
        ctx: *mut redis_module::raw::RedisModuleCtx,
    ) -> Result<(), ()> {
        let Self = self;
        let version = ffi::server_version().unwrap_or(0);
        let lacks = ffi::missing_function();
        if version >= OLDEST_SERVER && lacks.is_none() {
            return Ok(());
        }
        let lacks = lacks.map_or_else(String::new, |name| format!(", without RedisModule_{name}"));
        let (major, minor, patch) = (version >> 16, version >> 8 & 0xff, version & 0xff);
        Context::new(ctx).log_warning(&format!(
            "vectorfill needs Redis 8.0 or later, as FalkorDB does: this server is \
             {major}.{minor}.{patch}{lacks}"
        ));
        Err(())
    }
}

/// Called by Redis when the module is loaded.
///
/// A setting that is wrong aborts the load with one line in the log. A wrong definition does not:
/// it is logged and left out.
pub(crate) fn init(ctx: &Context, args: &[RedisString]) -> Status {
    guarded(Status::Err, || match load(ctx, args) {
        Ok(()) => Status::Ok,
        Err(reason) => {
            ctx.log_warning(&reason.replace('%', "%%"));
            Status::Err
        }
    })
}

/// The order counts: settings before the definitions that are read by them, and the worker last, so
/// that a load that fails leaves no thread behind.
fn load(ctx: &Context, args: &[RedisString]) -> Result<(), String> {
    ffi::post::bind(ctx);
    config::register(ctx, args).map_err(|e| e.to_string())?;
    if !ffi::load_configs(ctx) {
        return Err("a vectorfill.* setting in the configuration is not allowed".into());
    }
    if !ffi::watch_commands(ctx) {
        return Err("this server cannot register a command filter".into());
    }
    if !ffi::removed::watch(ctx) {
        return Err("this server does not tell of keys that are removed".into());
    }
    warn_of(ctx, &config::load_definitions());
    let current = config::read().map_err(|e| e.to_string())?;
    let store = Box::new(graph::Engine::new());
    let worker = Worker::start(Config::clone(&current), store).map_err(|e| e.to_string())?;
    *WORKER.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
    own::find();
    Ok(())
}

/// Logs what is wrong with the definitions: one line each, so that nobody has to mend them one by
/// one.
fn warn_of(ctx: &Context, errors: &[Error]) {
    for error in errors.iter().take(MAX_WARNINGS) {
        let words = format!("vectorfill ignores a definition: {error}");
        ctx.log_warning(&words.replace('%', "%%"));
    }
    if let Some(more @ 1..) = errors.len().checked_sub(MAX_WARNINGS) {
        ctx.log_warning(&format!("vectorfill ignores {more} more definitions"));
    }
}

/// Called by Redis on UNLOAD. Refused while the worker is busy: the engine's threads hold callbacks
/// into this library.
pub(crate) fn deinit(ctx: &Context) -> Status {
    guarded(Status::Err, || {
        if graph::hold::is_pending() {
            ctx.log_warning("vectorfill waits for queries of its own and cannot be unloaded now");
            return Status::Err;
        }
        if graph::clients_on_io_threads(ctx) {
            ctx.log_warning(
                "vectorfill cannot be unloaded while io-threads is above 1 and clients are \
                 connected: Redis' own threads may hold their commands, and would crash. Restart the \
                 server without the module instead",
            );
            return Status::Err;
        }
        let mut slot = WORKER.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(worker) = slot.take() else { return Status::Ok };
        match worker.stop(STOP_LIMIT) {
            Ok(()) => Status::Ok,
            Err(worker) => {
                *slot = Some(worker);
                ctx.log_warning(
                    "vectorfill is filling and cannot be unloaded now: CONFIG SET \
                     vectorfill.enabled no, wait for state 'disabled' in VECTORFILL.STATUS, and \
                     unload again",
                );
                Status::Err
            }
        }
    })
}
