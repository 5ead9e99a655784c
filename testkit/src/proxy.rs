//! An HTTP proxy on loopback: whatever address it is asked for, it leads to one service.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::harness::LIMIT;

/// Where a request through the proxy ends up, and on what condition.
#[derive(Clone, Copy)]
pub struct Route {
    /// The service's port.
    pub to: u16,
    /// Whoever sends no user and password is refused.
    pub wants_password: bool,
}

/// The proxy; it lives as long as the test's process.
pub struct Proxy {
    pub port: u16,
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    pub fn start(route: Route) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self { port, connections: Arc::default() };
        let connections = Arc::clone(&proxy.connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connections = Arc::clone(&connections);
                // An error is a party's going away.
                std::thread::spawn(move || serve(stream, route, &connections).ok());
            }
        });
        proxy
    }

    /// What clients have sent, one item a connection.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.connections.lock().unwrap().clone()
    }

    /// [`heard`](Self::heard), as far as it is text.
    pub fn text(&self) -> String {
        self.heard().iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
    }
}

fn serve(
    mut client: TcpStream,
    route: Route,
    connections: &Arc<Mutex<Vec<Vec<u8>>>>,
) -> std::io::Result<()> {
    client.set_read_timeout(Some(LIMIT))?;
    let head = read_head(&mut client)?;
    let place = {
        let mut connections = connections.lock().unwrap();
        connections.push(head.clone());
        connections.len() - 1
    };
    let words = String::from_utf8_lossy(&head).to_lowercase();
    if route.wants_password && !words.contains("\r\nproxy-authorization: ") {
        let refusal = "HTTP/1.1 407 No\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
        return client.write_all(refusal.as_bytes());
    }
    let mut service = TcpStream::connect(("127.0.0.1", route.to))?;
    if words.starts_with("connect ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    } else {
        service.write_all(&head)?;
    }
    let (mut back, mut to_client) = (service.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        std::io::copy(&mut back, &mut to_client).ok();
        to_client.shutdown(Shutdown::Both).ok();
    });
    let mut bytes = [0; 65_536];
    loop {
        let read = client.read(&mut bytes)?;
        if read == 0 {
            return service.shutdown(Shutdown::Both);
        }
        connections.lock().unwrap()[place].extend_from_slice(&bytes[..read]);
        service.write_all(&bytes[..read])?;
    }
}

/// Everything up to the end of the head, and what has come with it.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut bytes = [0; 65_536];
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&bytes[..read]);
    }
    Ok(head)
}
