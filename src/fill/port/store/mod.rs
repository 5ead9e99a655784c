//! Requests to the store, and its answers.

mod read;
mod write;

pub(crate) use read::{
    Answer, Count, Index, Marked, MarkedNode, Query, Read, Seen, Selection, Window,
};
pub(crate) use write::{Change, Job, Mark, NewIndex, Readers, Row, Write, Written};
