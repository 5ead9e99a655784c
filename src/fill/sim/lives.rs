//! The simulated lives: each ends in calm, with nothing missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::entity::GraphName;
use crate::fill::Filler;
use crate::fill::port::event::{Action, Event};
use crate::fill::port::fault::StoreFault;
use crate::fill::port::id::RunId;
use crate::fill::port::server::{ServerState, Survey};
use crate::fill::schedule::SURVEY_AGAIN;
use crate::fill::sim::*;

fn one_life(seed: u64) {
    let mut world = World::new(seed);
    // A text that every service accepts: without one, a poison cannot be told from a bad request.
    let name = world.graphs.keys().next().cloned().unwrap();
    world
        .graphs
        .get_mut(&name)
        .unwrap()
        .insert(500, Node { text: "good".into(), ..Node::default() });
    world.tell(Event::Tick);
    for _ in 0..world.rng.u32(..40) {
        let pause = world.rng.u64(..4);
        world.live(pause);
        if world.malice > 0 && world.rng.u32(..4) == 0 {
            world.disturb();
        } else {
            world.meddle();
        }
    }
    // The world calms down; everything broken is fixed.
    world.malice = 0;
    world.refusing = false;
    world.server = ServerState::Ready;
    world.tell(Event::ServerChanged);
    world.tell(Event::Configured { settings: Box::new(settings(seed)), replaced: BTreeSet::new() });
    if !world.scheduled {
        // Nodes left pending by a fault are taken up on request.
        world.live(5);
        world.run_ids += 1;
        world.runs.insert(RunId(world.run_ids));
        world.tell(Event::Run { run: Some(RunId(world.run_ids)), graph: None, rule: None });
        world.live(100);
    }
    let healthy = GraphName::new("healthy");
    world.graphs.insert(
        healthy.clone(),
        BTreeMap::from([(1, Node { text: "ok".into(), ..Node::default() })]),
    );
    world.tell(Event::Touched(healthy));
    // The longest time a rejected service is left alone, and then some.
    world.live(900);
    // Scheduled passes keep hitting faults, but each of them still ends.
    (0..900).any(|_| {
        world.live(1);
        !world.filler.is_busy()
    });
    world.assert_complete();
}

/// A survey holds the server: one that cannot be filled must not be surveyed endlessly.
#[test]
fn a_server_that_cannot_be_filled_is_looked_at_after_a_pause() {
    let mut now = Instant::now();
    let mut filler = Filler::new(settings(1), 1, now);
    let mut surveys = |filler: &mut Filler, event, after| {
        now += after;
        filler.handle(now, event);
        std::iter::from_fn(|| filler.poll()).filter(|a| matches!(a, Action::Survey)).count()
    };
    let refused = || Event::Surveyed(Err(StoreFault::Replica));
    assert_eq!(surveys(&mut filler, Event::Tick, Duration::ZERO), 1);
    surveys(&mut filler, Event::Surveyed(Ok(Survey::default())), Duration::ZERO);
    surveys(&mut filler, Event::Touched(GraphName::new("new")), Duration::ZERO);
    assert_eq!(
        surveys(&mut filler, Event::Tick, Duration::from_millis(60)),
        1,
        "for the new graph"
    );
    assert_eq!(surveys(&mut filler, refused(), Duration::ZERO), 0);
    // Each event takes a nanosecond.
    let pause = SURVEY_AGAIN + Duration::from_millis(1);
    assert_eq!(surveys(&mut filler, Event::Tick, pause), 1);
}

/// The seeds of the simulated lives; `VECTORFILL_SEEDS=from..to` selects others.
fn seeds() -> std::ops::Range<u64> {
    let range = std::env::var("VECTORFILL_SEEDS").unwrap_or_default();
    let parsed =
        range.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or(0..10_000)
}

#[test]
fn nothing_is_lost_and_no_vector_stands_on_a_wrong_text() {
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| one_life(seed));
        if let Err(panic) = outcome {
            let next = seed + 1;
            eprintln!("again: VECTORFILL_SEEDS={seed}..{next} cargo test --lib sim");
            std::panic::resume_unwind(panic);
        }
    }
}
