//! **Where the server is held.** The only file that makes a [`Hold`], and the only path to the
//! engine.
//!
//! A hold is a turn on the main thread: a posted job ([`post`]), or a client's command. Since
//! 4.18.11 and 4.20.0 the engine takes the server's lock itself when called on any other thread, so
//! a worker that already holds the lock would deadlock the server.

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis_module::{Context, ContextFlags, Status};

use crate::engine::words;
use crate::entity::GraphName;
use crate::fill::port::fault::StoreFault;
use crate::server::events;
use crate::server::ffi::call::{Mode, Receiver, Reply};
use crate::server::ffi::hash::Pair;
use crate::server::ffi::post::Refusal;
use crate::server::ffi::{call, hash, post};
use crate::server::handle::guarded;

/// A job that has waited longer is not run: its poster has given up, or soon will.
const EXPIRY: Duration = Duration::from_secs(50);

/// Jobs that have not run and queries not yet answered: each is a callback into this library.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Whether the server or the engine still holds callbacks into this library.
pub(in crate::server) fn is_pending() -> bool {
    PENDING.load(Ordering::SeqCst) > 0
}

/// Counts one outstanding callback.
struct Pending;

impl Pending {
    fn new() -> Self {
        PENDING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Proof that this is the main thread and nothing else runs. Whatever needs that takes a `Hold`.
pub(in crate::server) struct Hold<'a>(&'a Context);

/// Runs `work` on the main thread, once, with a hold or the reason there is none. Drops it uncalled
/// if the server does not accept jobs.
pub(in crate::server) fn post(work: impl FnOnce(Result<Hold<'_>, StoreFault>) + Send + 'static) {
    let (pending, since) = (Pending::new(), Instant::now());
    post::post(Box::new(move |held| {
        let _pending = pending;
        match held {
            Err(Refusal::Loading) => work(Err(StoreFault::Loading)),
            Ok(_) if since.elapsed() > EXPIRY => work(Err(StoreFault::NoReply)),
            Ok(ctx) => {
                events::started();
                work(Ok(Hold(ctx)));
            }
        }
    }));
}

/// Runs `work` once the command, the transaction or the script that is running has ended; what it
/// writes reaches the AOF and replicas together with that. Returns whether it will run: it does not
/// on a replica, which repeats what its master writes, nor while the server loads.
pub(in crate::server) fn at_end_of_command(
    ctx: &Context,
    work: impl FnOnce(&Hold<'_>) + 'static,
) -> bool {
    let flags = ctx.get_flags();
    // Redis would refuse the job, and it would never be freed.
    if !flags.contains(ContextFlags::MASTER)
        || flags.intersects(ContextFlags::LOADING | ContextFlags::ASYNC_LOADING)
    {
        return false;
    }
    let work = move |ctx: &Context| guarded((), || work(&Hold(ctx)));
    ctx.add_post_notification_job(work) == Status::Ok
}

impl<'a> Hold<'a> {
    /// The hold of a running command.
    pub(in crate::server) fn of_command(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// The context for calling the server.
    pub(super) fn server(&self) -> &Context {
        self.0
    }

    /// Calls a command inline.
    pub(in crate::server) fn call(
        &self,
        mode: Mode,
        command: &CStr,
        args: &[&[u8]],
    ) -> Result<Reply, StoreFault> {
        let reply = call::call(self.0, mode, command, args).ok_or(StoreFault::NoReply)?;
        match reply.error() {
            Some(error) => Err(words::fault(error)),
            None => Ok(reply),
        }
    }

    /// The fields of a hash, about `max` of them at most.
    pub(in crate::server) fn hash(&self, key: &str, max: usize) -> Vec<Pair> {
        hash::read(self.0, key.as_bytes(), max)
    }

    /// Checks whether Redis would let a script write to this key; nothing is executed.
    pub(super) fn check_write(&self, key: &GraphName) -> Result<(), StoreFault> {
        let args: [&[u8]; 3] = [key.as_str().as_bytes(), b"0", b""];
        let refusal = call::call(self.0, Mode::Checked, c"SETRANGE", &args);
        match refusal.as_ref().and_then(Reply::error) {
            Some(error) => Err(words::fault(error)),
            None => Ok(()),
        }
    }

    /// Starts a read-only query on the engine's own threads; `receive` gets the reply on the main
    /// thread.
    pub(super) fn query_on_pool(
        &self,
        mode: Mode,
        args: &[&[u8]],
        receive: impl FnOnce(Option<Reply>) + 'static,
    ) {
        let pending = Pending::new();
        let receive: Receiver = Box::new(move |reply| {
            let _pending = pending;
            receive(reply);
        });
        call::call_later(self.0, mode, c"GRAPH.RO_QUERY", args, receive);
    }

    /// Has the engine plan a query without running it; fails with the engine's words.
    pub(in crate::server) fn explain(
        &self,
        graph: &GraphName,
        query: &[u8],
    ) -> Result<(), StoreFault> {
        self.call(Mode::Inline, c"GRAPH.EXPLAIN", &[graph.as_str().as_bytes(), query]).map(drop)
    }

    /// Checks that the key holds a graph; the error may also be why that is unknown, such as a
    /// cluster that is down. We ask the server, because the engine would load a graph that is
    /// swapped out and create a missing one.
    pub(in crate::server) fn find_graph(&self, graph: &GraphName) -> Result<(), StoreFault> {
        let reply = self.call(Mode::Inline, c"TYPE", &[graph.as_str().as_bytes()])?;
        if reply.proto() == b"+graphdata\r\n" { Ok(()) } else { Err(StoreFault::NoGraph) }
    }
}
