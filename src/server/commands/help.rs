//! `VECTORFILL.HELP`

use redis_module::{Context, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

const LINES: [&str; 26] = [
    "VECTORFILL.RUN [graph] [WAIT timeout-ms]",
    "    Schedules a pass over one graph or all. With WAIT, replies with the pass's tally once it",
    "    has ended, or with TIMEOUT; 0 waits without a limit.",
    "VECTORFILL.STATUS [graph | FULL]",
    "    Reports pending, written and failed nodes: the sums and the graphs that are behind, one",
    "    graph, or all of them with FULL.",
    "VECTORFILL.FAILURES graph [COUNT n]",
    "    Lists quarantined nodes as [id, error]; 100 by default.",
    "VECTORFILL.RETRY graph [id ...]",
    "    Releases these nodes, or all, from quarantine, retries them, and replies with how many",
    "    there were.",
    "VECTORFILL.EMBED text [text ...] [FORMAT floats|blob]",
    "    Returns the vector of each text, as a list of numbers or as little-endian 32-bit floats.",
    "VECTORFILL.QUERY graph cypher TEXT text [TIMEOUT ms] [--compact]",
    "    Embeds the text, runs the read-only query with it as $vector, and replies as",
    "    GRAPH.RO_QUERY does.",
    "VECTORFILL.SEARCH graph label k text",
    "    Lists the k nodes of a label nearest to the text, as [id, score, text].",
    "VECTORFILL.RELOAD",
    "    Reads the definitions of embedders and rules again, and applies them if all of them are",
    "    right.",
    "VECTORFILL.HELP",
    "    Prints this help.",
    "CONFIG GET vectorfill.*",
    "    Lists all settings; CONFIG SET changes them without a restart.",
    "INFO vectorfill reports the figures for monitoring.",
];

#[command({
    name: "vectorfill.help",
    flags: [ReadOnly, AllowLoading, AllowStale, Fast],
    summary: "Lists the commands of vectorfill.",
    complexity: "O(1)",
    since: "0.1.0",
    arity: 1,
    key_spec: [],
    acl_categories: [Single("vectorfill")],
})]
fn help(_: &Context, _: Vec<RedisString>) -> RedisResult {
    Ok(RedisValue::Array(LINES.map(RedisValue::SimpleStringStatic).into()))
}
