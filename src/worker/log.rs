//! The log: one line a pass and one a change of state, never one a node.

use std::fmt::Write as _;

use crate::fill::port::event::Report;
use crate::fill::status::{LaneState, Snapshot};
use crate::worker::port::{Level, Store};

/// What has been told, so that it is told once.
#[derive(Debug, Default)]
pub(super) struct Log {
    engine: Option<String>,
    server: String,
    lane: LaneState,
}

impl Log {
    /// A pass has ended. Nothing is told of one that found nothing to do.
    pub(super) fn pass(store: &dyn Store, report: &Report) {
        for (label, dimension) in &report.indexed {
            let graph = report.graph.as_str();
            let line =
                format!("index created graph={graph:?} label={label:?} dimension={dimension}");
            store.log(Level::Notice, &line);
        }
        if report.tally.is_eventful() {
            store.log(Level::Notice, &pass_line(report));
        }
    }

    /// The state of the server or the embedder may have changed.
    pub(super) fn states(&mut self, store: &dyn Store, snapshot: &Snapshot) {
        self.engine(store, snapshot);
        let server = format!("{:?}", snapshot.server);
        if server != self.server {
            store.log(Level::Notice, &format!("server state={server}"));
            self.server = server;
        }
        let lane = &snapshot.lane;
        // Being throttled is how a fill at full speed looks: nothing to be told each time.
        let state = if lane.state == LaneState::Throttled { LaneState::Ready } else { lane.state };
        if state != self.lane {
            let why = lane.reason.as_ref().map(|why| format!(" reason={why:?}"));
            let calm = state == LaneState::Ready;
            let level = if calm { Level::Notice } else { Level::Warning };
            store
                .log(level, &format!("embedder state={}{}", state.name(), why.unwrap_or_default()));
            self.lane = state;
        }
    }
}

impl Log {
    /// The engine may be another one.
    fn engine(&mut self, store: &dyn Store, snapshot: &Snapshot) {
        if self.engine == snapshot.engine.name {
            return;
        }
        self.engine.clone_from(&snapshot.engine.name);
        let Some(engine) = &self.engine else { return };
        if snapshot.engine.tested {
            store.log(Level::Notice, &format!("engine={engine:?} tested=yes"));
        } else {
            let words = "nobody has tried this version: vectors are written by queries";
            store.log(Level::Warning, &format!("engine={engine:?} tested=no {words}"));
        }
    }
}

/// `{:?}` quotes names and words, so that none can begin a line of its own.
fn pass_line(report: &Report) -> String {
    let mut line = format!("pass done graph={:?}", report.graph.as_str());
    // Writing to a String cannot fail. That it was one graph, the line says already.
    for (name, value) in report.tally.figures().iter().filter(|(name, _)| *name != "graphs") {
        write!(line, " {name}={value}").ok();
    }
    if let Some(error) = &report.tally.error {
        write!(line, " error={error:?}").ok();
    }
    line
}
