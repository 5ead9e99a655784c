//! What the engine's replies say: a reply becomes a tree of values, and the tree an answer.
//!
//! The tree is copied on the main thread and nothing of Redis leaves it.

use std::time::Duration;

use redis_module::{CallReply, CallResult, RedisValue};

use super::graph::effect::Targets;
use crate::fill::cypher::{BEYOND, FOUND, LABEL, UNFILLED, is_sweep, one_line};
use crate::fill::fault::StoreFault;
use crate::fill::node::NodeId;
use crate::fill::scan::Seen;
use crate::fill::store::{Answer, Count, Index, Marked, MarkedNode, Query, Selection};

/// What is said before the time in a reply's statistics.
const TOOK: &str = "Query internal execution time: ";
/// Bytes of a text that are enough to tell a graph and a query by.
const BRIEF: usize = 256;

/// Longest note of a quarantined node that is passed on, in characters: twice the longest of ours.
const NOTE_CHARS: usize = 500;

/// A value of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Null, and kinds nobody asks for.
    Null,
    /// An integer.
    Integer(i64),
    /// A string of any kind.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Node>),
}

impl From<CallResult<'_>> for Node {
    fn from(result: CallResult<'_>) -> Self {
        Self::copy(result, usize::MAX)
    }
}

impl Node {
    /// The reply with each text cut short: GRAPH.INFO repeats queries of megabytes.
    pub(super) fn brief(reply: CallReply<'_>) -> Self {
        Self::copy(Ok(reply), BRIEF)
    }

    fn copy(result: CallResult<'_>, most: usize) -> Self {
        match result {
            Ok(CallReply::I64(number)) => Self::Integer(number.to_i64()),
            Ok(CallReply::String(text)) => {
                Self::Bytes(text.as_bytes().iter().take(most).copied().collect())
            }
            Ok(CallReply::Array(items)) => {
                Self::List(items.iter().map(|item| Self::copy(item, most)).collect())
            }
            Ok(CallReply::Double(number)) => Self::Bytes(number.to_double().to_string().into()),
            Ok(
                CallReply::Unknown
                | CallReply::Null(_)
                | CallReply::Map(_)
                | CallReply::Set(_)
                | CallReply::Bool(_)
                | CallReply::BigNumber(_)
                | CallReply::VerbatimString(_),
            )
            | Err(_) => Self::Null,
        }
    }
}

impl Node {
    /// The items of a list; of anything else, none.
    pub(super) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// An integer.
    pub(super) fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// A string that is UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    fn unsigned(&self) -> Option<u64> {
        self.integer().and_then(|number| u64::try_from(number).ok())
    }

    /// The value that follows `key` in a list of alternating keys and values.
    fn field(&self, key: &str) -> Option<&Self> {
        let mut pairs = self.items().chunks_exact(2);
        pairs.find_map(|pair| match pair {
            [name, value] if name.text() == Some(key) => Some(value),
            _ => None,
        })
    }
}

/// The reply as it came. Strings stay what they are: a line break in one must not end a line of the
/// protocol.
pub(super) fn value(reply: &CallReply<'_>) -> RedisValue {
    match reply {
        CallReply::I64(number) => RedisValue::Integer(number.to_i64()),
        CallReply::String(text) => RedisValue::StringBuffer(text.as_bytes().to_vec()),
        CallReply::Array(items) => {
            RedisValue::Array(items.iter().map(|item| part(&item)).collect())
        }
        CallReply::Double(number) => RedisValue::Float(number.to_double()),
        CallReply::Bool(truth) => RedisValue::Bool(truth.to_bool()),
        // Nothing else is in a reply of the engine's.
        CallReply::Unknown
        | CallReply::Null(_)
        | CallReply::Map(_)
        | CallReply::Set(_)
        | CallReply::BigNumber(_)
        | CallReply::VerbatimString(_) => RedisValue::Null,
    }
}

