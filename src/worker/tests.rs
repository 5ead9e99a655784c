//! The thread over a store in memory, and an embedder that can answer nothing.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use super::*;
use crate::embed::config::Provider;
use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::KeySource;
use crate::embed::provider::Protocol;
use crate::entity::{EntityId, Text};
use crate::fill::fixture::{rule, settings};
use crate::fill::port::event::{Event, Failure};
use crate::fill::port::server::{RunFault, ServerState, Survey};
use crate::fill::port::store::{Change, Read, Write, Written};
use crate::fill::sim::store::{answer, apply};
use crate::fill::sim::{Graph, Node};
use crate::fill::status::GraphFigures;
use crate::worker::port::{Answer, Envelope, Level, Responder, WaitFault};

/// Longest wait for what comes at once.
const LIMIT: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(20);
const NO_MODEL: &str = "/no/such/model";

fn graph() -> GraphName {
    GraphName::new("g")
}

/// These settings, with an embedder whose model is not there.
fn config(settings: Settings) -> Config {
    let embedder = EmbedderConfig {
        provider: Provider::Local,
        protocol: Protocol::default(),
        endpoint: Endpoint::parse("base-url", "http://localhost").ok(),
        model: NO_MODEL.into(),
        query_model: None,
        dimensions: None,
        key: KeySource { file: None, variable: None },
        document_prefix: String::new(),
        query_prefix: String::new(),
        timeout: LIMIT,
        threads: NonZeroUsize::MIN,
    };
    let embedders = BTreeMap::from([(EmbedderName::default_embedder(), embedder)]);
    Config { settings, embedders }
}

/// What a request to it is answered with.
fn complaint() -> &'static str {
    if cfg!(feature = "local") { NO_MODEL } else { "no feature 'local'" }
}

/// One graph, called "g", and what is to go wrong with it.
#[derive(Default)]
struct Memory {
    graph: Mutex<Graph>,
    log: Mutex<Vec<String>>,
    surveys: AtomicUsize,
    /// The next survey panics.
    panics: AtomicBool,
    /// Answers to reads are kept back.
    holds: AtomicBool,
    held: Mutex<Vec<(Sender<Answer>, Event)>>,
    /// Where the next survey says that it has begun, and what it waits for.
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Memory {
    fn with(nodes: impl IntoIterator<Item = Node>) -> Arc<Self> {
        let memory = Arc::new(Self::default());
        *lock(&memory.graph) = (0..).zip(nodes).collect();
        memory
    }

    fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// What was kept back is answered after all.
    fn release(&self) {
        self.holds.store(false, Ordering::SeqCst);
        for (to, event) in lock(&self.held).drain(..) {
            reply(&to, event);
        }
    }

    /// The next survey tells that it has begun, and ends when it is told to.
    fn shut(&self) -> (Receiver<()>, Sender<()>) {
        let ((begun, has_begun), (open, opened)) = (bounded(1), bounded(1));
        *lock(&self.gate) = Some((begun, opened));
        (has_begun, open)
    }

    fn is_holding(&self) -> bool {
        !lock(&self.held).is_empty()
    }

    fn has_logged(&self, words: &str) -> bool {
        lock(&self.log).iter().any(|line| line.contains(words))
    }
}

fn reply(to: &Sender<Answer>, event: Event) {
    // The worker may have begun anew, and wait for other answers.
    to.try_send(Box::new(move || event)).ok();
}

impl Store for Arc<Memory> {
    fn survey(&self, to: Sender<Answer>) {
        self.surveys.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the store broke");
        let gate = lock(&self.gate).take();
        if let Some((begun, open)) = gate {
            begun.send(()).unwrap();
            open.recv_timeout(LIMIT).unwrap();
        }
        let survey = Survey { engine_tested: true, graphs: vec![graph()], ..Survey::default() };
        reply(&to, Event::Surveyed(Ok(survey)));
    }

    fn read(&self, read: Read, to: Sender<Answer>) {
        let outcome = Ok(answer(&lock(&self.graph), None, &read.query));
        let event = Event::Read { ticket: read.ticket, outcome };
        if self.holds.load(Ordering::SeqCst) {
            lock(&self.held).push((to, event));
        } else {
            reply(&to, event);
        }
    }

    fn write(&self, write: Write, to: Sender<Answer>) {
        assert!(matches!(write.change, Change::Release(_)), "there are no vectors: {write:?}");
        let ids = apply(&mut lock(&self.graph), &write.change);
        let outcome = Ok(Written { ids, held: Duration::ZERO, contended: false });
        reply(&to, Event::Written { write, outcome });
    }

    fn log(&self, _: Level, line: &str) {
        lock(&self.log).push(line.to_owned());
    }
}

/// Hands an answer over to the test.
struct Tell<T>(Sender<Result<T, WaitFault>>);

impl<T: Send> Responder<T> for Tell<T> {
    fn is_gone(&self) -> bool {
        false
    }

