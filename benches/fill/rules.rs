//! Rules: what a defined one costs beside that of the settings, relationships, and many rules with
//! nothing to do.

use std::time::Instant;

use crate::options::{Options, SHORT};
use crate::proc::Cpu;
use crate::report::Section;
use crate::service::{Latency, Service};
use crate::stage::{GRAPH, Stage, text_of};
use crate::stats::{Samples, number, ratio};
use testkit::harness::{Redis, Setup, Tally, wait_for};

/// What the settings of the benchmark define as well.
const SAME: &str = "RULE docs NODE Doc TEXT text INTO embedding INDEX no";
const FACTS: &str = "RULE facts REL FACT TEXT fact INTO embedding INDEX no";
/// Numbers in the vector of a fact.
const FACT_DIMENSIONS: usize = 384;
/// Relationships that begin at each node.
const DEGREE: usize = 10;
/// Relationships created by one query.
const CHUNK: usize = 20_000;
/// Relationships that the plain client writes: it takes as long for each.
const PLAIN: usize = 2_000;
/// Rules of each graph that has nothing to do.
const RULES: usize = 3;
const THREE: &str = "RULE texts NODE Doc TEXT text INTO embedding\n\
                     RULE titles NODE Doc TEXT title INTO title_embedding\n\
                     RULE facts REL FACT TEXT fact INTO embedding";

pub fn measure(options: &Options) {
    let about = format!(
        "A fill of nodes by a defined rule, in turn with the same fill by the settings' rule, without \
         an index. Relationships of {FACT_DIMENSIONS} dimensions, {DEGREE} to a node, with a service \
         without latency; a plain client has their vectors already, and writes each with a query of \
         its own, {} of them. An idle pass is a `VECTORFILL.RUN` of all graphs that finds nothing to \
         do; each graph has two nodes and a relationship, and {RULES} rules that fill them.",
        number(PLAIN as f64)
    );
    let mut section = Section::new("rules", "Rules", &about);
    section.head(&["what", "figure", "against", "ratio"]);
    section.row(&by_rule(options));
    section.row(&relationships(options));
    idle(options).into_iter().for_each(|row| section.row(&row));
    section.finish();
}

/// A row of two contenders, measured in turn.
fn row(what: String, ours: &Samples, theirs: &Samples) -> Vec<String> {
    let quotient = ratio(ours.median() / theirs.median());
    vec![what, ours.show(), theirs.show(), quotient]
}

/// A server whose settings fill nothing, with these rules.
fn defined(options: &Options, service: &Service, rules: &str) -> Stage {
    let mut setup = Setup::with(service).set("graphs", "no-graph");
    for (name, value) in &options.set {
        setup = setup.set(name, value);
    }
    Stage::of(setup.env("VECTORFILL_DEFINITIONS", rules))
}

fn by_rule(options: &Options) -> Vec<String> {
    let (nodes, dimensions) = (options.nodes[0], options.dimensions[0]);
    let service = Service::start(dimensions, Latency::COMMON);
    let (mut ruled, mut set) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let mut stage = defined(options, &service, SAME);
        ruled.push(filled(&mut stage, nodes, &service));
        let mut stage = Stage::empty(options, &service);
        stage.configure("label", "Doc");
        set.push(filled(&mut stage, nodes, &service));
    }
    let what = format!(
        "{} × {dimensions} by a defined rule, nodes/s; by the settings'",
        number(nodes as f64)
    );
    row(what, &ruled, &set)
}

fn filled(stage: &mut Stage, nodes: usize, service: &Service) -> f64 {
    stage.create(nodes, "'some text ' + toString(i)", "");
    let rate = stage.fill();
    stage.check(&service.vectors);
    rate
}

fn relationships(options: &Options) -> Vec<String> {
    let count = options.relationships;
    let service = Service::start(FACT_DIMENSIONS, Latency::NONE);
    let (mut ours, mut plain) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let mut stage = defined(options, &service, FACTS);
        relate(&mut stage.redis, count);
        let took = stage.run();
        ours.push(count as f64 / took.as_secs_f64());
        check(&mut stage.redis, &service, count);

        let mut stage = defined(options, &service, FACTS);
        relate(&mut stage.redis, count);
        plain.push(one_by_one(&mut stage.redis, &service, count));
    }
    let what = format!(
        "{} relationships × {FACT_DIMENSIONS}, relationships/s; one query each, by a plain client",
        number(count as f64)
    );
    row(what, &ours, &plain)
}

