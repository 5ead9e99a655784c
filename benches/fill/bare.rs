//! A server with the engine and without the module.

use std::fs;
use std::net::TcpStream;

use testkit::harness::{Server, Setup, path, wait_for};

pub fn start() -> Server {
    let mut setup = Setup::default();
    let file = setup.folder().join("redis.conf");
    // A first query that comes early waits for ever if the engine collects finished ones by then:
    // see the harness.
    let engine = path("VECTORFILL_FALKORDB");
    fs::write(&file, format!("loadmodule {} CMD_INFO no\n", engine.display())).unwrap();
    setup.use_file(&file.to_string_lossy());
    setup.only_file();
    let server = setup.launch();
    wait_for("the bare server", || TcpStream::connect(("127.0.0.1", server.port)).ok());
    server.connect().call::<String>(&["GRAPH.CONFIG", "SET", "CMD_INFO", "yes"]);
    server
}
