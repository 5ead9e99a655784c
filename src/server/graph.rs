//! The engine: GRAPH.* calls. **The only file that takes the GIL.**
//!
//! Reads run on the engine's own threads (`K`): the GIL is held for the call only, and the answer
//! comes on the main thread. Writes run inline, in one hold with everything that allows them
//! ([`write`]). A write that the engine commits on another thread later can meet a CLIENT PAUSE or a
//! failover in between, which ends the server; and it would wait for the graph's readers with the GIL
//! in hand.

pub(super) mod ask;
mod checks;
pub(super) mod effect;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use crossbeam_channel::Sender;
use redis_module::logging::RedisLogLevel;
use redis_module::{
    BlockingCallOptions, CallOptionResp, CallOptions, CallOptionsBuilder, CallReply, CallResult,
    Context, DetachedContext, DetachedContextGuard, PromiseCallReply, RedisError,
};

use checks::{fault_of, server_lets_fill};

use super::reply::{self, Node};
use super::{events, guarded};
use crate::fill::event::{ServerState, Survey};
use crate::fill::fault::StoreFault;
use crate::fill::node::GraphName;
use crate::fill::store::{Read, Write, Written};
use crate::inject::{Point, reached};
use crate::worker::{Answered, Level, Store};

/// What `TYPE` says of a graph.
const GRAPH_TYPE: &[u8] = b"graphdata";
/// The engine's module name.
const ENGINE_MODULE: &[u8] = b"graph";

/// Queries whose answer has yet to come: each holds a callback into this library.
static READS: AtomicUsize = AtomicUsize::new(0);

/// Whether the engine still holds callbacks into this library.
pub(super) fn is_reading() -> bool {
    READS.load(Ordering::SeqCst) > 0
}

/// The context of the module as it is loaded now: a client's own knows no module, and a call that
/// does not wait needs one.
static CONTEXT: ArcSwapOption<DetachedContext> = ArcSwapOption::const_empty();

/// The engine, from the worker's side.
pub(super) struct Engine {
    ctx: Arc<DetachedContext>,
    inline: CallOptions,
    write: CallOptions,
    /// As a script's: checks what Redis checks before anybody's write.
    checked: CallOptions,
    pool: BlockingCallOptions,
    commands_seen: AtomicU64,
    /// Whether the engine's effects are known, as the last survey tells.
    effects: AtomicBool,
}

/// Proof that the server is held: what needs it, takes it.
struct Gil(DetachedContextGuard);

impl Engine {
    /// An own context and not the library's static one: that would point to a freed module after
    /// UNLOAD and LOAD.
    pub(super) fn new(ctx: &Context) -> Result<Self, RedisError> {
        let detached = DetachedContext::new();
        detached.set_context(ctx)?;
        let detached = Arc::new(detached);
        CONTEXT.store(Some(Arc::clone(&detached)));
        let options = || CallOptionsBuilder::new().errors_as_replies().resp(CallOptionResp::Resp2);
        Ok(Self {
            ctx: detached,
            inline: options().build(),
            // Without `replicate` Redis drops what the engine itself replicates inside the call: the
            // vectors would reach neither the AOF nor a replica.
            write: options().verify_oom().replicate().build(),
            checked: options().script_mode().verify_oom().build(),
            pool: options().build_blocking(),
            commands_seen: AtomicU64::new(0),
            effects: AtomicBool::new(false),
        })
    }

    /// **Where the GIL is taken.** Waits for the main thread, which gives it up once a turn.
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    fn hold(&self) -> Gil {
        Gil(self.ctx.lock())
    }

    /// Calls a command in this hold.
    fn call(
        &self,
        gil: &Gil,
        command: &str,
        args: &[&[u8]],
    ) -> Result<CallReply<'static>, StoreFault> {
        self.call_with(gil, &self.inline, command, args)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place")]
    #[expect(clippy::unused_self, reason = "only an engine calls")]
    fn call_with(
        &self,
        gil: &Gil,
        options: &CallOptions,
        command: &str,
        args: &[&[u8]],
    ) -> Result<CallReply<'static>, StoreFault> {
        let result: CallResult<'static> = gil.0.call_ext(command, options, args);
        result.map_err(|error| fault_of(&error))
    }

    fn list(&self, gil: &Gil) -> Result<Vec<GraphName>, StoreFault> {
        Ok(names(&Node::from(Ok(self.call(gil, "GRAPH.LIST", &[])?))))
    }

    fn engine_version(&self, gil: &Gil) -> Option<i64> {
        let reply = Node::from(Ok(self.call(gil, "MODULE", &[b"LIST"]).ok()?));
        reply::module_version(&reply, ENGINE_MODULE)
    }

    fn most_rows(&self, gil: &Gil) -> Option<usize> {
        let reply = self.call(gil, "GRAPH.CONFIG", &[b"GET", b"RESULTSET_SIZE"]).ok()?;
        let value = Node::from(Ok(reply)).items().get(1)?.integer()?;
        // The engine says -1 for "no limit".
        usize::try_from(value).ok()
    }

    fn try_survey(&self, gil: &Gil) -> Result<Survey, StoreFault> {
        server_lets_fill(&gil.0)?;
        let version = self.engine_version(gil);
        self.effects.store(version.is_some_and(effect::is_known), Ordering::Relaxed);
        Ok(Survey {
            server: ServerState::Ready,
            graphs: self.list(gil)?,
            engine: version.map(version_name),
            most_rows: self.most_rows(gil),
        })
    }
}

