//! A real redis-server with both modules, on a port and a directory of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use redis::{Client, Connection, FromRedisValue, RedisResult, Value};
use tempfile::TempDir;

/// An embedding service that can be reached.
pub trait Address {
    /// Its base URL.
    fn url(&self) -> String;
}

/// No test waits longer than this for anything.
pub const LIMIT: Duration = Duration::from_mins(1);

/// A server that has not answered by then stands still.
const ANSWER: Duration = Duration::from_secs(30);

/// FalkorDB's version, such as (4, 22, 1).
pub type Version = (i64, i64, i64);

/// FalkorDB starts to collect finished queries before it initialises the lock that this takes. If it
/// is held just then (once in 14,659 starts of FalkorDB alone, more often on a busy machine), the
/// first query for a new graph waits for ever. Here nothing is collected until the engine is loaded.
const COLLECTS_NOTHING: [&str; 2] = ["CMD_INFO", "no"];
const COLLECTS: [&str; 4] = ["GRAPH.CONFIG", "SET", "CMD_INFO", "yes"];

/// A path from the environment, which the Makefile sets.
pub fn path(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the tests with `make test`"));
    let path = PathBuf::from(value);
    assert!(path.exists(), "{variable}={} does not exist", path.display());
    path
}

/// The module under test. A stale one proves nothing, so it is refused.
pub fn module() -> PathBuf {
    fresh(path("VECTORFILL_MODULE"))
}

/// The module that panics on demand; the Makefile puts it beside the other.
fn module_with_injection() -> PathBuf {
    fresh(path("VECTORFILL_MODULE").with_file_name("libvectorfill-inject.so"))
}

fn fresh(module: PathBuf) -> PathBuf {
    let built = modified(&module);
    let newest = sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("../src").as_path());
    assert!(built >= newest, "{} is older than src/: cargo build first", module.display());
    module
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn sources(folder: &Path) -> SystemTime {
    let times = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { sources(&path) } else { modified(&path) }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Polls until `condition` gives a value.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "waited {LIMIT:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How a server is to be started.
pub struct Setup {
    args: Vec<String>,
    module_args: Vec<String>,
    environment: Vec<(String, String)>,
    engine: Engine,
    engine_args: Vec<String>,
    injects: bool,
    folder: TempDir,
    file: Option<String>,
    only_file: bool,
}

/// Where falkordb.so stands on the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Before,
    After,
    Missing,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            module_args: Vec::new(),
            environment: Vec::new(),
            engine: Engine::Before,
            engine_args: Vec::new(),
            injects: false,
            folder: tempfile::tempdir().unwrap(),
            file: None,
            only_file: false,
        }
    }
}

/// A port nobody listens on. Below those the system gives to outgoing connections, with its cluster bus:
/// a server that is started again must find it free.
fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| fastrand::u16(10_000..22_000));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.take(1_000).find(is_free).expect("a free port")
}

impl Setup {
    /// A server that asks `service` for vectors, and only when it is told to.
    pub fn with(service: &impl Address) -> Self {
        Self::default()
            .set("base-url", &service.url())
            .set("interval", "0")
            .set("wake-on-write", "no")
            .env("OPENAI_API_KEY", "sk-test-key-1234")
    }

