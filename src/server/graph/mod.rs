//! The engine, from the worker's side: the core's requests become jobs for the main thread.
//!
//! Reads run on the engine's own threads (`K`): the main thread only makes the call and copies the
//! reply, which the worker parses. Writes run inline, in the same hold as the checks that allow
//! them (`write.rs`): a write that the engine commits later, on another thread, may meet a CLIENT
//! PAUSE or a failover in between, which crashes the server; and it would wait for the graph's
//! readers while holding the server.

pub(super) mod client_query;
pub(super) mod hold;
pub(super) mod state;
pub(super) mod survey;
mod write;
pub(super) mod write_path;

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;
use redis_module::Context;

use crate::engine;
use crate::engine::version::Version;
use crate::fill::port::event::Event;
use crate::fill::port::fault::StoreFault;
use crate::fill::port::store::{Query, Read, Write, Written};
use crate::inject::{Point, reached};
use crate::server::events;
use crate::server::ffi::call::{Mode, Reply};
use crate::server::ffi::post::log;
use crate::server::handle::guarded;
use crate::worker::port::{Answer, Level, Store};
use hold::{Hold, post};
use survey::{Looked, look};
use write_path::{Journal, WritePath};

/// The engine, from the worker's side.
pub(super) struct Engine {
    known: Arc<Known>,
}

/// The engine's version according to the last survey; 0 = none.
static VERSION: AtomicI64 = AtomicI64::new(0);

/// The engine's row limit (`RESULTSET_SIZE`) according to the last survey; `usize::MAX` = none.
static MAX_ROWS: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Whether the engine's index drops a node's old entry on update.
pub(super) fn index_forgets() -> bool {
    Known::version().features().index_forgets
}

/// What we remember about the engine and the server from one hold to the next.
struct Known {
    commands: AtomicU64,
    /// Only the main thread takes the lock.
    write_path: Mutex<Journal>,
}

impl Known {
    fn version() -> Version {
        Version(VERSION.load(Ordering::Relaxed))
    }

    /// How vectors may be written in this hold, as far as the server is concerned.
    fn write_path(&self, hold: &Hold<'_>) -> WritePath {
        if !Self::version().features().effects {
            return WritePath::Engine;
        }
        self.write_path.lock().unwrap_or_else(PoisonError::into_inner).path(hold)
    }

    /// Whether other clients were served since the last call.
    fn is_contended(&self) -> bool {
        let commands = events::commands();
        self.commands.swap(commands, Ordering::Relaxed) != commands
    }
}

impl Engine {
    /// An engine about which nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            known: Arc::new(Known {
                commands: AtomicU64::new(0),
                write_path: Mutex::new(Journal::new()),
            }),
        }
    }
}

/// An answer to be sent exactly once: dropped unsent, it reports that no reply came.
struct Owed<T: Send + 'static> {
    to: Sender<Answer>,
    asked: Option<T>,
    nothing: fn(T) -> Event,
}

impl<T: Send + 'static> Owed<T> {
    fn new(to: Sender<Answer>, asked: T, nothing: fn(T) -> Event) -> Self {
        Self { to, asked: Some(asked), nothing }
    }

    fn asked(&self) -> Option<&T> {
        self.asked.as_ref()
    }

    /// Sends the answer; `read` builds it from the request later, on the worker's thread.
    fn send(mut self, read: impl FnOnce(T) -> Event + Send + 'static) {
        if let Some(asked) = self.asked.take() {
            // The channel has room for more than can be in flight; if it is closed, the worker is
            // gone.
            self.to.try_send(Box::new(move || read(asked))).ok();
        }
    }
}

impl<T: Send + 'static> Drop for Owed<T> {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            let nothing = self.nothing;
            self.to.try_send(Box::new(move || nothing(asked))).ok();
        }
    }
}

impl Store for Engine {
    fn survey(&self, to: Sender<Answer>) {
        let owed = Owed::new(to, (), |()| Event::Surveyed(Err(StoreFault::NoReply)));
        let known = Arc::clone(&self.known);
        post(move |held| {
            let looked = held.and_then(|hold| look(&hold, &known));
            owed.send(|()| Event::Surveyed(looked.map(Looked::read)));
        });
    }

