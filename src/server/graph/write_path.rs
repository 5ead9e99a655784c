//! Whether an effect may be written: logged or replicated writes are replayed elsewhere, and
//! replaying an effect against different node ids crashes the server that replays it.
//!
//! Unless `EFFECTS_THRESHOLD` is 0, FalkorDB logs a user's cheap write as its query text. If
//! replaying that text yields other ids (LOAD CSV of a file that is gone), our effect names a node
//! that does not exist; if it is in the AOF, the server no longer starts. With a threshold of 0
//! every write is an effect, and ids are logged with it.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use redis_module::{ContextFlags, RedisString};

use crate::server::events;
use crate::server::graph::hold::Hold;
use crate::server::graph::survey::engine_setting;

/// How vectors are written, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::server) enum WritePath {
    /// Not determined yet.
    Unknown,
    /// As the engine's effects.
    Effects,
    /// As queries, because the user chose so.
    Setting,
    /// As queries, because this engine's effect format is unknown.
    Engine,
    /// As queries, because clients' writes are logged as text.
    Threshold,
    /// As queries, because clients' writes were logged as text and may still be in the log.
    Log,
}

impl WritePath {
    const ALL: [Self; 6] =
        [Self::Unknown, Self::Effects, Self::Setting, Self::Engine, Self::Threshold, Self::Log];

    /// `effects` or `queries`; `None` = not known yet.
    pub(in crate::server) fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Effects => Some("effects"),
            Self::Setting | Self::Engine | Self::Threshold | Self::Log => Some("queries"),
        }
    }

    /// Why effects are not used, and what would change that.
    pub(in crate::server) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::Effects => None,
            Self::Setting => Some("vectorfill.write-effects is no"),
            Self::Engine => Some("the effects of this version of FalkorDB are not known"),
            Self::Threshold => Some(
                "an AOF or a replica repeats writes, and EFFECTS_THRESHOLD is not 0: with \
                 GRAPH.CONFIG SET EFFECTS_THRESHOLD 0 a vector would cost the server a tenth of the time",
            ),
            Self::Log => Some(
                "the AOF or a replica may hold writes from before EFFECTS_THRESHOLD was 0: \
                 BGREWRITEAOF, or a restart of the replicas, removes them",
            ),
        }
    }
}

/// The path taken last.
static PATH: AtomicU8 = AtomicU8::new(0);

/// The path taken last.
pub(in crate::server) fn path() -> WritePath {
    let at = usize::from(PATH.load(Ordering::Relaxed));
    WritePath::ALL.get(at).copied().unwrap_or(WritePath::Unknown)
}

/// Records the path taken.
pub(super) fn note(path: WritePath) {
    PATH.store(path as u8, Ordering::Relaxed);
}

/// What we know about the log. Used on the main thread only.
#[derive(Debug)]
pub(super) struct Journal {
    /// While set, the log may hold writes as text, until the count of AOF rewrites exceeds this.
    text_until: Option<u64>,
}

/// The current state of the server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Logged {
    aof: bool,
    replicas: u64,
    /// AOF rewrites since the server started.
    rewrites: u64,
    /// The engine logs every write as effects.
    as_effects: bool,
}

impl Journal {
    /// A journal for a server whose log holds no text writes yet.
    pub(super) fn new() -> Self {
        Self { text_until: None }
    }

    /// Whether effects are safe in this hold.
    pub(super) fn path(&mut self, hold: &Hold<'_>) -> WritePath {
        if events::take_aof_loaded() {
            // Its earlier content is unknown.
            self.text_until = Some(field(hold, "persistence", "aof_rewrites").unwrap_or(0));
        }
        self.judge(look(hold))
    }

    fn judge(&mut self, now: Logged) -> WritePath {
        if !now.aof && now.replicas == 0 {
            self.text_until = None;
            return WritePath::Effects;
        }
        if !now.as_effects {
            self.text_until = Some(now.rewrites);
            return WritePath::Threshold;
        }
        if self.text_until.is_some_and(|until| now.replicas == 0 && now.rewrites > until) {
            self.text_until = None;
        }
        if self.text_until.is_some() { WritePath::Log } else { WritePath::Effects }
    }
}

fn look(hold: &Hold<'_>) -> Logged {
    let aof = hold.server().get_flags().contains(ContextFlags::AOF);
    // Includes replicas that are about to synchronise.
    let replicas = field(hold, "replication", "connected_slaves").unwrap_or(u64::MAX);
    if !aof && replicas == 0 {
        return Logged { aof, replicas, rewrites: 0, as_effects: false };
    }
    let rewrites = if aof { field(hold, "persistence", "aof_rewrites").unwrap_or(0) } else { 0 };
    Logged {
        aof,
        replicas,
        rewrites,
        as_effects: engine_setting(hold, "EFFECTS_THRESHOLD") == Some(0),
    }
}

/// A number in a section of INFO.
pub(super) fn field<T: FromStr>(hold: &Hold<'_>, section: &str, name: &str) -> Option<T> {
    let value: RedisString = hold.server().server_info(section).field(name)?;
    value.try_as_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Logged = Logged { aof: false, replicas: 0, rewrites: 0, as_effects: false };

    #[test]
    fn where_nothing_is_repeated_effects_are_safe() {
        assert_eq!(Journal::new().judge(QUIET), WritePath::Effects);
        for logged in [Logged { aof: true, ..QUIET }, Logged { replicas: 1, ..QUIET }] {
            assert_eq!(Journal::new().judge(logged), WritePath::Threshold);
            let as_effects = Logged { as_effects: true, ..logged };
            assert_eq!(Journal::new().judge(as_effects), WritePath::Effects);
        }
    }

    #[test]
    fn text_in_the_log_is_minded_until_the_log_is_rewritten() {
        let (mut write_path, logged) = (Journal::new(), Logged { aof: true, rewrites: 3, ..QUIET });
        assert_eq!(write_path.judge(logged), WritePath::Threshold);
        let logged = Logged { as_effects: true, ..logged };
        assert_eq!(write_path.judge(logged), WritePath::Log);
        assert_eq!(write_path.judge(Logged { replicas: 1, rewrites: 4, ..logged }), WritePath::Log);
        assert_eq!(write_path.judge(Logged { rewrites: 4, ..logged }), WritePath::Effects);
        assert_eq!(write_path.judge(Logged { rewrites: 4, ..logged }), WritePath::Effects);
    }

    #[test]
    fn a_log_that_is_switched_off_holds_nothing() {
        let (mut write_path, logged) = (Journal::new(), Logged { aof: true, ..QUIET });
        write_path.judge(logged);
        assert_eq!(write_path.judge(QUIET), WritePath::Effects);
        assert_eq!(write_path.judge(Logged { as_effects: true, ..logged }), WritePath::Effects);
    }

    #[test]
    fn a_path_is_read_as_it_was_noted() {
        for known in WritePath::ALL {
            note(known);
            assert_eq!(path(), known);
        }
    }
}