    fn respond(self: Box<Self>, outcome: Result<T, WaitFault>) {
        self.0.send(outcome).unwrap();
    }
}

/// A user who waits, and where they hear of it.
fn user<T: Send + 'static>(limit: Option<Duration>) -> (Envelope<T>, Told<T>) {
    let (to, told) = bounded(1);
    (Envelope { responder: Box::new(Tell(to)), limit }, Told(told))
}

struct Told<T>(Receiver<Result<T, WaitFault>>);

impl<T> Told<T> {
    fn wait(&self) -> Result<T, WaitFault> {
        self.0.recv_timeout(LIMIT).expect("no answer")
    }
}

/// Looks again and again until there is something.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited for {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn start(memory: &Arc<Memory>) -> Worker {
    Worker::start(config(settings()), Box::new(Arc::clone(memory))).unwrap()
}

/// A worker that has looked through the graph.
fn idle(memory: &Arc<Memory>) -> Worker {
    let worker = start(memory);
    wait_for("the first pass", || figures(&worker)?.last_pass);
    worker
}

/// The graph as STATUS shows it.
fn figures(worker: &Worker) -> Option<GraphFigures> {
    worker.published().snapshot.graphs.get(&graph()).cloned()
}

fn end(worker: Worker) {
    assert!(worker.stop(LIMIT).is_ok(), "it is busy");
}

fn node(text: &str) -> Node {
    Node { text: text.to_owned(), ..Node::default() }
}

fn marked(text: &str) -> Node {
    Node { error: Some("refused".into()), ..node(text) }
}

#[test]
fn what_a_misconfigured_embedder_cannot_fill_is_left_pending_with_the_reason() {
    let memory = Memory::with([node("a"), node("b")]);
    let worker = idle(&memory);
    let (user, told) = user(None);
    worker.request(Request::Run(Some(graph()), None, Some(user))).unwrap();
    let tally = told.wait().unwrap();
    assert_eq!((tally.selected, tally.written, tally.deferred), (2, 0, 2));
    assert!(tally.error.as_ref().is_some_and(|why| why.contains(complaint())), "{tally:?}");
    // Whoever asks STATUS after the answer sees what it says.
    let figures = figures(&worker).unwrap();
    assert_eq!((figures.pending, figures.embedded), (2, 0));
    assert_eq!(figures.last_pass, Some(tally));
    assert!(memory.has_logged("pass done graph=\"g\" selected=2 written=0"));
    assert!(memory.has_logged("embedder state=rejected"));
    end(worker);
}

#[test]
fn a_user_who_asks_for_vectors_is_told_why_there_are_none() {
    let worker = idle(&Memory::with([]));
    let (user, told) = user(None);
    worker
        .request(Request::Query(
            EmbedderName::default_embedder(),
            None,
            vec![Text::new(b"text", 9)],
            user,
        ))
        .unwrap();
    let Err(WaitFault::Run(RunFault::Embed(why))) = told.wait() else { panic!("no fault") };
    assert!(why.contains(complaint()), "{why}");
    end(worker);
}

#[test]
fn quarantined_nodes_are_listed_and_released() {
    let memory = Memory::with([node("a"), marked("b")]);
    let worker = idle(&memory);
    let (lister, told) = user(None);
    worker.request(Request::List(graph(), None, 9, lister)).unwrap();
    let failure = Failure { id: EntityId(1), rule: rule().name, words: "refused".into() };
    assert_eq!(told.wait(), Ok(vec![failure]));
    let (releaser, told) = user(None);
    worker.request(Request::Release(graph(), None, None, releaser)).unwrap();
    assert_eq!(told.wait(), Ok(1));
    assert!(lock(&memory.graph)[&1].error.is_none());
    wait_for("a pass over both", || figures(&worker)?.last_pass.filter(|pass| pass.selected == 2));
    end(worker);
}

#[test]
fn a_graph_that_is_written_to_is_looked_through() {
    let memory = Memory::with([]);
    let worker = idle(&memory);
    assert_eq!(figures(&worker).unwrap().last_pass.unwrap().selected, 0);
    lock(&memory.graph).insert(0, node("new"));
    worker.touched(graph());
    wait_for("the new node", || figures(&worker)?.last_pass.filter(|pass| pass.selected == 1));
    end(worker);
}

