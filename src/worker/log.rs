//! The log: one line per pass and one per change of state, never one per node.
//!
//! Lines are made of `name=value`, for people and for programs:
//! `pass done graph="kb" selected=3 written=3 …`, `embedder state=ready`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::fill::port::event::Report;
use crate::fill::status::{LaneFigures, LaneState, Snapshot};
use crate::rule::name::{DEFAULT, EmbedderName};
use crate::worker::port::{Level, Store};

/// What was logged last, so that each state is logged once.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Its version; `None` = not known yet.
    engine: Option<String>,
    server: String,
    lanes: BTreeMap<EmbedderName, LaneState>,
    /// Embedders whose warning has been logged: it may come and go.
    warned: BTreeSet<EmbedderName>,
}

impl Log {
    /// Logs a finished pass, unless it found nothing to do.
    /// Indexes that it created come first, as a notice each: they cost memory, and nobody has typed
    /// the command.
    pub(super) fn pass(store: &dyn Store, report: &Report) {
        for (label, dimension) in &report.indexed {
            let graph = report.binding.graph.as_str();
            let line =
                format!("index created graph={graph:?} label={label:?} dimension={dimension}");
            store.log(Level::Notice, &line);
        }
        if report.tally.is_eventful() {
            store.log(Level::Notice, &pass_line(report));
        }
    }

    /// Logs changes in the state of the engine, the server or the embedder.
    /// Called with every published snapshot. What changes and changes back in between is not
    /// logged.
    pub(super) fn states(&mut self, store: &dyn Store, snapshot: &Snapshot) {
        self.engine(store, snapshot);
        let server = format!("{:?}", snapshot.server);
        if server != self.server {
            store.log(Level::Notice, &format!("server state={server}"));
            self.server = server;
        }
        for (name, (lane, _)) in &snapshot.lanes {
            self.lane(store, name, lane);
        }
    }

    /// A return to `ready` is a notice, anything else a warning. The default
    /// embedder is logged without a name.
    fn lane(&mut self, store: &dyn Store, name: &EmbedderName, lane: &LaneFigures) {
        let name_part = match name.as_str() {
            DEFAULT => String::new(),
            name => format!(" name={name}"),
        };
        if let Some(warning) = lane.warning.as_ref().filter(|_| !self.warned.contains(name)) {
            store.log(Level::Warning, &format!("embedder{name_part} warning={warning:?}"));
            self.warned.insert(name.clone());
        }
        // A fill at full speed is throttled now and then: not worth a line each time.
        let state = if lane.state == LaneState::Throttled { LaneState::Ready } else { lane.state };
        if self.lanes.get(name).copied().unwrap_or_default() == state {
            return;
        }
        let why = lane.reason.as_ref().map(|why| format!(" reason={why:?}")).unwrap_or_default();
        let calm = state == LaneState::Ready;
        let level = if calm { Level::Notice } else { Level::Warning };
        store.log(level, &format!("embedder{name_part} state={}{why}", state.name()));
        self.lanes.insert(name.clone(), state);
    }

    /// The embedder is a new one: it may be warned of, too.
    /// Its settings have changed, and so may what there is to warn of.
    pub(super) fn embedder_replaced(&mut self, name: &EmbedderName) {
        self.warned.remove(name);
    }

    /// Logs the engine's version when it has changed.
    fn engine(&mut self, store: &dyn Store, snapshot: &Snapshot) {
        if self.engine == snapshot.engine.name {
            return;
        }
        self.engine.clone_from(&snapshot.engine.name);
        let Some(engine) = &self.engine else { return };
        if snapshot.engine.tested {
            store.log(Level::Notice, &format!("engine={engine:?} tested=yes"));
        } else {
            let words = "this version is untested: vectors are written by queries";
            store.log(Level::Warning, &format!("engine={engine:?} tested=no {words}"));
        }
    }
}

/// `{:?}` quotes names and messages, so that none can start a line of its own.
fn pass_line(report: &Report) -> String {
    let mut line = format!("pass done graph={:?}", report.binding.graph.as_str());
    if report.binding.rule.as_str() != DEFAULT {
        write!(line, " rule={}", report.binding.rule).ok();
    }
    // Writing to a String cannot fail. The count of graphs is left out: it is always one.
    for (name, value) in report.tally.figures().iter().filter(|(name, _)| *name != "graphs") {
        write!(line, " {name}={value}").ok();
    }
    if let Some(error) = &report.tally.error {
        write!(line, " error={error:?}").ok();
    }
    line
}
