//! The lanes: one for each embedder, so that one that is slow, throttled or down delays nobody but
//! its own rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::fill::lane::{Follow, Lane};
use crate::fill::port::id::RunId;
use crate::fill::port::settings::LaneSettings;
use crate::fill::status::{LaneFigures, QueryFigures};
use crate::rule::name::EmbedderName;

/// All lanes, by the name of their embedder.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: BTreeMap<EmbedderName, Lane>,
    seed: u64,
}

impl Lanes {
    /// A lane for each embedder. `seed` determines the jitter of their backoffs.
    pub(crate) fn new(settings: &BTreeMap<EmbedderName, LaneSettings>, seed: u64) -> Self {
        let mut lanes = Self { lanes: BTreeMap::new(), seed };
        lanes.add(settings);
        lanes
    }

    fn add(&mut self, settings: &BTreeMap<EmbedderName, LaneSettings>) {
        for (name, settings) in settings {
            let number = self.lanes.len() as u64;
            let seed = self.seed.wrapping_add(number);
            self.lanes
                .entry(name.clone())
                .or_insert_with(|| Lane::new(name.clone(), settings, seed));
        }
    }

    /// Applies new settings. The embedders in `replaced` are new under an old name: what their lane
    /// has learned is forgotten, and what is in flight there is sent again.
    pub(crate) fn configure(
        &mut self,
        settings: &BTreeMap<EmbedderName, LaneSettings>,
        replaced: &BTreeSet<EmbedderName>,
    ) {
        for (name, lane) in &mut self.lanes {
            match settings.get(name) {
                Some(settings) => {
                    if replaced.contains(name) {
                        lane.reset(settings);
                    }
                    lane.configure(settings);
                }
                None => lane.close_down(),
            }
        }
        self.add(settings);
    }

    /// Forgets the lanes of embedders that are gone, once what they left behind has been followed.
    pub(crate) fn keep(&mut self, settings: &BTreeMap<EmbedderName, LaneSettings>) {
        self.lanes.retain(|name, _| settings.contains_key(name));
    }

    /// The lane to an embedder.
    pub(crate) fn get(&self, name: &EmbedderName) -> Option<&Lane> {
        self.lanes.get(name)
    }

    /// The lane to an embedder, mutably.
    pub(crate) fn get_mut(&mut self, name: &EmbedderName) -> Option<&mut Lane> {
        self.lanes.get_mut(name)
    }

    /// The names of all lanes.
    pub(crate) fn names(&self) -> Vec<EmbedderName> {
        self.lanes.keys().cloned().collect()
    }

    /// Every lane.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&EmbedderName, &Lane)> {
        self.lanes.iter()
    }

    /// Changes every lane.
    pub(crate) fn each(&mut self, change: impl FnMut(&mut Lane)) {
        self.lanes.values_mut().for_each(change);
    }

    /// The next thing for others to do, and the lane it comes from.
    pub(crate) fn poll(&mut self) -> Option<(EmbedderName, Follow)> {
        self.lanes.iter_mut().find_map(|(name, lane)| Some((name.clone(), lane.poll()?)))
    }

    /// The user no longer waits.
    pub(crate) fn close(&mut self, run: RunId) {
        self.each(|lane| lane.close(run));
    }

    /// Whether users are waiting for answers.
    pub(crate) fn is_awaited(&self) -> bool {
        self.lanes.values().any(Lane::is_awaited)
    }

    /// Whether any lane needs an operator, or may be what a new setting repairs.
    pub(crate) fn is_any_rejected(&self) -> bool {
        self.lanes.values().any(|lane| lane.rejection().is_some())
    }

    /// When a waiting request may be sent, or something expires.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.lanes.values().filter_map(|lane| lane.deadline(now)).min()
    }

    /// As STATUS shows them.
    pub(crate) fn figures(
        &self,
        now: Instant,
    ) -> BTreeMap<EmbedderName, (LaneFigures, QueryFigures)> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), lane.figures(now))).collect()
    }
}
