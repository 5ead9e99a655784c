//! The lane without the simulator: a request goes out, an answer comes in, and what follows is looked at.

#![expect(
    clippy::unnecessary_wraps,
    clippy::wildcard_enum_match_arm,
    reason = "a good answer stands beside bad ones, and a test looks for one thing that follows"
)]

use std::time::{Duration, Instant};

use crate::entity::{Entity, Text};
use crate::fill::fixture::binding;
use crate::fill::lane::batch::{Batch, Input};
use crate::fill::lane::space::Offer;
use crate::fill::lane::{Follow, Lane};
use crate::fill::port::embedding::{Completion, Embed, RateLimits, Reply};
use crate::fill::port::fault::{Says, ServiceFault};
use crate::fill::port::id::RunId;
use crate::fill::port::settings::LaneSettings;
use crate::fill::sim;
use crate::fill::status::LaneState;
use crate::rule::name::EmbedderName;

fn settings() -> LaneSettings {
    sim::settings(1).lanes.into_values().next().unwrap()
}

/// A lane, the time, and what it has asked for.
struct Bench {
    lane: Lane,
    now: Instant,
    asked: Vec<Embed>,
}

impl Bench {
    fn new() -> Self {
        let settings = LaneSettings { max_attempts: 5, ..settings() };
        let now = Instant::now();
        Self {
            lane: Lane::new(EmbedderName::default_embedder(), &settings, 7),
            now,
            asked: Vec::new(),
        }
    }

    fn send(&mut self, texts: &[&str]) {
        self.lane.begin_wave(self.now);
        self.lane.send(self.now, batch(texts));
        self.take_requests();
    }

    /// Takes what is to be sent, and leaves the rest.
    fn take_requests(&mut self) {
        let follows: Vec<Follow> = std::iter::from_fn(|| self.lane.poll()).collect();
        for follow in follows {
            match follow {
                Follow::Send(request, _) => self.asked.push(request),
                other => self.lane.follows.push_back(other),
            }
        }
    }

    /// Answers the oldest request.
    fn answer(&mut self, outcome: impl FnOnce(&Embed) -> Result<Reply, ServiceFault>) {
        let request = self.asked.remove(0);
        let outcome = outcome(&request);
        self.now += Duration::from_millis(10);
        self.lane.begin_wave(self.now);
        self.lane.complete(self.now, completed(&request, outcome), |_, _| None);
    }

    /// Users ask for these texts; returns how many requests are in flight some seconds later.
    fn ask(&mut self, texts: &[&str], seconds: u64) -> usize {
        for text in texts {
            let text = vec![Text::new(text.as_bytes(), 100)];
            self.lane.query(self.now, RunId(self.lane.sent + 1_000), None, text);
        }
        self.now += Duration::from_secs(seconds);
        self.lane.begin_wave(self.now);
        self.lane.send_queries(self.now, false);
        self.take_requests();
        self.asked.len()
    }

    fn follows(&mut self) -> Vec<Follow> {
        std::iter::from_fn(|| self.lane.poll()).collect()
    }

    /// Lets suspects be resolved, and answers what that asks for until nothing more is asked.
    fn resolve(&mut self, outcome: impl Fn(&Embed) -> Result<Reply, ServiceFault>) {
        for _ in 0..100 {
            self.now += Duration::from_secs(1);
            self.lane.begin_wave(self.now);
            self.lane.resolve_suspects(self.now, |_| false);
            self.take_requests();
            if self.asked.is_empty() && self.lane.suspects.is_empty() {
                return;
            }
            // What is sent together is answered before anything else is.
            for request in std::mem::take(&mut self.asked) {
                self.asked = vec![request];
                self.answer(&outcome);
            }
        }
        panic!("it goes on asking");
    }
}

fn batch(texts: &[&str]) -> Batch {
    let input = |(at, text): (usize, &&str)| Input {
        text: Text::new(text.as_bytes(), 100_000),
        entities: vec![Entity::node(at as u64)],
    };
    Batch::new(binding("g"), texts.iter().enumerate().map(input).collect())
}

fn good(request: &Embed) -> Result<Reply, ServiceFault> {
    let vectors = (0..request.texts.len()).map(|at| (at, vec![1.0, 2.0])).collect();
    Ok(Reply { vectors, tokens: None })
}

fn completed(request: &Embed, outcome: Result<Reply, ServiceFault>) -> Completion {
    let (limits, took) = (RateLimits::default(), Duration::from_millis(10));
    let embedder = EmbedderName::default_embedder();
    Completion { embedder, request: request.id, outcome, limits, took }
}

fn refused(status: u16, says: Says) -> ServiceFault {
    ServiceFault::Refused { status, message: "no".into(), retry_after: None, says }
}