fn part(item: &CallResult<'_>) -> RedisValue {
    match item {
        Ok(reply) => value(reply),
        Err(e) => RedisValue::StringBuffer(e.as_bytes().to_vec()),
    }
}

/// What a search has found: a list of `[id, score, text]`.
pub(super) fn found(reply: &Node) -> RedisValue {
    let found = rows(reply).iter().filter_map(|row| {
        let [id, score, text] = row.items() else { return None };
        let score = score.text()?.parse().ok()?;
        let text = text.bytes().map_or(RedisValue::Null, |t| RedisValue::StringBuffer(t.to_vec()));
        let id = RedisValue::Integer(id.integer()?);
        Some(RedisValue::Array(vec![id, RedisValue::Float(score), text]))
    });
    RedisValue::Array(found.collect())
}

/// The bytes of a string reply.
pub(super) fn bytes(reply: &CallReply<'_>) -> Option<Vec<u8>> {
    if let CallReply::String(text) = reply { Some(text.as_bytes().to_vec()) } else { None }
}

/// The version a module has in the reply of MODULE LIST.
pub(super) fn module_version(reply: &Node, name: &[u8]) -> Option<i64> {
    let named = |module: &&Node| module.field("name").and_then(Node::bytes) == Some(name);
    reply.items().iter().find(named)?.field("ver")?.integer()
}

/// How long the oldest query on `graph` has run that GRAPH.INFO names, for ever if one waits.
pub(super) fn oldest_reader(reply: &Node, graph: &[u8]) -> Option<Duration> {
    let name = graph.get(..BRIEF).unwrap_or(graph);
    let on_graph = |query: &&Node| query.field("Graph name").and_then(Node::bytes) == Some(name);
    // Our own sweeps are over in a moment, and must not make our own writes wait.
    let ours = |query: &&Node| query.field("Query").and_then(Node::bytes).is_some_and(is_sweep);
    let queries = reply.items().iter().flat_map(Node::items);
    let age = |query: &Node| match query.field("Wait duration") {
        Some(_) => Some(Duration::MAX),
        None => query.field("Execution duration").map(Node::millis),
    };
    queries.filter(on_graph).filter(|query| !ours(query)).filter_map(age).max()
}

impl Node {
    /// A number of milliseconds; what is not readable is taken for long.
    fn millis(&self) -> Duration {
        let number = self.text().and_then(|text| text.parse::<f64>().ok());
        let whole = self.unsigned().map(Duration::from_millis);
        let fraction = number.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok());
        whole.or(fraction).unwrap_or(Duration::MAX)
    }
}

/// The ids a write returned.
pub(super) fn written_ids(reply: &Node) -> Vec<NodeId> {
    list(reply, 0).into_iter().map(NodeId).collect()
}

/// The rows a lookup found.
pub(super) fn targets(reply: &Node) -> Targets {
    let places =
        |column| list(reply, column).into_iter().filter_map(|k| k.try_into().ok()).collect();
    let attribute = list(reply, 0).first().and_then(|number| u16::try_from(*number).ok());
    Targets { attribute, plain: places(1), marked: places(2) }
}

/// The list in a column of the first row, printed as `[1, 2]`.
fn list(reply: &Node, column: usize) -> Vec<u64> {
    let list = rows(reply).first().and_then(|row| row.items().get(column)).and_then(Node::text);
    let inner = list.and_then(|text| text.strip_prefix('[')?.strip_suffix(']'));
    inner.unwrap_or_default().split(", ").filter_map(|number| number.parse().ok()).collect()
}

/// What was asked decides how the reply is read.
pub(super) fn answer(query: &Query, reply: &Node) -> Result<Answer, StoreFault> {
    if reply.items().len() < 2 {
        return Err(StoreFault::Other("the engine's reply has no rows".into()));
    }
    Ok(match query {
        Query::Indexes => Answer::Indexes(indexes(reply)),
        Query::Count { .. } => Answer::Count(count(reply)),
        Query::Select(_) => Answer::Selection(selection(reply)),
        Query::Marked { .. } => Answer::Marked(marked(reply)),
        Query::Sample(_) => Answer::Sample(sample(reply)),
    })
}

