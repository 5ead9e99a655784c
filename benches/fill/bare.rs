//! A server with the engine and without the module.

use std::fs;
use std::net::TcpStream;

use crate::harness::{Server, Setup, path, wait_for};

pub fn start() -> Server {
    let mut setup = Setup::default();
    let file = setup.folder().join("redis.conf");
    fs::write(&file, format!("loadmodule {}\n", path("VECTORFILL_FALKORDB").display())).unwrap();
    setup.use_file(&file.to_string_lossy());
    setup.only_file();
    let server = setup.launch();
    wait_for("the bare server", || TcpStream::connect(("127.0.0.1", server.port)).ok());
    server
}
