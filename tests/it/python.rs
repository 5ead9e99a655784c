//! The engine's own client library for Python.

use std::process::Command;

use testkit::harness::{Setup, path};
use testkit::service::{Service, vector_of};

#[test]
fn falkordb_py_reads_a_reply_of_query_like_one_of_the_engine() {
    let service = Service::start(8);
    let server = Setup::with(&service).start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/query_result.py");
    let vector = format!("{:?}", vector_of("fruit", 8));
    let mut python = Command::new(path("VECTORFILL_PYTHON"));
    let output = python.args([script, &server.port.to_string(), &vector]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
