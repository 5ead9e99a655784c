//! Finds the hashes in a server that holds data already when the module is loaded: nothing else
//! tells of those whose graph is still to be created.

use crate::engine;
use crate::rule::definition::own;
use crate::server::ffi::call::Mode;
use crate::server::graph::hold::{Hold, post};
use crate::server::own::{all_changed, changed};

/// Keys looked at in one turn on the main thread: some tenths of a millisecond.
const KEYS: &[u8] = b"1000";

/// Looks through all keys, in turns.
///
/// Returns at once. Each turn posts the next one, so that clients are served in between.
pub(in crate::server) fn find() {
    all_changed();
    find_from("0".to_owned());
}

fn find_from(cursor: String) {
    post(move |held| {
        // While the server loads, each hash is told of.
        let Ok(hold) = held else { return };
        let next = look(&hold, &cursor).filter(|next| next != "0");
        next.into_iter().for_each(find_from);
    });
}

/// Looks at some keys; gives the cursor of the next ones.
fn look(hold: &Hold<'_>, cursor: &str) -> Option<String> {
    let words: [&[u8]; 7] =
        [cursor.as_bytes(), b"MATCH", b"vectorfill:*", b"COUNT", KEYS, b"TYPE", b"hash"];
    let reply = hold.call(Mode::Inline, c"SCAN", &words).ok()?;
    let value = engine::reply(reply.proto()).ok()?;
    let [next, keys] = value.items() else { return None };
    let graphs = keys.items().iter().filter_map(|key| own::graph_of(key.bytes()?));
    graphs.for_each(changed);
    next.text().map(str::to_owned)
}