fn quarantined(follows: &[Follow]) -> Vec<String> {
    let text = |follow: &Follow| match follow {
        Follow::Quarantine(batch, _) => batch.texts().map(|t| t.to_utf8().into_owned()).next(),
        _ => None,
    };
    follows.iter().filter_map(text).collect()
}

fn requeued(follows: &[Follow]) -> Vec<Vec<usize>> {
    let sizes = |follow: &Follow| match follow {
        Follow::Requeue(batch) => Some(batch.texts().map(Text::chars).collect()),
        _ => None,
    };
    follows.iter().filter_map(sizes).collect()
}

#[test]
fn a_text_that_is_refused_beside_a_good_answer_is_set_aside() {
    for status in [400, 403, 404] {
        let mut bench = Bench::new();
        bench.send(&["bad"]);
        bench.answer(|_| Err(refused(status, Says::Nothing)));
        let bad = |request: &Embed| request.texts[0].bytes() == b"bad";
        bench.resolve(|request| {
            if bad(request) { Err(refused(status, Says::Nothing)) } else { good(request) }
        });
        assert_eq!(quarantined(&bench.follows()), ["bad"], "{status}");
    }
}

#[test]
fn what_is_refused_like_a_harmless_word_blames_no_text() {
    let mut bench = Bench::new();
    bench.send(&["innocent"]);
    bench.answer(|_| Err(refused(403, Says::Nothing)));
    bench.resolve(|_| Err(refused(403, Says::Nothing)));
    let follows = bench.follows();
    assert!(quarantined(&follows).is_empty());
    assert!(follows.iter().any(|follow| matches!(follow, Follow::EndPasses(_))));
    assert_eq!(bench.lane.figures(bench.now).0.state, LaneState::Rejected);
}

#[test]
fn a_text_that_fails_alone_again_and_again_is_set_aside_and_one_that_fails_once_is_not() {
    for (failures, set_aside) in [(1, false), (100, true)] {
        let mut bench = Bench::new();
        bench.send(&["bad"]);
        let left = std::cell::Cell::new(failures);
        let fate = |request: &Embed| {
            if request.texts[0].bytes() != b"bad" || left.get() == 0 {
                return good(request);
            }
            left.set(left.get() - 1);
            Err(refused(500, Says::Nothing))
        };
        bench.answer(fate);
        // It is sent again at first, as by chance.
        for follow in bench.follows() {
            if let Follow::Requeue(batch) = follow {
                bench.lane.begin_wave(bench.now);
                bench.lane.send(bench.now, batch);
            }
        }
        bench.take_requests();
        bench.answer(fate);
        bench.resolve(fate);
        assert_eq!(!quarantined(&bench.follows()).is_empty(), set_aside, "{failures}");
    }
}

#[test]
fn a_text_that_is_too_long_is_shortened_and_the_limit_is_remembered() {
    let mut bench = Bench::new();
    let long = "word ".repeat(1_000);
    let says = Says::TooLong { limit: Some(512), received: Some(1_251) };
    bench.send(&["short", &long]);
    bench.answer(|_| Err(refused(500, says)));
    let follows = bench.follows();
    let sizes = requeued(&follows);
    assert!(sizes.len() == 1 && sizes[0][0] == 5 && sizes[0][1] < 512 * 4, "{sizes:?}");
    assert!(follows.iter().any(|follow| matches!(follow, Follow::Truncated(_, 1))));
    bench.send(&[&long]);
    assert!(bench.asked[0].texts[0].chars() < 512 * 4, "it is not tried again at full length");
}

#[test]
fn a_request_with_too_many_texts_is_sent_in_parts_and_the_next_ones_are_smaller() {
    let mut bench = Bench::new();
    bench.send(&["a", "b", "c", "d", "e"]);
    bench.answer(|_| Err(refused(422, Says::TooManyTexts(Some(2)))));
    let parts: Vec<usize> = requeued(&bench.follows()).iter().map(Vec::len).collect();
    assert_eq!(parts, [2, 2, 1]);
    assert_eq!(bench.lane.batch_limits().texts, 2);
}

#[test]
fn an_embedder_that_is_replaced_gives_its_batches_back_and_forgets_its_vectors() {
    let mut bench = Bench::new();
    bench.send(&["known"]);
    bench.answer(good);
    bench.follows();
    let text = Text::new(b"known", 9);
    assert!(bench.lane.cache(None).get(&text).is_some());
    bench.send(&["under way"]);
    bench.lane.reset(&settings());
    assert_eq!(requeued(&bench.follows()).len(), 1);
    assert_eq!(bench.lane.cache(None).get(&text), None);
    let late = bench.asked.remove(0);
    bench.lane.complete(bench.now, completed(&late, good(&late)), |_, _| None);
    assert!(bench.follows().is_empty(), "an answer of the old embedder is of no use");
}

