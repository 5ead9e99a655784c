//! The engine's versions, and what is known about each.
//!
//! True of every tested engine, and relied on: GRAPH.* may be called on the main thread (since
//! 4.18.11 and 4.20.0 nowhere else: on any other thread the engine takes the server's lock itself,
//! so a module that already holds it deadlocks the server); a read with `K` runs on the engine's
//! pool; an inline write waits for the graph's readers; bare GRAPH.INFO lists them.
//!
//! Differs between versions, and is not relied on because the careful way costs nothing: before
//! 4.20.3 a write on the engine's pool that meets a CLIENT PAUSE between admission and commit
//! crashes the server (our writes are inline); before 4.20 a SET of a vector over a similar one is
//! ignored (we only write where there is none); the default `EFFECTS_THRESHOLD` is 300 µs before
//! 4.20.3 and 0 since (we query it).

use std::fmt;

use crate::engine::value::Value;

/// The engine's module name.
const ENGINE_MODULE: &[u8] = b"graph";

/// A version of the engine, encoded as in MODULE LIST: `42201` is 4.22.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub i64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        write!(f, "FalkorDB {major}.{minor}.{patch}")
    }
}

/// What is known about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table, each column a yes or no")]
pub(crate) struct Features {
    /// The test suite has run on an engine in this row.
    pub tested: bool,
    /// Accepts node updates as version 1 effects ([`super::effect`]).
    pub effects: bool,
    /// Accepts updates of relationships as version 1 effects.
    pub relationship_effects: bool,
    /// The index drops a node's old entry on update. Where it does not, every write to an indexed
    /// node leaves a dead entry that takes up a place in search results.
    pub index_forgets: bool,
}

/// First version of each row; the last row not above a version applies to it.
const TABLE: [(Version, Features); 5] = [
    (Version(i64::MIN), UNKNOWN),
    // Tested: 4.16.3, 4.18.3. The engine's effects code is unchanged since 4.16.0.
    (Version(41_600), C_ENGINE),
    // Tested: 4.22.1.
    (Version(42_000), Features { index_forgets: true, ..C_ENGINE }),
    (Version(42_300), UNKNOWN),
    // The Rust rewrite of the engine reports 5 and up, or 99.99.99; its effects have another
    // format.
    (Version(50_000), UNKNOWN),
];

/// An untested engine: the careful way.
const UNKNOWN: Features =
    Features { tested: false, effects: false, relationship_effects: false, index_forgets: false };

/// The engine written in C, as it was first tested.
const C_ENGINE: Features =
    Features { tested: true, effects: true, relationship_effects: true, index_forgets: false };

impl Version {
    /// What is known about this version.
    pub(crate) fn features(self) -> Features {
        let row = TABLE.iter().rev().find(|(first, _)| *first <= self);
        let known = row.map_or(UNKNOWN, |(_, features)| *features);
        let readable = cfg!(target_endian = "little");
        Features {
            effects: known.effects && readable,
            relationship_effects: known.relationship_effects && readable,
            ..known
        }
    }
}

/// The engine's version in the reply of MODULE LIST; `None` = it is not loaded.
pub(crate) fn of_modules(modules: &Value<'_>) -> Option<Version> {
    let engine =
        |module: &&Value<'_>| module.field("name").and_then(Value::bytes) == Some(ENGINE_MODULE);
    modules.items().iter().find(engine)?.field("ver")?.integer().map(Version)
}

/// A read-only query that touches no node and shows whether an untested engine behaves like the
/// tested ones: parameters, lists, vectors, and how they print.
pub(crate) const CANARY: &[u8] = b"CYPHER vectorfill=1 ids=[7,8] v=[0.5,-2.0] \
    UNWIND range(0, size($ids) - 1) AS k WITH k, $ids[k] AS i \
    RETURN collect(i), typeOf(vecf32($v)), vecf32($v), '' < 'a'";

/// Whether the reply to [`CANARY`] matches that of the tested engines.
pub(crate) fn sings(reply: &Value<'_>) -> bool {
    let [_, rows, _] = reply.items() else { return false };
    let Some(cells) = rows.items().first().map(Value::items) else { return false };
    let [ids, kind, vector, ..] = cells else { return false };
    let same = |cell: &Value<'_>, text: &str| cell.text() == Some(text);
    same(ids, "[7, 8]")
        && same(kind, "Vectorf32")
        && vector.text().is_some_and(|v| v.starts_with("<0.5") && v.contains(", -2.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engines_that_were_tried_are_sent_effects() {
        for version in [41_600, 41_603, 41_803, 41_811, 42_003, 42_201] {
            assert!(Version(version).features().effects, "{version}");
            assert!(Version(version).features().relationship_effects, "{version}");
            assert!(Version(version).features().tested, "{version}");
        }
        for version in [41_599, 42_300, 50_000, 60_102, 999_999, 0, -1] {
            assert_eq!(Version(version).features(), UNKNOWN, "{version}");
        }
        assert!(!Version(41_803).features().index_forgets);
        assert!(Version(42_000).features().index_forgets);
    }

    #[test]
    fn the_version_is_found_among_the_modules() {
        let list = b"*2\r\n*4\r\n+name\r\n+bf\r\n+ver\r\n:1\r\n*4\r\n+name\r\n+graph\r\n+ver\r\n:42201\r\n";
        let version = of_modules(&Value::parse(list).unwrap());
        assert_eq!(version.map(|v| v.to_string()).as_deref(), Some("FalkorDB 4.22.1"));
        assert_eq!(of_modules(&Value::parse(b"*0\r\n").unwrap()), None);
    }
}
