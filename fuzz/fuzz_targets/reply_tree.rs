//! A reply of the engine, read as the answer to each of our queries.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vectorfill::fuzzing::reply_tree(data));
