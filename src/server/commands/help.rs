//! `VECTORFILL.HELP`
//!
//! The reply is an array of lines, made for people. It is kept here by hand: a command that is
//! added or changed needs its lines changed, too.

use redis_module::{Context, RedisResult, RedisString, RedisValue};
use redis_module_macros::command;

const LINES: [&str; 41] = [
    "VECTORFILL.RUN [graph [RULE rule]] [WAIT timeout-ms]",
    "    Schedules a pass over one graph or all, by one rule or all. With WAIT, replies with the",
    "    pass's tally once it has ended, or with TIMEOUT; 0 waits without a limit.",
    "VECTORFILL.ESTIMATE [graph [RULE rule]]",
    "    Estimates the tokens, the price and the time it takes to fill what is pending: of one graph",
    "    from a sample of its texts, of all from what they took so far. Sends nothing.",
    "VECTORFILL.STATUS [graph [RULE rule] | FULL]",
    "    Reports pending, written and failed nodes: the sums and the graphs that are behind, one",
    "    graph, one of its rules, or all graphs with FULL.",
    "VECTORFILL.FAILURES graph [RULE rule] [COUNT n]",
    "    Lists quarantined nodes as [id, error]; 100 by default.",
    "VECTORFILL.RETRY graph [RULE rule] [id ...]",
    "    Releases these nodes, or all, from quarantine, retries them, and replies with how many",
    "    there were.",
    "VECTORFILL.EMBED [EMBEDDER name] text [text ...] [FORMAT floats|blob]",
    "    Returns the vector of each text, as a list of numbers or as little-endian 32-bit floats.",
    "VECTORFILL.QUERY graph cypher TEXT text [RULE rule | EMBEDDER name] [TIMEOUT ms] [--compact]",
    "    Embeds the text, runs the read-only query with it as $vector, and replies as",
    "    GRAPH.RO_QUERY does.",
    "VECTORFILL.SEARCH graph rule|label k text",
    "    Lists the k nodes or relationships nearest to the text, as [id, score, text]: of a rule, or",
    "    of a label or type.",
    "VECTORFILL.RULE SET graph rule NODE label|REL type TEXT text INTO property [...]",
    "    Keeps a rule beside its graph, and fills the graph by it.",
    "VECTORFILL.RULE DEL graph rule",
    "    Deletes a rule that is kept beside its graph; what it has filled stays.",
    "VECTORFILL.RULE GET graph rule",
    "    Shows the definition of a rule.",
    "VECTORFILL.RULE LIST [graph]",
    "    Lists the rules of a graph, or those of the server, as [name, origin, definition].",
    "VECTORFILL.RULE TEST graph rule [NODE label|REL type TEXT text INTO property [...]]",
    "    Shows what a rule does, or would do: how much is pending, three of its texts, the index it",
    "    would create. Sends nothing.",
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
