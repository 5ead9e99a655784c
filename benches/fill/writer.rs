//! The engine's own limit: the same vectors, written by the best client there can be, without a
//! service and without a guard.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::stage::{GRAPH, Stage, text_of};
use crate::vectors::Vectors;

/// Nodes whose queries are made at once: ahead of time, and no more than fit into memory.
const AHEAD: usize = 5_000;

/// Writes every node of the stage; returns nodes a second, without what it took to make the queries.
pub fn write(stage: &Stage, vectors: &Vectors, rows: usize, writers: usize) -> f64 {
    let mut clients: Vec<Client> = (0..writers).map(|_| Client::new(stage.server.port)).collect();
    let mut took = Duration::ZERO;
    for first in (0..stage.nodes).step_by(AHEAD) {
        let queries = queries(vectors, first..(first + AHEAD).min(stage.nodes), rows);
        let next = AtomicUsize::new(0);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| {
                    while let Some(query) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
                        client.call(query);
                    }
                });
            }
        });
        took += begun.elapsed();
    }
    stage.nodes as f64 / took.as_secs_f64()
}

/// Whole commands, as they go over the wire. Flat lists are the shape that the engine reads fastest,
/// and an id in a plain variable is the one it finds at once.
pub fn queries(vectors: &Vectors, nodes: Range<usize>, rows: usize) -> Vec<Vec<u8>> {
    let starts = nodes.clone().step_by(rows);
    starts.map(|first| query(vectors, first..(first + rows).min(nodes.end))).collect()
}

fn query(vectors: &Vectors, nodes: Range<usize>) -> Vec<u8> {
    let ids: Vec<String> = nodes.clone().map(|node| node.to_string()).collect();
    let mut query = format!("CYPHER ids=[{}] vectors=[", ids.join(","));
    for node in nodes.clone() {
        let comma = if node > nodes.start { "," } else { "" };
        query += comma;
        vectors.cypher(&text_of(node), &mut query);
    }
    query += "] UNWIND range(0, size($ids) - 1) AS k WITH k, $ids[k] AS i \
              MATCH (n) WHERE ID(n) = i SET n.embedding = vecf32($vectors[k])";
    command(&["GRAPH.QUERY", GRAPH, &query])
}

pub fn command(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        write!(command, "${}\r\n{word}\r\n", word.len()).unwrap();
    }
    command.into_bytes()
}

/// A client that sends bytes as they are, and copies nothing while time is taken.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn call(&mut self, command: &[u8]) {
        self.0.get_mut().write_all(command).unwrap();
        self.skip();
    }

    /// Reads over one reply.
    pub fn skip(&mut self) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        assert_ne!(kind, "-", "{rest}");
        let number = rest.parse::<i64>().unwrap_or(0);
        match kind {
            "$" if number >= 0 => {
                let mut text = vec![0; number as usize + 2];
                self.0.read_exact(&mut text).unwrap();
            }
            "*" => (0..number).for_each(|_| self.skip()),
            _ => {}
        }
    }
}
