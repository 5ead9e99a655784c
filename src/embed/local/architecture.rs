//! The networks that can be run.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Bert { token_types: usize },
    MpNet,
}
