//! The whole encoder, from a directory on disk to vectors.

mod directories;
pub(super) mod golden;
mod tiny;
mod vectors;