    /// An argument of the module.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.module_args.extend([name.into(), value.into()]);
        self
    }

    /// An argument of redis-server.
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.args.extend([name.into(), value.into()]);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// An argument of the engine.
    pub fn engine_arg(mut self, name: &str, value: &str) -> Self {
        self.engine_args.extend([name.into(), value.into()]);
        self
    }

    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// With a module that panics on demand.
    pub fn with_injection(mut self) -> Self {
        self.injects = true;
        self
    }

    /// Starts with this configuration file.
    pub fn use_file(&mut self, path: &str) {
        self.file = Some(path.into());
    }

    /// Leaves it to the file to load the modules.
    pub fn only_file(&mut self) {
        self.only_file = true;
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn start(self) -> Server {
        let mut server = self.launch();
        server.wait_ready();
        server.wait_first_pass();
        server
    }

    /// Starts without waiting; for servers that are expected to refuse.
    pub fn launch(self) -> Server {
        let port = free_port();
        let mut server = Server { setup: self, port, child: None, version: None };
        server.spawn();
        server
    }

    fn command(&self, port: u16) -> Command {
        let mut command = Command::new(path("VECTORFILL_REDIS_SERVER"));
        let folder = self.folder.path();
        command.args(&self.file);
        command.current_dir(folder).args(["--port", &port.to_string(), "--save", ""]);
        command.args(["--dir", &folder.to_string_lossy(), "--logfile", "log"]);
        command.args(["--enable-module-command", "yes", "--enable-debug-command", "yes"]);
        command.args(["--bind", "127.0.0.1"]).args(&self.args);
        self.load_modules(&mut command);
        let inherited = ["PATH", "HOME", "LD_LIBRARY_PATH", "RUST_BACKTRACE"];
        let inherited = inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.env_clear().envs(inherited).envs(self.environment.iter().cloned());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn load_modules(&self, command: &mut Command) {
        if self.only_file {
            return;
        }
        let engine = path("VECTORFILL_FALKORDB");
        let module = if self.injects { module_with_injection() } else { module() };
        if self.engine == Engine::Before {
            command.arg("--loadmodule").arg(&engine).args(COLLECTS_NOTHING).args(&self.engine_args);
        }
        command.arg("--loadmodule").arg(module).args(&self.module_args);
        if self.engine == Engine::After {
            command.arg("--loadmodule").arg(&engine).args(COLLECTS_NOTHING).args(&self.engine_args);
        }
    }
}

/// A running server, killed when dropped.
pub struct Server {
    pub setup: Setup,
    pub port: u16,
    child: Option<Child>,
    /// Of the engine, once the server has been ready.
    version: Option<Version>,
}

impl Server {
    fn spawn(&mut self) {
        self.child = Some(self.setup.command(self.port).spawn().expect("redis-server starts"));
    }

    fn wait_ready(&mut self) {
        let mut redis = wait_for("the server answers PING", || {
            let mut redis = self.try_connect().ok()?;
            redis.try_call::<String>(&["PING"]).ok().map(|_| redis)
        });
        self.version = redis.engine();
        if self.version.is_some() {
            redis.call::<String>(&COLLECTS);
        }
    }

    /// The pass at load would take up what a test writes before it has looked at the graphs.
    fn wait_first_pass(&self) {
        let mut redis = self.connect();
        wait_for("the pass at load", || {
            (!["loading", "running"].contains(&redis.status().text("state").as_str())).then_some(())
        });
    }

    fn try_connect(&self) -> RedisResult<Redis> {
        let client = Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        client.get_connection_with_timeout(ANSWER).map(Redis)
    }

    pub fn connect(&self) -> Redis {
        self.try_connect().expect("the server accepts connections")
    }

    /// As after a power cut.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    pub fn start_again(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// The exit status, once the process has ended by itself.
    pub fn wait_exit(&mut self) -> std::process::ExitStatus {
        let child = self.child.as_mut().expect("a process");
        wait_for("the server ends", || child.try_wait().unwrap())
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.setup.folder().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a process").id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let engine = self.version.map_or_else(
                || std::env::var("VECTORFILL_ENGINE").unwrap_or_default(),
                |(major, minor, patch)| format!("{major}.{minor}.{patch}"),
            );
            eprintln!("--- FalkorDB {engine}, log of port {} ---\n{}", self.port, self.log());
        }
        self.kill();
    }
}

/// How long a reply may take; only RUN waits for as long as it is told.
fn patience(words: &[&str]) -> Duration {
    match words {
        ["VECTORFILL.RUN", .., "WAIT", "0"] => LIMIT * 2,
        ["VECTORFILL.RUN", .., "WAIT", milliseconds] => {
            Duration::from_millis(milliseconds.parse().unwrap_or(0)) + ANSWER / 3
        }
        _ => ANSWER,
    }
}

/// A client of the server.
pub struct Redis(Connection);

