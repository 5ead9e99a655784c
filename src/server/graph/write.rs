//! What happens in the hold of the server that makes a write: first what allows it, then the change.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::checks::server_lets_write;
use super::effect;
use super::{Engine, Gil, is_graph};
use crate::fill::cypher;
use crate::fill::fault::StoreFault;
use crate::fill::node::{GraphName, NodeId, Row};
use crate::fill::store::Write;
use crate::server::reply::{self, Node};

/// A query of others that has run longer than this on the graph is a long one: a write would hold
/// the server until that query ends. One that has just begun may become one.
const READER: Duration = Duration::from_millis(3);

/// A change, made ready for the hold.
pub(super) enum Call<'a> {
    /// A query.
    Query(Vec<u8>),
    /// An effect for what of these rows an effect can tell, once they are looked up.
    Effect { rows: &'a [Row], lookup: Vec<u8> },
}

impl Engine {
    /// Makes ready what can be before the hold: it is our time then, and not the server's.
    pub(super) fn prepare<'a>(&self, write: &'a Write) -> Call<'a> {
        match write.vectors() {
            Some(rows) if write.effects && self.effects.load(Ordering::Relaxed) => {
                Call::Effect { rows, lookup: cypher::targets(&write.rule, rows) }
            }
            _ => Call::Query(write.cypher()),
        }
    }

    /// **Whether a write may happen**, asked in the same hold that makes it, so that the answer
    /// cannot change before the write.
    pub(super) fn may_write(&self, gil: &Gil, write: &Write) -> Result<(), StoreFault> {
        server_lets_write(&gil.0)?;
        self.server_takes_writes(gil, &write.graph)?;
        // GRAPH.QUERY on a missing key would create the graph: a deleted one must not come back.
        if !is_graph(&gil.0, &write.graph) {
            return Err(StoreFault::NoGraph);
        }
        if write.impatient { Ok(()) } else { self.has_no_reader(gil, write) }
    }

    /// `min-replicas-to-write`, `stop-writes-on-bgsave-error` and, for an effect, `maxmemory` hold for
    /// a module only if it asks. A script's write is checked; this one changes nothing, whatever the key
    /// holds: on a graph it is of the wrong type, and an empty string is not written.
    fn server_takes_writes(&self, gil: &Gil, graph: &GraphName) -> Result<(), StoreFault> {
        let args: [&[u8]; 3] = [graph.as_str().as_bytes(), b"0", b""];
        match self.call_with(gil, &self.checked, "SETRANGE", &args) {
            Err(fault @ (StoreFault::Denied(_) | StoreFault::OutOfMemory)) => Err(fault),
            _ => Ok(()),
        }
    }

    /// A write waits for the graph's readers while it holds the server. Nothing can begin while we
    /// hold it, so "no reader now" stays true until the write is done.
    fn has_no_reader(&self, gil: &Gil, write: &Write) -> Result<(), StoreFault> {
        let reply = self.call(gil, "GRAPH.INFO", &[b"RunningQueries", b"WaitingQueries"])?;
        let (reply, name) = (Node::brief(reply), write.graph.as_str().as_bytes());
        match reply::oldest_reader(&reply, name) {
            Some(age) if age > READER => Err(StoreFault::Readers),
            Some(age) if age > Duration::ZERO && !write.hurried => Err(StoreFault::Begun),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the change; returns the nodes that took it.
    pub(super) fn carry_out(
        &self,
        gil: &Gil,
        write: &Write,
        call: &Call<'_>,
    ) -> Result<Vec<NodeId>, StoreFault> {
        let graph = write.graph.as_str().as_bytes();
        let (rows, lookup) = match call {
            Call::Query(cypher) => return self.change(gil, graph, cypher),
            Call::Effect { rows, lookup } => (rows, lookup),
        };
        let found = self.call(gil, "GRAPH.RO_QUERY", &[graph, lookup])?;
        let targets = reply::targets(&Node::from(Ok(found)));
        let (plain, others) = targets.split(rows);
        let mut ids = Vec::with_capacity(rows.len());
        if !others.is_empty() {
            ids = self.change(gil, graph, &cypher::vectors(&write.rule, &others))?;
        }
        if let Some(attribute) = targets.attribute
            && !plain.is_empty()
        {
            let effect = effect::of(&plain, attribute);
            self.call_with(gil, &self.write, "GRAPH.EFFECT", &[graph, &effect])?;
            ids.extend(plain.iter().map(|row| row.node.id));
        }
        Ok(ids)
    }

    /// A query that writes; returns the nodes it names.
    fn change(&self, gil: &Gil, graph: &[u8], cypher: &[u8]) -> Result<Vec<NodeId>, StoreFault> {
        let reply = self.call_with(gil, &self.write, "GRAPH.QUERY", &[graph, cypher])?;
        Ok(reply::written_ids(&Node::from(Ok(reply))))
    }
}