/// A reply is `[header, rows, statistics]`, or `[statistics]` alone.
fn rows(reply: &Node) -> &[Node] {
    if let [_, rows, _] = reply.items() { rows.items() } else { &[] }
}

/// What the engine says the query took.
fn took(reply: &Node) -> Duration {
    let lines = reply.items().last().map(Node::items).unwrap_or_default();
    let ms = lines
        .iter()
        .find_map(|line| line.text()?.strip_prefix(TOOK)?.split(' ').next()?.parse::<f64>().ok());
    ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok()).unwrap_or_default()
}

/// Several rows of a label tell of an index that is being rebuilt: it is ready when all are.
fn indexes(reply: &Node) -> Vec<Index> {
    let index = |row: &Node| {
        let [label, dimension, status] = row.items() else { return None };
        let dimension = usize::try_from(dimension.integer()?).ok()?;
        let ready = status.text() == Some("OPERATIONAL");
        Some(Index { label: label.text()?.to_owned(), dimension, ready })
    };
    rows(reply).iter().filter_map(index).collect()
}

fn count(reply: &Node) -> Count {
    let mut seen = nothing_seen(reply);
    let mut count = Count { eligible: 0, unfilled: 0, quarantined: 0, labels: Vec::new(), seen };
    for row in rows(reply) {
        let [kind, a, b] = row.items() else { continue };
        match kind.integer() {
            Some(BEYOND) => seen.beyond = a.unsigned(),
            Some(FOUND) => count.eligible = a.unsigned().unwrap_or(0),
            Some(UNFILLED) => {
                count.unfilled = a.unsigned().unwrap_or(0);
                count.quarantined = b.unsigned().unwrap_or(0);
            }
            Some(LABEL) => count.labels.extend(a.text().map(str::to_owned)),
            _ => {}
        }
    }
    count.seen = seen;
    count
}

fn selection(reply: &Node) -> Selection {
    let (rows, seen) = swept(reply, |id, cells| {
        let [text, label] = cells else { return None };
        let text = text.bytes()?.to_vec();
        Some((text.len(), (id, text, label.text().map(str::to_owned))))
    });
    Selection { rows, seen }
}

fn marked(reply: &Node) -> Marked {
    let (rows, seen) = swept(reply, |id, cells| {
        let [note, text, label] = cells else { return None };
        let text = text.bytes().unwrap_or_default().to_vec();
        let (note, label) = (self::note(note), label.text().map(str::to_owned));
        Some((text.len(), MarkedNode { id, note, text, label }))
    });
    Marked { rows, seen }
}

/// The rows of a sweep that lists nodes. `read` makes of the cells behind a node's id what is listed,
/// with the bytes of its text.
fn swept<T>(reply: &Node, read: impl Fn(NodeId, &[Node]) -> Option<(usize, T)>) -> (Vec<T>, Seen) {
    let mut seen = nothing_seen(reply);
    let mut found = Vec::new();
    for row in rows(reply) {
        let [kind, id, cells @ ..] = row.items() else { continue };
        match (kind.integer(), id.unsigned()) {
            (Some(BEYOND), id) => seen.beyond = id,
            (Some(FOUND), Some(id)) => {
                let Some((bytes, node)) = read(NodeId(id), cells) else { continue };
                seen.rows += 1;
                seen.last = seen.last.max(Some(id));
                seen.longest = seen.longest.max(bytes);
                found.push(node);
            }
            _ => {}
        }
    }
    (found, seen)
}

/// What an error property says, be it of our making or set by hand.
fn note(value: &Node) -> String {
    match value {
        Node::Bytes(bytes) => one_line(&String::from_utf8_lossy(bytes), NOTE_CHARS),
        Node::Integer(number) => number.to_string(),
        Node::Null | Node::List(_) => String::new(),
    }
}

fn nothing_seen(reply: &Node) -> Seen {
    Seen { rows: 0, last: None, longest: 0, beyond: None, took: took(reply) }
}

