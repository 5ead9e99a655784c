//! What happens in a simulated world from outside: clients, users, the server, the operator.

use crate::entity::{EntityId, GraphName, Text};
use crate::fill::port::event::{About, Event, QuarantineRequest};
use crate::fill::port::id::RunId;
use crate::fill::port::server::ServerState;
use crate::fill::port::settings::Settings;
use crate::fill::sim::*;

impl World {
    pub(super) fn create(&mut self, graph: &GraphName) {
        let kind = self.rng.u32(..20);
        let number = self.rng.u32(..30);
        let text = match kind {
            0 => format!("poison {number}"),
            1 => String::new(),
            // A text that fails without a reason.
            2 if self.stumbles => format!("stumble {number}"),
            _ => format!("text {number}"),
        };
        let Some(nodes) = self.graphs.get_mut(graph) else { return };
        // The lowest free id: the engine reuses ids.
        let id = (0..1_000_000).find(|id| !nodes.contains_key(id)).unwrap();
        nodes.insert(id, Node { text, ..Node::default() });
    }

    /// A client changes the graphs.
    pub(super) fn meddle(&mut self) {
        let names: Vec<GraphName> = self.graphs.keys().cloned().collect();
        let Some(name) = self.rng.choice(names) else { return };
        let ids: Vec<u64> = self.graphs[&name].keys().copied().collect();
        let id = self.rng.choice(ids).unwrap_or(0);
        match self.rng.u32(..20) {
            0..8 => self.create(&name),
            8..13 => drop(self.graphs.get_mut(&name).unwrap().remove(&id)),
            13..18 => {
                let kind =
                    *self.rng.choice(["edited", "edited", "edited", "poison"].iter()).unwrap();
                let text = format!("{kind} {}", self.rng.u32(..1_000));
                if let Some(node) = self.graphs.get_mut(&name).unwrap().get_mut(&id) {
                    // An edit as a user makes it: the old vector goes with the old text, but the
                    // user does not know about the quarantine mark.
                    *node = Node { text, vector: None, error: node.error.take() };
                }
            }
            18 => {
                self.graphs.remove(&name);
                self.indexed.remove(&name);
            }
            _ => {
                // The name may have existed before, and is announced before the graph exists.
                let name = GraphName::new(&format!("g{}", self.rng.u32(..4)));
                self.tell(Event::Touched(name.clone()));
                self.graphs.entry(name.clone()).or_default();
                self.create(&name);
            }
        }
        self.tell(Event::Touched(name));
    }

    /// The server or a user does something.
    pub(super) fn disturb(&mut self) {
        match self.rng.u32(..10) {
            9 => self.query(),
            8 => self.ask(),
            // A service that changes its mind between two requests could not be told apart from one
            // that objects to the text.
            6 | 7 => {
                self.live(1);
                self.refusing = !self.refusing;
                self.live(1);
            }
            0 => {
                self.server = *[ServerState::Replica, ServerState::Loading, ServerState::NoEngine]
                    .get(self.rng.usize(..3))
                    .unwrap();
                self.tell(Event::ServerChanged);
            }
            1 => {
                self.server = ServerState::Ready;
                self.tell(Event::ServerChanged);
            }
            2 => {
                let mut replaced = BTreeSet::new();
                if self.rng.bool() {
                    replaced.extend(embedders());
                    self.in_flight.clear();
                    self.events.retain(|_, event| !matches!(event, Event::Embedded(_)));
                }
                let enabled = self.rng.u32(..4) > 0;
                let settings = Box::new(Settings { enabled, ..settings(self.seed) });
                self.tell(Event::Configured { settings, replaced });
            }
            _ => {
                self.run_ids += 1;
                let name = GraphName::new(&format!("g{}", self.rng.u32(..4)));
                let graph = self.rng.bool().then_some(name);
                let run = self.rng.bool().then_some(RunId(self.run_ids));
                self.runs.extend(run);
                self.tell(Event::Run { run, graph, rule: None });
            }
        }
    }

    /// A user asks for the vectors of some texts.
    fn query(&mut self) {
        self.run_ids += 1;
        let texts = (0..self.rng.usize(1..8)).map(|_| format!("text {}", self.rng.u32(..30)));
        let texts = texts.map(|text| Text::new(text.as_bytes(), MAX_CHARS)).collect();
        let embedder = self.rng.choice(embedders()).unwrap();
        self.runs.insert(RunId(self.run_ids));
        self.tell(Event::Query { run: RunId(self.run_ids), embedder, length: None, texts });
    }

    /// A user lists or releases the quarantined nodes.
    pub(super) fn ask(&mut self) {
        self.run_ids += 1;
        let (run, graph) =
            (RunId(self.run_ids), GraphName::new(&format!("g{}", self.rng.u32(..4))));
        let request = match self.rng.u32(..3) {
            0 => QuarantineRequest::List { most: self.rng.usize(1..10) },
            1 => QuarantineRequest::Release { ids: None },
            _ => QuarantineRequest::Release {
                ids: Some((0..self.rng.u64(1..20)).map(EntityId).collect()),
            },
        };
        self.runs.insert(run);
        self.tell(Event::Quarantine { run, about: About { graph, rule: None }, request });
    }
}