/// Relationships with distinct facts, each node's to the next ones.
fn relate(redis: &mut Redis, count: usize) {
    let nodes = count.div_ceil(DEGREE);
    redis.query(GRAPH, &format!("UNWIND range(0, {}) AS i CREATE (:Doc {{id: i}})", nodes - 1));
    redis.query(GRAPH, "CREATE INDEX FOR (n:Doc) ON (n.id)");
    wait_for("the index of ids", || {
        let built =
            "CALL db.indexes() YIELD status WHERE status = 'OPERATIONAL' RETURN count(status)";
        (redis.number(GRAPH, built) == 1).then_some(())
    });
    for first in (0..count).step_by(CHUNK) {
        let last = (first + CHUNK).min(count) - 1;
        redis.query(
            GRAPH,
            &format!(
                "UNWIND range({first}, {last}) AS i \
                 MATCH (a:Doc {{id: i / {DEGREE}}}) \
                 MATCH (b:Doc {{id: (i / {DEGREE} + i % {DEGREE} + 1) % {nodes}}}) \
                 CREATE (a)-[:FACT {{fact: 'some text ' + toString(i)}}]->(b)"
            ),
        );
    }
    let all = redis.number(GRAPH, "MATCH ()-[r:FACT]->() RETURN count(r)");
    assert_eq!(all, count as i64, "relationships created");
}

/// A figure counts only if the work was done.
fn check(redis: &mut Redis, service: &Service, count: usize) {
    let filled = "MATCH ()-[r:FACT]->() WHERE r.embedding IS NOT NULL RETURN count(r)";
    assert_eq!(redis.number(GRAPH, filled), count as i64, "relationships with a vector");
    for fact in [0, count / 2, count - 1] {
        let (node, text) = (fact / DEGREE, text_of(fact));
        let query = format!(
            "MATCH (:Doc {{id: {node}}})-[r:FACT]->() WHERE r.fact = '{text}' RETURN r.embedding"
        );
        let vector = redis.vector(GRAPH, &query).unwrap();
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        let wanted = service.vectors.numbers(&text);
        assert!(vector.len() == wanted.len() && vector.iter().zip(&wanted).all(near));
    }
}

/// Relationships a second of a client that knows the ends of each and writes one after the other.
fn one_by_one(redis: &mut Redis, service: &Service, count: usize) -> f64 {
    let few = PLAIN.min(count);
    let begun = Instant::now();
    for fact in 0..few {
        let mut query = format!(
            "CYPHER node={} other={} fact='{}' vector=",
            fact / DEGREE,
            (fact / DEGREE + fact % DEGREE + 1) % count.div_ceil(DEGREE),
            text_of(fact)
        );
        service.vectors.cypher(&text_of(fact), &mut query);
        query += " MATCH (:Doc {id: $node})-[r:FACT]->(:Doc {id: $other}) WHERE r.fact = $fact \
                  SET r.embedding = vecf32($vector)";
        redis.query(GRAPH, &query);
    }
    let took = begun.elapsed();
    let filled = "MATCH ()-[r:FACT]->() WHERE r.embedding IS NOT NULL RETURN count(r)";
    assert_eq!(redis.number(GRAPH, filled), few as i64, "relationships with a vector");
    few as f64 / took.as_secs_f64()
}

/// Passes over many graphs that have nothing to do.
fn idle(options: &Options) -> [Vec<String>; 2] {
    let graphs = options.ruled;
    let service = Service::start(SHORT, Latency::NONE);
    let mut stage = defined(options, &service, THREE);
    for graph in 0..graphs {
        let text = text_of(graph);
        let query = format!(
            "CREATE (:Doc {{text: '{text}', title: 'title of {text}'}})\
             -[:FACT {{fact: 'fact of {text}'}}]->(:Other)"
        );
        stage.redis.query(&format!("tenant{graph}"), &query);
    }
    let written = run(&mut stage.redis).number("written");
    assert_eq!(written, (graphs * RULES) as i64, "vectors written");
    let (mut ran, mut took) = (Samples::default(), Samples::default());
    for _ in 0..options.rounds {
        let (before, begun) = (Cpu::of(stage.server.pid()), Instant::now());
        let tally = run(&mut stage.redis);
        took.push(begun.elapsed().as_secs_f64());
        ran.push(Cpu::of(stage.server.pid()).since(&before).total().as_secs_f64());
        assert_eq!(tally.number("selected"), 0, "entities found by an idle pass");
    }
    let what =
        |unit: &str| format!("idle pass, {} graphs × {RULES} rules, {unit}", number(graphs as f64));
    let each = number(ran.median() * 1e3 / graphs as f64);
    let row = |unit: &str, figure: String| vec![what(unit), figure, "–".into(), "–".into()];
    let whole = format!("{} (in {} s)", ran.show(), number(took.median()));
    [row("s of a core", whole), row("ms of a core a graph", each)]
}

/// A pass over all graphs.
fn run(redis: &mut Redis) -> Tally {
    Tally(redis.call(&["VECTORFILL.RUN", "WAIT", "0"]))
}