/// A vector prints as `<0.5, -2.0>`; what is no vector has no length.
fn sample(reply: &Node) -> Option<usize> {
    let text = rows(reply).first()?.items().first()?.text()?;
    let numbers = text.strip_prefix('<')?.strip_suffix('>')?;
    Some(numbers.split(',').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::Bytes(text.into())
    }

    fn items(items: Vec<Node>) -> Node {
        Node::List(items)
    }

    fn reply(rows: Vec<Vec<Node>>) -> Node {
        let statistics = items(vec![text("Query internal execution time: 1.500000 milliseconds")]);
        items(vec![items(vec![]), items(rows.into_iter().map(items).collect()), statistics])
    }

    #[test]
    fn a_selection_tells_its_rows_and_what_lies_beyond() {
        let reply = reply(vec![
            vec![Node::Integer(BEYOND), Node::Integer(900), Node::Null, Node::Null],
            vec![Node::Integer(FOUND), Node::Integer(7), text("x"), text("Doc")],
            vec![Node::Integer(FOUND), Node::Integer(9), text("yz"), Node::Null],
        ]);
        let Selection { rows, seen } = selection(&reply);
        assert_eq!(rows[1], (NodeId(9), b"yz".to_vec(), None));
        let took = Duration::from_micros(1_500);
        assert_eq!(seen, Seen { rows: 2, last: Some(9), longest: 2, beyond: Some(900), took });
    }

    #[test]
    fn the_ids_of_a_write_are_read_from_one_printed_list() {
        let ids = |list: &str| written_ids(&reply(vec![vec![text(list)]]));
        assert_eq!(ids("[7, 12]"), [NodeId(7), NodeId(12)]);
        assert_eq!(ids("[]"), []);
    }

    #[test]
    fn a_reader_is_as_old_as_it_has_run_and_one_that_waits_is_older_than_all() {
        let query = |graph: &str, kind: &str, ms: &str| {
            items(vec![text("Graph name"), text(graph), text(kind), text(ms)])
        };
        let info = |query: Node| items(vec![text("# Running queries"), items(vec![query])]);
        let oldest = |query| oldest_reader(&info(query), b"g");
        let ms = |ms| Some(Duration::from_secs_f64(ms / 1_000.0));
        assert_eq!(oldest(query("g", "Execution duration", "297.87")), ms(297.87));
        assert_eq!(oldest(query("g", "Execution duration", "0.5")), ms(0.5));
        assert_eq!(oldest(query("h", "Execution duration", "297.87")), None);
        assert_eq!(oldest(query("g", "Wait duration", "0.1")), Some(Duration::MAX));
        assert_eq!(oldest(query("g", "Execution duration", "?")), Some(Duration::MAX));
    }

    #[test]
    fn a_reply_of_any_shape_is_read_without_a_panic() {
        fn arbitrary(rng: &mut fastrand::Rng, depth: u32) -> Node {
            match rng.u32(..if depth == 0 { 3 } else { 5 }) {
                0 => Node::Null,
                1 => Node::Integer(rng.i64(-2..5)),
                2 => Node::Bytes((0..rng.usize(..6)).map(|_| rng.u8(..)).collect()),
                _ => items((0..rng.usize(..5)).map(|_| arbitrary(rng, depth - 1)).collect()),
            }
        }
        let mut rng = fastrand::Rng::with_seed(3);
        let window = crate::fill::scan::Window { lo: 0, hi: 1, rows: 1 };
        for _ in 0..20_000 {
            let node = arbitrary(&mut rng, 4);
            answer(&Query::Indexes, &node).ok();
            answer(&Query::Count { window, labels: true }, &node).ok();
            answer(&Query::Select(window), &node).ok();
            answer(&Query::Marked { window, texts: true }, &node).ok();
            written_ids(&node);
            targets(&node);
            sample(&node);
            oldest_reader(&node, b"g");
            module_version(&node, b"graph");
        }
    }
}