    fn read(&self, read: Read, to: Sender<Answer>) {
        let text = engine::read_text(&read);
        let owed = Owed::new(to, read, |read| unread(&read, StoreFault::NoReply));
        post(move |held| {
            let Some(read) = owed.asked() else { return };
            let allowed = held.and_then(|hold| may_read(&hold, read).map(|()| hold));
            let hold = match allowed {
                Ok(hold) => hold,
                Err(fault) => return owed.send(|read| unread(&read, fault)),
            };
            let graph = read.graph.clone();
            let args = text.args(graph.as_str().as_bytes());
            hold.query_on_pool(Mode::Pool, &args, move |reply| {
                let proto = reply.as_ref().map(Reply::proto).unwrap_or_default().to_vec();
                owed.send(move |read| {
                    let outcome = guarded(Err(StoreFault::NoReply), || {
                        reached(Point::Reply);
                        engine::answer(&read.rule, &read.query, &proto)
                    });
                    Event::Read { ticket: read.ticket, outcome }
                });
            });
        });
    }

    fn write(&self, write: Write, to: Sender<Answer>) {
        let engine = Known::version().features();
        let call = write::prepare(&write, engine, MAX_ROWS.load(Ordering::Relaxed));
        let owed = Owed::new(to, write, |write| Event::Written {
            write,
            outcome: Err(StoreFault::NoReply),
        });
        let known = Arc::clone(&self.known);
        post(move |held| {
            let Some(write) = owed.asked() else { return };
            let outcome = held.and_then(|hold| write_in(&hold, write, &call, &known));
            owed.send(|write| Event::Written { write, outcome });
        });
    }

    fn log(&self, level: Level, line: &str) {
        log(if level == Level::Notice { c"notice" } else { c"warning" }, line);
    }
}

fn unread(read: &Read, fault: StoreFault) -> Event {
    Event::Read { ticket: read.ticket, outcome: Err(fault) }
}

/// A complete write, in one hold.
///
/// The time it took is measured here, where nothing else runs: the worker keeps its writes within
/// `write-budget-ms` by it. A refused write has no such time.
fn write_in(
    hold: &Hold<'_>,
    write: &Write,
    call: &write::Call,
    known: &Known,
) -> Result<Written, StoreFault> {
    let contended = known.is_contended();
    let begun = Instant::now();
    write::may_write(hold, write)?;
    let ids = write::carry_out(hold, write, call, known)?;
    Ok(Written { ids, held: begun.elapsed(), contended })
}

/// Whether a graph may be read. One that is swapped out stays so; and where nothing can be written
/// nothing is selected, since its embeddings would be paid for in vain.
fn may_read(hold: &Hold<'_>, read: &Read) -> Result<(), StoreFault> {
    hold.find_graph(&read.graph)?;
    match &read.query {
        Query::Select(_) | Query::Marked { texts: true, .. } => {
            state::takes_writes(hold, &read.graph)
        }
        Query::Indexes
        | Query::CountAll { .. }
        | Query::Count { .. }
        | Query::Marked { texts: false, .. }
        | Query::Lists(_)
        | Query::Sample(_) => Ok(()),
    }
}

/// Whether io-threads read the commands of clients other than the current one. Since Redis 8.6 a
/// command that has been read but not run yet keeps pointers that an unloaded module has freed.
///
/// What cannot be found out counts against unloading, except an unknown `io-threads`.
pub(super) fn clients_on_io_threads(ctx: &Context) -> bool {
    let hold = Hold::of_command(ctx);
    let threads = hold.call(Mode::Inline, c"CONFIG", &[b"GET", b"io-threads"]).ok();
    let threads = threads.and_then(|reply| {
        let pair = engine::reply(reply.proto()).ok()?;
        pair.items().get(1)?.text()?.parse::<u32>().ok()
    });
    let clients = write_path::field::<u64>(&hold, "clients", "connected_clients");
    threads.is_some_and(|threads| threads > 1) && clients.is_none_or(|clients| clients > 1)
}
