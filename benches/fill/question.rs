//! What a question takes, beyond the service and the query that it consists of.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::{FromRedisValue, Value};

use crate::options::Options;
use crate::peers;
use crate::report::Section;
use crate::service::{Latency, Service, message};
use crate::stage::{GRAPH, Stage};
use crate::stats::{Samples, ms, number, quantile, ratio};
use crate::vectors::Vectors;
use crate::writer::{Client, command};
use testkit::harness::wait_for;

const LATENCY: Latency = Latency { request: Duration::from_millis(50), text: Duration::ZERO };
/// Requests of a fill: the default of `concurrency`, less the place that is kept for questions.
const SATURATED: i64 = 7;
/// Questions of a round.
const TURNS: usize = 100;
/// Nodes that are filled in a round, while questions come.
const BACKFILL: usize = 100_000;
/// Nodes of an answer.
const NEAREST: usize = 10;
/// The nodes that are asked for: a fill beside them leaves their index alone.
const LABEL: &str = "Known";

pub fn measure(options: &Options) {
    let (nodes, dimensions) = (options.nodes[0], options.dimensions[0]);
    let about = format!(
        "`VECTORFILL.QUERY` for the {NEAREST} nearest of {} nodes with {dimensions} dimensions. *In \
         parts*: the same request sent to the service, which takes {} ms, and then the same \
         `GRAPH.RO_QUERY` with the vector ready-made; of a known question, the query alone. Both \
         ways take turns. Medians, and in brackets half of the questions.",
        number(nodes as f64),
        number(ms(LATENCY.request)),
    );
    let mut section = Section::new("question", "Questions", &about);
    let service = Service::start(dimensions, LATENCY);
    let mut asker = Asker::new(options, &service);
    section.head(&["question", "asked", "in parts, ms", "`QUERY`, ms", "added, ms"]);
    for (name, known) in [("fresh", false), ("known", true)] {
        let mut row = Row::default();
        (0..options.rounds * TURNS).for_each(|turn| asker.turn(turn, known, &mut row));
        let asked = (options.rounds * TURNS).to_string();
        let figures = [row.parts, row.whole, row.added].map(|samples| samples.show_half());
        section.row(&[vec![name.to_owned(), asked], figures.to_vec()].concat());
    }
    section.paragraph(&format!(
        "Fresh questions, one after the other, beside a fill of {} nodes by the same service; the \
         service alone is asked meanwhile, too. The ratio is that of the question's 99th percentile \
         to the service's median.",
        number(BACKFILL as f64)
    ));
    section.head(&[
        "nodes/s meanwhile",
        "asked",
        "service, p50, ms",
        "p99, ms",
        "`QUERY`, p50, ms",
        "p99, ms",
        "ratio",
    ]);
    section.row(&beside_fills(options, &mut asker));
    section.finish();
}

/// Somebody who asks: in one command, and in its parts.
struct Asker<'a> {
    stage: Stage,
    vectors: &'a Vectors,
    client: Client,
    service: TcpStream,
}

/// How a question is asked.
#[derive(Clone, Copy)]
enum Way {
    Parts,
    Whole,
}

#[derive(Default)]
struct Row {
    parts: Samples,
    whole: Samples,
    added: Samples,
}

impl<'a> Asker<'a> {
    /// The nodes have their vectors and their index.
    fn new(options: &Options, service: &'a Service) -> Self {
        let mut stage = Stage::empty(options, service);
        let create = format!(
            "UNWIND range(1, {}) AS i CREATE (:{LABEL} {{text: 'known text ' + toString(i)}})",
            options.nodes[0]
        );
        let index = format!(
            "CREATE VECTOR INDEX FOR (n:{LABEL}) ON (n.embedding) \
             OPTIONS {{dimension: {}, similarityFunction: 'cosine'}}",
            options.dimensions[0]
        );
        stage.redis.query(GRAPH, &create);
        stage.redis.query(GRAPH, &index);
        stage.run();
        stage.wait_for_index();
        let client = Client::new(stage.server.port);
        let connection = TcpStream::connect(("127.0.0.1", service.port)).unwrap();
        connection.set_nodelay(true).unwrap();
        let mut asker = Self { stage, vectors: &service.vectors, client, service: connection };
        asker.check();
        asker
    }

