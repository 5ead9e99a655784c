//! Whose turn it is: embedder by embedder, urgent rules first, and otherwise in turn.

use std::cmp::Reverse;
use std::ops::Bound::{Excluded, Unbounded};

use crate::entity::GraphName;
use crate::fill::schedule::bindings::Bindings;
use crate::rule::Binding;
use crate::rule::name::EmbedderName;

impl Bindings {
    /// The embedders that a pass is requested for.
    pub(crate) fn wanted_embedders(&self) -> Vec<EmbedderName> {
        let mut names: Vec<EmbedderName> = Vec::new();
        let mut rest = self.wanted.range(..);
        while let Some((name, ..)) = rest.next() {
            names.push(name.clone());
            // Past everything of this embedder.
            let last = (name.clone(), Reverse(i32::MIN), Binding::last());
            rest = self.wanted.range((Excluded(last), Unbounded));
        }
        names
    }

    /// A binding of this embedder whose pass may begin, with its priority: of the most urgent ones,
    /// the one after the binding that was served last.
    pub(crate) fn next_wanted(&self, embedder: &EmbedderName) -> Option<(i32, Binding)> {
        let first = (embedder.clone(), Reverse(i32::MAX), Binding::first(&GraphName::new("")));
        let (_, level, first) =
            self.wanted.range(first..).next().filter(|(name, ..)| name == embedder)?;
        let after = self.turn.clone().map(|turn| (embedder.clone(), *level, turn));
        let next = after.and_then(|after| {
            let next = self.wanted.range((Excluded(after), Unbounded)).next();
            next.filter(|(name, next, _)| name == embedder && next == level)
        });
        Some((level.0, next.map_or(first, |(_, _, next)| next).clone()))
    }

    /// The binding that is served now.
    pub(crate) fn serve(&mut self, binding: &Binding) {
        self.turn = Some(binding.clone());
    }

    /// Bindings with a pass, beginning after the one that was served last.
    pub(crate) fn in_turn(&self) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = self.passes.keys().cloned().collect();
        if let Some(turn) = &self.turn {
            let after = bindings.partition_point(|binding| binding <= turn);
            bindings.rotate_left(after);
        }
        bindings
    }

    /// The same, only those that need this embedder. Rules with a higher priority come first,
    /// except for one turn in twenty, in which they come last.
    pub(crate) fn in_turn_for(&mut self, embedder: &EmbedderName) -> Vec<Binding> {
        const LOW_TURN: u32 = 20;
        self.turns = self.turns.wrapping_add(1);
        let low = self.turns.is_multiple_of(LOW_TURN);
        let priority = |binding: &Binding| {
            let pass = self.passes.get(binding);
            pass.filter(|pass| pass.rule().embedder == *embedder).map(|pass| pass.rule().priority)
        };
        let bindings = self.in_turn().into_iter();
        let mut ranked: Vec<(i32, Binding)> =
            bindings.filter_map(|binding| Some((priority(&binding)?, binding))).collect();
        // Stable: equal ones keep their turn.
        ranked.sort_by_key(|(priority, _)| if low { *priority } else { -*priority });
        ranked.into_iter().map(|(_, binding)| binding).collect()
    }
}
