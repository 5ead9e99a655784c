//! What the command filter, which sees every command of every client, costs.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::bare;
use crate::options::Options;
use crate::proc::Cpu;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::Stage;
use crate::stats::Samples;
use testkit::harness::Server;

/// Commands sent at once: as an ordinary client does, and as many as the server can take.
const PIPELINES: [usize; 2] = [1, 64];
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";
/// The two servers take turns so short that what disturbs the machine disturbs both.
const TURN: Duration = Duration::from_millis(20);
/// Pairs of turns in a round.
const PAIRS: usize = 200;

/// A server, and a client of it.
struct Side {
    server: Server,
    client: TcpStream,
}

pub fn measure(options: &Options) {
    let about = "PINGs through one connection, on two servers in turn, by the time the server's main \
        thread ran: how many a second it could answer. The cost is \
        the median over the pairs of turns; in brackets half of the turns.";
    let mut section = Section::new("filter", "The command filter", about);
    section.head(&["commands at once", "without the module", "with it", "cost, %", "ns a command"]);
    let service = Service::start(8, Latency::NONE);
    let (bare, ours) = (bare::start(), Stage::empty(options, &service).server);
    let mut sides = [bare, ours].map(Side::new);
    for pipeline in PIPELINES {
        let [mut without, mut with, mut cost, mut each] = [(); 4].map(|()| Samples::default());
        for pair in 0..options.rounds * PAIRS {
            let [free, filtered] = turns(&mut sides, pipeline, pair);
            without.push(free);
            with.push(filtered);
            cost.push(100.0 * (1.0 - filtered / free));
            each.push(1e9 / filtered - 1e9 / free);
        }
        let figures = [without, with, cost, each].map(|samples| samples.show_half());
        section.row(&[vec![pipeline.to_string()], figures.to_vec()].concat());
    }
    section.finish();
}

/// PINGs a second of both sides; who comes first takes turns, too.
fn turns(sides: &mut [Side; 2], pipeline: usize, pair: usize) -> [f64; 2] {
    let order = if pair.is_multiple_of(2) { [0, 1] } else { [1, 0] };
    let mut rates = [0.0; 2];
    for at in order {
        rates[at] = sides[at].pings(pipeline);
    }
    rates
}

impl Side {
    fn new(server: Server) -> Self {
        let client = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        client.set_nodelay(true).unwrap();
        Self { server, client }
    }

    /// PINGs a second of the server's own time.
    fn pings(&mut self, pipeline: usize) -> f64 {
        let commands = PING.repeat(pipeline);
        let mut answers = vec![0; PONG.len() * pipeline];
        let before = Cpu::of(self.server.pid());
        let (begun, mut sent) = (Instant::now(), 0);
        while begun.elapsed() < TURN {
            self.client.write_all(&commands).unwrap();
            self.client.read_exact(&mut answers).unwrap();
            sent += pipeline;
        }
        assert!(answers.ends_with(PONG));
        sent as f64 / Cpu::of(self.server.pid()).since(&before).total().as_secs_f64()
    }
}