    /// A figure counts only if both ways find the same, and as much as is asked for.
    fn check(&mut self) {
        let (text, nearest) = ("a question to begin with", nearest());
        let ready = with_vector(self.vectors, text);
        let asked = ["VECTORFILL.QUERY", GRAPH, &nearest, "TEXT", text];
        let found = [&["GRAPH.RO_QUERY", GRAPH, &ready][..], &asked].map(|words| {
            let reply: Vec<Value> = self.stage.redis.call(words);
            Vec::<(i64, String)>::from_redis_value(reply[1].clone()).unwrap()
        });
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0].len(), NEAREST);
    }

    /// Who comes first takes turns, too: the second finds warm what the first has read.
    fn turn(&mut self, turn: usize, known: bool, row: &mut Row) {
        let text = if known { "question".to_owned() } else { format!("question {turn}") };
        let request = (!known).then(|| peers::request(std::slice::from_ref(&text)));
        let (asked, ready) = (asked(&text), ready(self.vectors, &text));
        if known {
            self.client.call(&asked);
        }
        let mut times = [Duration::ZERO; 2];
        let mut order = [Way::Parts, Way::Whole];
        order.rotate_left(turn % 2);
        for way in order {
            times[way as usize] = time(|| match way {
                Way::Parts => {
                    if let Some(request) = &request {
                        exchange(&mut self.service, request);
                    }
                    self.client.call(&ready);
                }
                Way::Whole => self.client.call(&asked),
            });
        }
        let [parts, whole] = times;
        row.parts.push(ms(parts));
        row.whole.push(ms(whole));
        row.added.push(ms(whole) - ms(parts));
    }
}

fn nearest() -> String {
    format!(
        "CALL db.idx.vector.queryNodes('{LABEL}', 'embedding', {NEAREST}, vecf32($vector)) \
         YIELD node, score RETURN ID(node), score"
    )
}

fn asked(text: &str) -> Vec<u8> {
    command(&["VECTORFILL.QUERY", GRAPH, &nearest(), "TEXT", text])
}

fn ready(vectors: &Vectors, text: &str) -> Vec<u8> {
    command(&["GRAPH.RO_QUERY", GRAPH, &with_vector(vectors, text)])
}

fn with_vector(vectors: &Vectors, text: &str) -> String {
    let mut query = "CYPHER vector=".to_owned();
    vectors.cypher(text, &mut query);
    format!("{query} {}", nearest())
}

fn exchange(service: &mut TcpStream, request: &[u8]) {
    service.write_all(request).unwrap();
    message(service).unwrap();
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// The row of all rounds.
fn beside_fills(options: &Options, asker: &mut Asker<'_>) -> Vec<String> {
    let (mut questions, mut requests, mut rate) = (Vec::new(), Vec::new(), Samples::default());
    for round in 1..=options.rounds {
        rate.push(beside_fill(asker, round, &mut questions, &mut requests));
    }
    questions.sort();
    requests.sort();
    let [service, slow_service] = [500, 990].map(|part| ms(quantile(&requests, part)));
    let [common, slow] = [500, 990].map(|part| ms(quantile(&questions, part)));
    let figures = [service, slow_service, common, slow].map(number);
    let asked = questions.len().to_string();
    [vec![rate.show(), asked], figures.to_vec(), vec![ratio(slow / service)]].concat()
}

/// Asks as long as a fill goes on; nodes a second of the fill.
fn beside_fill(
    asker: &mut Asker<'_>,
    round: usize,
    questions: &mut Vec<Duration>,
    requests: &mut Vec<Duration>,
) -> f64 {
    asker.stage.create(BACKFILL, &format!("'some text {round} ' + toString(i)"), "");
    let mut status = asker.stage.server.connect();
    let Asker { stage, client, service, .. } = asker;
    let done = AtomicBool::new(false);
    let goes_on = || !done.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| {
            let took = stage.run();
            done.store(true, Ordering::Relaxed);
            took
        });
        wait_for("the fill", || {
            (status.status().get("embedder").number("in_flight") >= SATURATED).then_some(())
        });
        scope.spawn(|| {
            let request = peers::request(&["somebody else".to_owned()]);
            while goes_on() {
                requests.push(time(|| exchange(service, &request)));
            }
        });
        for turn in (0..).take_while(|_| goes_on()) {
            let asked = asked(&format!("question {turn} beside fill {round}"));
            questions.push(time(|| client.call(&asked)));
        }
        BACKFILL as f64 / filling.join().unwrap().as_secs_f64()
    })
}