#[test]
fn settings_that_were_changed_before_a_request_hold_for_it() {
    let memory = Memory::with([]);
    let worker = idle(&memory);
    // Of two things that have come the worker may take up the later one first.
    for _ in 0..9 {
        worker.configure(config(Settings { enabled: false, ..settings() }));
        wait_for("the settings", || (!worker.published().snapshot.enabled).then_some(()));
        let (has_begun, open) = memory.shut();
        worker.server_changed();
        has_begun.recv_timeout(LIMIT).unwrap();
        worker.configure(config(settings()));
        let (user, told) = user(None);
        worker.request(Request::Run(Some(graph()), None, Some(user))).unwrap();
        open.send(()).unwrap();
        assert!(told.wait().is_ok());
    }
    worker.configure(config(Settings { enabled: false, ..settings() }));
    let (user, told) = user(None);
    worker.request(Request::Run(Some(graph()), None, Some(user))).unwrap();
    assert_eq!(told.wait(), Err(WaitFault::Run(RunFault::Disabled)));
    end(worker);
}

#[test]
fn a_user_who_waits_too_long_is_told_and_the_pass_goes_on() {
    let memory = Memory::with([node("a")]);
    let worker = idle(&memory);
    memory.hold();
    let (user, told) = user(Some(MOMENT));
    worker.request(Request::Run(Some(graph()), None, Some(user))).unwrap();
    assert_eq!(told.wait(), Err(WaitFault::Timeout));
    assert!(memory.is_holding(), "the pass waits for a read");
    let last_run = figures(&worker).unwrap().last_run;
    memory.release();
    wait_for("its end", || (figures(&worker)?.last_run > last_run).then_some(()));
    end(worker);
}

#[test]
fn an_idle_worker_is_ended_by_a_stop_and_lets_go_of_the_store() {
    let memory = Memory::with([]);
    let worker = idle(&memory);
    assert_eq!(Arc::strong_count(&memory), 2);
    assert!(worker.stop(LIMIT).is_ok());
    assert_eq!(Arc::strong_count(&memory), 1);
}

#[test]
fn a_busy_worker_is_given_back_by_a_stop_and_goes_on() {
    let memory = Memory::with([node("a")]);
    let worker = idle(&memory);
    memory.hold();
    worker.request(Request::Run(Some(graph()), None, None)).unwrap();
    wait_for("a read", || memory.is_holding().then_some(()));
    let worker = worker.stop(MOMENT).expect_err("it has something to do");
    memory.release();
    // The stop was withdrawn: it does not end of itself.
    let (user, told) = user(None);
    worker.request(Request::Run(Some(graph()), None, Some(user))).unwrap();
    assert_eq!(told.wait().map(|tally| tally.selected), Ok(1));
    end(worker);
}

#[test]
fn requests_beyond_the_bound_are_refused_and_told_so() {
    let memory = Memory::with([]);
    let (has_begun, open) = memory.shut();
    let worker = start(&memory);
    has_begun.recv_timeout(LIMIT).unwrap();
    // The worker takes up nothing now.
    for number in 0..MAX_REQUESTS {
        assert_eq!(worker.request(Request::Run(None, None, None)), Ok(()), "{number}");
    }
    let (refused, told) = user(None);
    let run = |user| worker.request(Request::Run(None, None, Some(user)));
    assert_eq!(run(refused), Err(Error::Busy));
    assert_eq!(told.0.recv_timeout(LIMIT), Err(RecvTimeoutError::Disconnected));
    open.send(()).unwrap();
    let told = wait_for("room", || {
        let (user, told) = user(None);
        run(user).is_ok().then_some(told)
    });
    told.wait().ok();
    end(worker);
}

#[test]
fn a_panic_is_survived_and_told_until_the_worker_has_begun_anew() {
    let memory = Memory::with([]);
    memory.panics.store(true, Ordering::SeqCst);
    let worker = start(&memory);
    let published = wait_for("the panic", || {
        let published = worker.published();
        published.panic.is_some().then_some(published)
    });
    assert_eq!(published.panic.as_deref(), Some("the store broke"));
    assert_eq!(published.restarts, 1);
    assert!(memory.has_logged("worker panicked, restarting in 1s: the store broke"));
    let published = wait_for("the second beginning", || {
        let published = worker.published();
        (published.snapshot.server == ServerState::Ready).then_some(published)
    });
    assert_eq!((published.restarts, published.panic.is_none()), (1, true));
    assert!(memory.surveys.load(Ordering::SeqCst) >= 2);
    end(worker);
}

#[test]
fn a_user_is_not_kept_waiting_by_a_panic_and_the_worker_can_be_stopped_after_it() {
    let memory = Memory::with([node("a")]);
    let worker = idle(&memory);
    memory.hold();
    let (user, told) = user(None);
    worker.request(Request::Run(Some(graph()), None, Some(user))).unwrap();
    wait_for("a read", || memory.is_holding().then_some(()));
    memory.panics.store(true, Ordering::SeqCst);
    worker.server_changed();
    assert_eq!(told.0.recv_timeout(LIMIT), Err(RecvTimeoutError::Disconnected));
    // What comes for the worker that is no more harms nobody.
    memory.release();
    end(worker);
    assert_eq!(Arc::strong_count(&memory), 1);
}