impl Store for Engine {
    fn survey(&self) -> Survey {
        let gil = self.hold();
        self.try_survey(&gil)
            .unwrap_or_else(|fault| Survey { server: (&fault).into(), ..Survey::default() })
    }

    fn read(&self, read: Read, answers: Sender<Answered>) {
        let cypher = read.cypher();
        let args: [&[u8]; 2] = [read.graph.as_str().as_bytes(), &cypher];
        let answer = move |result: CallResult<'static>| {
            let outcome = guarded(Err(StoreFault::NoReply), || {
                reached(Point::Reply);
                let reply = result.map_err(|error| fault_of(&error))?;
                reply::answer(&read.query, &Node::from(Ok(reply)))
            });
            // The channel holds more than there can be in flight; when it is gone, the worker is.
            answers.try_send((read.ticket, outcome)).ok();
        };
        let gil = self.hold();
        query_on_pool(&gil.0, &self.pool, &args, answer);
    }

    fn write(&self, write: &Write) -> Result<Written, StoreFault> {
        let call = self.prepare(write);
        let commands = events::commands();
        let contended = self.commands_seen.swap(commands, Ordering::Relaxed) != commands;
        let gil = self.hold();
        let begun = Instant::now();
        self.may_write(&gil, write)?;
        let ids = self.carry_out(&gil, write, &call)?;
        drop(gil);
        Ok(Written { ids, held: begun.elapsed(), contended })
    }

    fn log(&self, level: Level, line: &str) {
        let level = match level {
            Level::Notice => RedisLogLevel::Notice,
            Level::Warning => RedisLogLevel::Warning,
        };
        self.ctx.log(level, line);
    }
}

/// Has the engine run a read-only query on its own threads, and `answer` take the reply on the main
/// thread. The caller holds the GIL.
#[expect(clippy::disallowed_methods, reason = "the one place")]
fn query_on_pool(
    ctx: &DetachedContextGuard,
    options: &BlockingCallOptions,
    args: &[&[u8]],
    answer: impl FnOnce(CallResult<'static>),
) {
    match ctx.call_blocking("GRAPH.RO_QUERY", options, args) {
        PromiseCallReply::Resolved(result) => answer(result),
        PromiseCallReply::Future(future) => {
            READS.fetch_add(1, Ordering::SeqCst);
            future
                .set_unblock_handler(move |_: &Context, result: CallResult<'static>| {
                    READS.fetch_sub(1, Ordering::SeqCst);
                    answer(result);
                })
                // Gives up only the right to abort the query.
                .dispose(ctx);
        }
    }
}

/// Whether the key holds a graph. The caller holds the GIL.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(super) fn is_graph(ctx: &Context, graph: &GraphName) -> bool {
    let options = CallOptionsBuilder::new().errors_as_replies().build();
    let reply: CallResult<'static> =
        ctx.call_ext("TYPE", &options, [graph.as_str().as_bytes()].as_slice());
    reply.is_ok_and(|reply| reply::bytes(&reply).as_deref() == Some(GRAPH_TYPE))
}

/// All graphs there are. The caller holds the GIL.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(super) fn graphs(ctx: &Context) -> Vec<GraphName> {
    let options = CallOptionsBuilder::new().errors_as_replies().build();
    let reply: CallResult<'static> = ctx.call_ext("GRAPH.LIST", &options, &[] as &[&[u8]]);
    names(&Node::from(reply))
}

fn version_name(version: i64) -> String {
    let (major, minor, patch) = (version / 10_000, version / 100 % 100, version % 100);
    format!("FalkorDB {major}.{minor}.{patch}")
}

/// A key that is no UTF-8 cannot be named in STATUS, the log or a setting.
fn names(list: &Node) -> Vec<GraphName> {
    list.items().iter().filter_map(Node::text).map(GraphName::new).collect()
}

/// Whether `ACL CAT` knows the category. The caller holds the GIL already: it is the main thread.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(super) fn category_exists(ctx: &Context, name: &str) -> bool {
    ctx.call("ACL", &["CAT", name]).is_ok()
}