impl Redis {
    pub fn try_call<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        self.0.set_read_timeout(Some(patience(words)))?;
        command.query(&mut self.0)
    }

    pub fn call<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        self.try_call(words).unwrap_or_else(|e| match e.is_timeout() {
            true => panic!("{words:?}: no answer in {:?}", patience(words)),
            false => panic!("{words:?}: {e}"),
        })
    }

    /// The error a command must give.
    pub fn error(&mut self, words: &[&str]) -> String {
        match self.try_call::<Value>(words) {
            Ok(value) => panic!("{words:?} gave {value:?} and should have failed"),
            Err(e) => format!("{} {}", e.code().unwrap_or("ERR"), e.detail().unwrap_or_default()),
        }
    }

    /// The rows of a query.
    pub fn query(&mut self, graph: &str, cypher: &str) -> Vec<Vec<Value>> {
        self.rows("GRAPH.QUERY", graph, cypher)
    }

    pub fn rows(&mut self, command: &str, graph: &str, cypher: &str) -> Vec<Vec<Value>> {
        let reply: Vec<Value> = self.call(&[command, graph, cypher]);
        let Some(Value::Array(rows)) = (reply.len() == 3).then(|| reply[1].clone()) else {
            return Vec::new();
        };
        rows.into_iter()
            .map(|row| if let Value::Array(cells) = row { cells } else { vec![row] })
            .collect()
    }

    /// The one number a query returns.
    pub fn number(&mut self, graph: &str, cypher: &str) -> i64 {
        let rows = self.rows("GRAPH.RO_QUERY", graph, cypher);
        assert_eq!(rows.len(), 1, "{cypher}");
        i64::from_redis_value(rows[0][0].clone()).unwrap()
    }

    /// The vector the engine prints as `<0.5, -2.0>`; `None` = there is none.
    pub fn vector(&mut self, graph: &str, cypher: &str) -> Option<Vec<f32>> {
        let rows = self.rows("GRAPH.RO_QUERY", graph, cypher);
        assert_eq!(rows.len(), 1, "{cypher}");
        numbers(&rows[0][0])
    }

    /// Which engine is loaded, if any: `redis.engine() >= Some((4, 20, 0))`.
    pub fn engine(&mut self) -> Option<Version> {
        let modules: Vec<Value> = self.call(&["MODULE", "LIST"]);
        let mut modules = modules.into_iter().map(Tally);
        let version = modules.find(|module| module.text("name") == "graph")?.number("ver");
        Some((version / 10_000, version / 100 % 100, version % 100))
    }

    /// Runs a pass to its end.
    pub fn run(&mut self, graph: &str) -> Tally {
        Tally(self.call(&["VECTORFILL.RUN", graph, "WAIT", "60000"]))
    }

    pub fn status(&mut self) -> Tally {
        Tally(self.call(&["VECTORFILL.STATUS"]))
    }

    /// With the graphs that are finished.
    pub fn full_status(&mut self) -> Tally {
        Tally(self.call(&["VECTORFILL.STATUS", "FULL"]))
    }

    /// Whether the module writes vectors as the engine's effects.
    pub fn writes_effects(&mut self) -> bool {
        self.status().text("writes") == "effects"
    }

    pub fn graph_status(&mut self, graph: &str) -> Tally {
        Tally(self.call(&["VECTORFILL.STATUS", graph]))
    }
}

/// A vector as the engine prints it.
pub fn numbers(value: &Value) -> Option<Vec<f32>> {
    let text: Option<String> = Option::from_redis_value(value.clone()).unwrap();
    let text = text?;
    let numbers = text.strip_prefix('<')?.strip_suffix('>')?;
    Some(numbers.split(", ").map(|number| number.parse().unwrap()).collect())
}

/// Whether two vectors are equal, as far as the six decimals that the engine prints can tell.
pub fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6)
}

/// A map reply.
#[derive(Debug, Clone)]
pub struct Tally(pub Value);

impl Tally {
    fn entries(&self) -> Vec<(String, Value)> {
        let text = |value: &Value| String::from_redis_value(value.clone()).unwrap();
        match &self.0 {
            Value::Map(entries) => entries.iter().map(|(k, v)| (text(k), v.clone())).collect(),
            Value::Array(cells) => {
                cells.chunks(2).map(|pair| (text(&pair[0]), pair[1].clone())).collect()
            }
            other => panic!("not a map: {other:?}"),
        }
    }

    pub fn keys(&self) -> Vec<String> {
        self.entries().into_iter().map(|(key, _)| key).collect()
    }

    pub fn get(&self, name: &str) -> Tally {
        let found = self.entries().into_iter().find(|(key, _)| key == name);
        Tally(found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1)
    }

    pub fn number(&self, name: &str) -> i64 {
        i64::from_redis_value(self.get(name).0).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        let value: Option<String> = Option::from_redis_value(self.get(name).0).unwrap();
        value.unwrap_or_default()
    }

    /// The figures that always add up.
    pub fn counts(&self) -> [i64; 5] {
        let counts = ["selected", "written", "stale", "quarantined", "deferred"];
        let counts = counts.map(|name| self.number(name));
        assert_eq!(counts[0], counts[1..].iter().sum::<i64>(), "{self:?}");
        counts
    }
}
