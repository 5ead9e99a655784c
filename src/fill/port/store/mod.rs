//! Requests to the store, and its answers.

mod read;
mod write;

pub(crate) use read::{
    Answer, Count, Cursor, Index, Marked, Query, Read, Seen, Selected, Selection, Source, Window,
};
pub(crate) use write::{
    Change, Conversion, Items, Job, Mark, NewIndex, Readers, Row, Write, Written,
};
