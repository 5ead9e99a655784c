//! FalkorDB's dialect: the queries sent to the engine, how its replies are read, what its error
//! messages mean, and what is known about each of its versions.
//!
//! Pure: bytes in, bytes out. `server/graph` carries the bytes. The text of a query and the reader
//! of its reply sit side by side ([`query`]); [`version`] is a table with a row per tested range of
//! versions; [`effect`] is the engine's replication format; [`words`] sorts its error messages;
//! [`value`] reads the raw protocol of a reply.

mod cypher;
pub(crate) mod effect;
pub(crate) mod info;
pub(crate) mod query;
pub(crate) mod value;
pub(crate) mod version;
pub(crate) mod words;

use crate::fill::port::fault::StoreFault;
use crate::fill::port::store::{Answer, Change, Job, Query, Read, Row, Write};
use crate::rule::Rule;
use query::sweep::Limits;
use query::{index, lists, sweep, write};
use value::Value;

/// A query to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// The query.
    pub(crate) cypher: Vec<u8>,
    /// Whether values are to be listed with their types (`--compact`).
    pub(crate) compact: bool,
}

/// The argument that asks for [`Text::compact`].
pub(crate) const COMPACT: &[u8] = b"--compact";

impl Text {
    /// The arguments of a command that runs the query on a graph.
    pub(crate) fn args<'a>(&'a self, graph: &'a [u8]) -> Vec<&'a [u8]> {
        let mut args: Vec<&[u8]> = vec![graph, &self.cypher];
        args.extend(self.compact.then_some(COMPACT));
        args
    }
}

/// The text of a read.
pub(crate) fn read_text(read: &Read) -> Text {
    let rule = &read.rule;
    let cypher = match &read.query {
        Query::Indexes => index::list(rule),
        Query::CountAll { nodes, labels, .. } => sweep::count_all(rule, *nodes, *labels),
        Query::Count { window, labels } => sweep::count(rule, *window, *labels),
        Query::Select(window) => sweep::select(rule, *window),
        Query::Marked { window, texts } => sweep::marked(rule, *window, *texts),
        Query::Lists(window) => lists::find(rule, *window),
        Query::Sample(label) => index::sample(rule, label),
    };
    let lists_texts = matches!(read.query, Query::Select(_) | Query::Marked { texts: true, .. });
    Text { cypher, compact: lists_texts && sweep::is_typed(rule) }
}

/// Parses the raw reply to a read, according to what was asked.
pub(crate) fn answer(rule: &Rule, query: &Query, proto: &[u8]) -> Result<Answer, StoreFault> {
    let reply = reply(proto)?;
    if reply.items().len() < 2 {
        return Err(StoreFault::Other("the engine's reply has no rows".into()));
    }
    Ok(match query {
        Query::Indexes => Answer::Indexes(index::listed(rule, &reply)),
        Query::CountAll { nodes, rows, labels } => {
            let limits = Limits { nodes: *nodes, rows: *rows, labels: *labels };
            Answer::CountAll(sweep::counted_all(rule, limits, &reply))
        }
        Query::Count { labels, .. } => Answer::Count(sweep::counted(rule, *labels, &reply)),
        Query::Select(window) => Answer::Selection(sweep::selected(rule, *window, &reply)),
        Query::Marked { window, texts } => {
            Answer::Marked(sweep::marks(rule, *window, *texts, &reply))
        }
        Query::Lists(_) => Answer::Lists(lists::found(&reply)),
        Query::Sample(_) => Answer::Sample(index::sampled(&reply)),
    })
}

/// The text of the lookup before an effect.
pub(crate) fn lookup_text(rule: &Rule, rows: &[Row]) -> Text {
    Text { cypher: write::lookup(rule, rows), compact: sweep::is_typed(rule) }
}

/// The text of a write.
pub(crate) fn write_text(write: &Write) -> Vec<u8> {
    let rule = &write.rule;
    match &write.change {
        Change::Job(Job::Vectors(rows)) => write::vectors(rule, rows),
        Change::Job(Job::Quarantine(marks)) => write::quarantine(rule, marks),
        Change::Job(Job::CreateIndex(index)) => index::create(rule, index),
        Change::Job(Job::Convert(conversion)) => lists::convert(rule, conversion),
        Change::Release(ids) => write::lift(rule, ids),
    }
}

/// Parses a raw reply; an error reply becomes the fault it stands for.
pub(crate) fn reply(proto: &[u8]) -> Result<Value<'_>, StoreFault> {
    match Value::parse(proto) {
        Some(Value::Error(error)) => Err(words::fault(error)),
        Some(value) => Ok(value),
        None => Err(StoreFault::Other("the engine's reply is cut off".into())),
    }
}

/// Reads a reply of any shape as the answer to each of our queries; for tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_every_way(proto: &[u8]) {
    use crate::fill::port::store::{Cursor, Window};
    use crate::rule::definition::own::kept;

    let window = Window { from: Cursor::at(0), hi: 1, rows: 1, last: false };
    let queries = [
        Query::Indexes,
        Query::CountAll { nodes: 9, rows: 9, labels: true },
        Query::Count { window, labels: true },
        Query::Select(window),
        Query::Marked { window, texts: true },
    ];
    let Ok(value) = reply(proto) else { return };
    let bodies = [
        "NODE Doc TEXT text INTO vec",
        "NODE A NODE B TEXT '{a} {b}' INTO vec",
        "REL T TEXT fact INTO vec",
        "REL * TEXT '{a} {b}' INTO vec",
    ];
    for rule in bodies.iter().filter_map(|body| kept("r", body, 99).ok()) {
        for query in &queries {
            answer(&rule, query, proto).ok();
        }
        let numbers = write::Numbers::read(&rule, &value, Some(&value));
        write::targets(&rule, &[], &numbers, &value);
        sweep::counted(&rule, true, &value);
    }
    write::written(&value);
    index::sampled(&value);
    info::oldest_reader(&value, b"g");
    version::of_modules(&value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_what_it_means() {
        assert_eq!(reply(b"-OOM command not allowed\r\n"), Err(StoreFault::OutOfMemory));
        assert!(matches!(reply(b"*2\r\n:1\r\n"), Err(StoreFault::Other(_))));
    }

    #[test]
    fn a_reply_of_any_shape_is_read_without_a_panic() {
        fn arbitrary(rng: &mut fastrand::Rng, depth: u32) -> Vec<u8> {
            match rng.u32(..if depth == 0 { 4 } else { 7 }) {
                0 => b"$-1\r\n".to_vec(),
                1 => format!(":{}\r\n", rng.i64(-2..5)).into_bytes(),
                2 => b"$2\r\n[1\r\n".to_vec(),
                3 => b"$3\r\n<1>\r\n".to_vec(),
                _ => {
                    let items = rng.usize(..5);
                    let mut list = format!("*{items}\r\n").into_bytes();
                    (0..items).for_each(|_| list.extend(arbitrary(rng, depth - 1)));
                    list
                }
            }
        }
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            read_every_way(&arbitrary(&mut rng, 4));
        }
    }
}
