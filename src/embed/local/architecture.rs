//! The supported network architectures.

/// An architecture, from `model_type` in config.json.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// BERT; `token_types` = rows of its token-type table.
    Bert { token_types: usize },
    /// `MPNet`, with relative position biases.
    MpNet,
}
