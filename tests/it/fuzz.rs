//! Whatever words a client sends: it is answered, nothing is changed, and the server goes on.

use std::time::Duration;

use redis::{Client, Connection, RedisResult, Value};

use testkit::harness::{Redis, Server, Setup};
use testkit::service::Service;

const WORDS: [&[u8]; 45] = [
    b"kb",
    b"kb",
    b"none",
    b"string",
    b"",
    b" ",
    b"*",
    b"COUNT",
    b"FORMAT",
    b"floats",
    b"blob",
    b"TEXT",
    b"TIMEOUT",
    b"--compact",
    b"wait",
    b"GRAPH",
    b"Doc",
    b"0",
    b"1",
    b"3",
    b"-1",
    b"007",
    b"1.5",
    b"1e3",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775809",
    b"99999999999999999999999999",
    b"NaN",
    b"\0",
    b"kb\0",
    b"\xff\xfe",
    b"\xe2\x82",
    b"\r\n",
    "\u{1f980}".as_bytes(),
    "\u{4e00}\u{100}".as_bytes(),
    b"'\"`\\",
    b"MATCH (n) RETURN n LIMIT 2",
    b"RETURN $vector",
    b"CYPHER a=1 RETURN $a, vecf32($vector)",
    b"MATCH (n) DETACH DELETE n",
    b"CREATE (:Doc {text: 'x'})",
    b"CALL db.idx.vector.queryNodes('Doc', 'embedding', 2, vecf32($vector)) YIELD node RETURN node",
    b"RETURN",
    b"text",
];

/// A command with up to six words; a wait is always a short one.
fn arbitrary(rng: &mut fastrand::Rng, commands: &[String]) -> Vec<Vec<u8>> {
    let mut words = vec![commands[rng.usize(..commands.len())].clone().into_bytes()];
    for _ in 0..rng.usize(..7) {
        words.push(WORDS[rng.usize(..WORDS.len())].to_vec());
        if words.last().is_some_and(|word| word == b"wait") {
            words.push([&b"5"[..], b"20", b"-1", b"x", b"4294967296"][rng.usize(..5)].to_vec());
        }
    }
    words
}

fn connect(server: &Server) -> Connection {
    let url = format!("redis://127.0.0.1:{}/", server.port);
    let connection = Client::open(url).unwrap().get_connection().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection
}

fn command(words: &[Vec<u8>]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

fn send(connection: &mut Connection, words: &[Vec<u8>]) -> RedisResult<Value> {
    command(words).query(connection)
}

/// The outcome is an answer, good or bad.
fn answered(words: &[Vec<u8>], outcome: &RedisResult<Value>) {
    let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let lost = outcome.as_ref().is_err_and(|e| e.is_io_error() || e.is_unrecoverable_error());
    assert!(!lost, "{words:?}: {outcome:?}");
}

fn fuzzed(seed: u64, mut each: impl FnMut(&Server, &mut Connection, Vec<Vec<u8>>)) {
    let service = Service::start(8);
    let mut server = Setup::with(&service).start();
    let mut redis = server.connect();
    redis.query("kb", "UNWIND range(1, 20) AS i CREATE (:Doc {text: toString(i)})");
    redis.run("kb");
    redis.call::<String>(&["SET", "string", "x"]);
    let list = ["COMMAND", "LIST", "FILTERBY", "MODULE", "vectorfill"];
    let commands: Vec<String> = redis.call(&list);
    assert!(commands.len() >= 3, "{commands:?}");
    let (mut connection, mut rng) = (connect(&server), fastrand::Rng::with_seed(seed));
    for _ in 0..2_500 {
        each(&server, &mut connection, arbitrary(&mut rng, &commands));
    }
    assert!(server.is_alive());
    untouched(&mut redis);
}

/// Nothing that was sent may write.
fn untouched(redis: &mut Redis) {
    assert_eq!(redis.call::<String>(&["PING"]), "PONG");
    assert_eq!(redis.call::<Vec<String>>(&["GRAPH.LIST"]), ["kb"]);
    assert_eq!(redis.call::<String>(&["GET", "string"]), "x");
    assert_eq!(redis.number("kb", "MATCH (n:Doc) RETURN count(n.embedding)"), 20);
    assert_eq!(redis.number("kb", "MATCH (n) RETURN count(n)"), 20);
}

#[test]
fn any_words_are_answered() {
    fuzzed(1, |_, connection, words| answered(&words, &send(connection, &words)));
}

#[test]
fn any_words_are_answered_in_resp3() {
    fuzzed(2, |_, connection, words| {
        send(connection, &[b"HELLO".into(), b"3".into()]).unwrap();
        answered(&words, &send(connection, &words));
    });
}

#[test]
fn any_words_are_answered_in_a_transaction_and_in_a_script() {
    let script: Vec<u8> = b"return redis.call(unpack(ARGV))".into();
    fuzzed(3, |_, connection, words| {
        let eval = [vec![b"EVAL".into(), script.clone(), b"0".into()], words.clone()].concat();
        answered(&words, &send(connection, &eval));
        send(connection, &[b"MULTI".into()]).unwrap();
        answered(&words, &send(connection, &words));
        answered(&words, &send(connection, &[b"EXEC".into()]));
    });
}

#[test]
fn clients_that_leave_before_they_are_answered_harm_nobody() {
    fuzzed(4, |server, connection, words| {
        connection.send_packed_command(&command(&words).get_packed_command()).unwrap();
        *connection = connect(server);
    });
}
