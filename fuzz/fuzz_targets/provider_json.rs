//! A response of an embedding service, read as vectors, as a refusal and as a wrong page.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vectorfill::fuzzing::provider_json(data));