#[test]
fn a_vector_that_an_index_would_leave_out_is_not_written() {
    let mut bench = Bench::new();
    bench.send(&["a"]);
    let request = bench.asked.remove(0);
    let completion = completed(&request, good(&request));
    bench.lane.complete(bench.now, completion, |_, received| (received != 8).then_some(8));
    let follows = bench.follows();
    assert!(!follows.iter().any(|follow| matches!(follow, Follow::Write(..))));
    assert!(follows.iter().any(|follow| matches!(follow, Follow::Defer(_, 1))));
}

fn paused(seconds: u64) -> ServiceFault {
    let wait = Some(Duration::from_secs(seconds));
    let (status, says) = (429, Says::Nothing);
    ServiceFault::Refused { status, message: "later".into(), retry_after: wait, says }
}

/// A bench whose service has just asked for a pause.
fn pausing(seconds: u64) -> Bench {
    let mut bench = Bench::new();
    bench.send(&["a"]);
    bench.answer(|_| Err(paused(seconds)));
    bench
}

#[test]
fn a_query_tries_a_service_during_a_long_pause_and_its_success_ends_the_pause() {
    let mut bench = pausing(300);
    assert_eq!(bench.ask(&["q", "r"], 29), 0);
    let due = bench.lane.deadline(bench.now).unwrap();
    assert!(due <= bench.now + Duration::from_secs(1));
    assert_eq!(bench.ask(&[], 1), 1);
    // One at a time, and no batch.
    assert_eq!(bench.ask(&["s"], 29), 1);
    assert!(!bench.lane.has_room(bench.now));
    bench.answer(good);
    assert_eq!(bench.lane.figures(bench.now).0.state, LaneState::Ready);
    assert!(bench.lane.has_room(bench.now));
    assert!(bench.ask(&[], 0) > 0, "the others follow");
}

#[test]
fn a_query_that_is_refused_during_a_pause_leaves_it_as_long() {
    let mut bench = pausing(300);
    let until = bench.lane.figures(bench.now).0.next_try.unwrap();
    assert_eq!(bench.ask(&["q"], 30), 1);
    bench.answer(|_| Err(paused(5)));
    let figures = bench.lane.figures(bench.now).0;
    assert_eq!((figures.state, figures.next_try), (LaneState::Throttled, Some(until)));
    assert_eq!((bench.ask(&[], 29), bench.ask(&[], 1)), (0, 1));
    // No pause is longer than this, whatever the service says.
    bench.answer(|_| Err(paused(1_000_000)));
    let longest = Duration::from_mins(11);
    assert!(bench.lane.figures(bench.now).0.next_try.unwrap() <= bench.now + longest);
}

#[test]
fn a_short_pause_is_kept_by_queries_too() {
    let mut bench = pausing(54);
    assert_eq!((bench.ask(&["q"], 30), bench.ask(&[], 20)), (0, 0));
    assert_eq!(bench.ask(&[], 10), 1);
}

#[test]
fn a_length_is_tried_on_one_word_before_it_is_asked_for() {
    let mut bench = Bench::new();
    let gives = |length: usize| {
        move |request: &Embed| {
            let length = request.asked.unwrap_or(length);
            Ok(Reply { vectors: vec![(0, vec![0.5; length])], tokens: None })
        }
    };
    assert_eq!(bench.lane.offers(Some(2)), Offer::Unknown);
    for asked in [None, Some(2)] {
        bench.lane.try_length(bench.now, 2);
        bench.lane.try_length(bench.now, 2);
        bench.take_requests();
        assert_eq!(bench.asked.len(), 1, "once");
        assert_eq!((bench.asked[0].asked, bench.asked[0].texts.len()), (asked, 1));
        bench.answer(gives(8));
    }
    assert_eq!(bench.lane.offers(Some(2)), Offer::Yes(Some(2)));
    assert_eq!(bench.lane.offers(Some(8)), Offer::Yes(None), "its own");
}

#[test]
fn a_model_that_cannot_shorten_its_vectors_says_so_and_serves_others() {
    let mut bench = Bench::new();
    let own = |_: &Embed| Ok(Reply { vectors: vec![(0, vec![0.5; 8])], tokens: None });
    bench.lane.try_length(bench.now, 2);
    bench.take_requests();
    bench.answer(own);
    bench.lane.try_length(bench.now, 2);
    bench.take_requests();
    bench.answer(|_| Err(refused(400, Says::Nothing)));
    let Offer::No(why) = bench.lane.offers(Some(2)) else { panic!("it was refused") };
    assert!(why.contains("vectors of 2 numbers") && why.contains("model gives 8"), "{why}");
    assert_eq!(bench.lane.offers(None), Offer::Yes(None));
    assert_eq!(bench.lane.rejection(), None);
}
