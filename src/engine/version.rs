//! The engine's versions, and what is known of each.
//!
//! What holds on every engine that was tried, and is relied on: GRAPH.* may be called on the main
//! thread (from 4.18.11 and 4.20.0 on nowhere else: on any other thread the engine takes the server's
//! lock itself, and a module that holds it already stops the server for ever); a read with `K` runs on
//! the engine's pool; an inline write waits for the graph's readers; bare GRAPH.INFO names them.
//!
//! What differs, and is not relied on because the careful way costs nothing: before 4.20.3 a write on
//! the engine's pool that meets a CLIENT PAUSE between admission and commit ends the server (our
//! writes are inline); before 4.20 a SET of a vector over a similar vector is ignored (we write where
//! there is none); the default of `EFFECTS_THRESHOLD` is 300 µs before 4.20.3 and 0 since (it is asked).

use std::fmt;

use crate::engine::value::Value;

/// The engine's module name.
const ENGINE_MODULE: &[u8] = b"graph";

/// A version of the engine, as MODULE LIST has it: `42201` is 4.22.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub i64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        write!(f, "FalkorDB {major}.{minor}.{patch}")
    }
}

/// What is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    /// The suite has run on an engine of this row.
    pub tested: bool,
    /// Takes the update of a node as an effect of version 1 ([`super::effect`]).
    pub effects: bool,
    /// An index forgets what a node held before an update. Where it does not, every write to an
    /// indexed node leaves a dead entry that takes one of the places of a search.
    pub index_forgets: bool,
}

/// First version of each row, the last row that is not above a version holds for it.
const TABLE: [(Version, Features); 5] = [
    (Version(i64::MIN), UNKNOWN),
    // Run: 4.16.3, 4.18.3. The source of the effects is the same from 4.16.0 on.
    (Version(41_600), Features { tested: true, effects: true, index_forgets: false }),
    // Run: 4.22.1.
    (Version(42_000), Features { tested: true, effects: true, index_forgets: true }),
    (Version(42_300), UNKNOWN),
    // The engine written in Rust calls itself 5 and more, or 99.99.99; its effects are others.
    (Version(50_000), UNKNOWN),
];

/// An engine that nobody has tried: the careful way.
const UNKNOWN: Features = Features { tested: false, effects: false, index_forgets: false };

impl Version {
    /// What is known of this version.
    pub(crate) fn features(self) -> Features {
        let row = TABLE.iter().rev().find(|(first, _)| *first <= self);
        let known = row.map_or(UNKNOWN, |(_, features)| *features);
        Features { effects: known.effects && cfg!(target_endian = "little"), ..known }
    }
}

/// The engine's version in the reply of MODULE LIST; `None` = it is not loaded.
pub(crate) fn of_modules(modules: &Value<'_>) -> Option<Version> {
    let engine =
        |module: &&Value<'_>| module.field("name").and_then(Value::bytes) == Some(ENGINE_MODULE);
    modules.items().iter().find(engine)?.field("ver")?.integer().map(Version)
}

/// A read-only query that touches no node and shows whether an engine nobody has tried speaks as the
/// others do: parameters, lists, vectors, and how they print.
pub(crate) const CANARY: &[u8] = b"CYPHER vectorfill=1 ids=[7,8] v=[0.5,-2.0] \
    UNWIND range(0, size($ids) - 1) AS k WITH k, $ids[k] AS i \
    RETURN collect(i), typeOf(vecf32($v)), vecf32($v), '' < 'a'";

/// Whether the reply to [`CANARY`] is that of the engines that were tried.
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
