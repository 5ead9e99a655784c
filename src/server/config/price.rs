//! What the embedders' tokens cost.

use crate::embed::provider::price::Price;
use crate::rule::name::EmbedderName;
use crate::server::config::{definitions, embedder};

/// What an embedder's tokens cost; `None` = not known.
pub(in crate::server) fn price(name: &EmbedderName) -> Option<Price> {
    match definitions::current().embedders.get(name) {
        Some(wanted) => wanted.price(),
        None if *name == EmbedderName::default_embedder() => embedder::wanted().ok()?.price(),
        None => None,
    }
}
