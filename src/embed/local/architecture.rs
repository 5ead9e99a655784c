//! The supported network architectures. Both are encoders whose layers normalise after each
//! residual sum, as in the BERT paper; they differ in positions and tensor names.

/// An architecture, from `model_type` in config.json.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// BERT; `token_types` = rows of its token-type table.
    Bert { token_types: usize },
    /// `MPNet`, with relative position biases.
    MpNet,
}
