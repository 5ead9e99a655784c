//! What users and services write: settings, headers, error messages, texts.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vectorfill::fuzzing::parsers(data));
