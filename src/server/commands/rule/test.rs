//! `VECTORFILL.RULE TEST`
//!
//! Blocks its client for a minute at most, since the engine counts what is pending in the whole
//! graph.
//!
//! ```text
//! > VECTORFILL.RULE TEST kb people NODE Person TEXT name INTO name_embedding
//! "blank" 0  "definition" …  "embedder" "default"
//! "index" [["dimension" 1536 "label" "Person" "similarity" "cosine"]]
//! "pending" 12  "sampled" 12  "texts" ["Ada" "Grace" "Alan"]  "unusable" 0
//! ```
//!
//! `index` is null if nothing would be created; `dimension` is null until a first vector tells it.
//! Errors: `NOGRAPH`, `NORULE`, `NOENGINE`, `NOPERM`, those of `SET` for a definition that is
//! wrong, and `TIMEOUT` once the minute has passed.

use std::num::NonZeroUsize;
use std::sync::Arc;

use redis_module::{Context, RedisResult, RedisString, RedisValue};

use crate::embed::config::EmbedderConfig;
use crate::engine::query::preview::{Missing, Preview, Seen};
use crate::rule::Rule;
use crate::rule::definition::Body;
use crate::rule::name::EmbedderName;
use crate::server::blocked_client::Client;
use crate::server::commands::blocking::may_wait;
use crate::server::commands::preview::{LIMIT, look};
use crate::server::commands::rule::{NAME, check_place, parse};
use crate::server::commands::{choose, current, error, text_query};
use crate::server::graph::hold::Hold;
use crate::server::handle::with_worker;
use crate::server::own as kept;
use crate::server::status::{integer, map, text};
use crate::worker::{Config, Worker};

const WHAT: &str = "VECTORFILL.RULE TEST";

/// `TEST graph rule [definition]`: what the rule does on the graph, or would do. Nothing is sent to
/// a service, nothing is written.
pub(super) fn test(ctx: &Context, args: &[RedisString]) -> RedisResult {
    let (Some(graph), Some(words @ [name, definition @ ..])) = (args.get(2), args.get(NAME..))
    else {
        return error("ERR", "syntax: VECTORFILL.RULE TEST graph rule [NODE label TEXT …]");
    };
    may_wait(ctx, WHAT)?;
    let graph = text_query::graph(ctx, graph, WHAT)?;
    let hold = Hold::of_command(ctx);
    kept::read(&hold);
    let rule = if definition.is_empty() {
        choose::rule(&*current()?, &graph, &choose::rule_name(name)?)?
    } else {
        let rule = parse(words)?;
        check_place(&graph, &rule)?;
        Arc::new(rule)
    };
    let own = own_length(&*current()?, &rule.embedder);
    look(Client::block(ctx, Some(LIMIT)), graph, Preview::new(&rule, true), move |client, seen| {
        client.reply(Ok(shown(&rule, &seen, own)));
    });
    Ok(RedisValue::NoReply)
}

/// The length of an embedder's vectors if it is not asked for any: what it is set to, or else what
/// it gave last.
fn own_length(config: &Config, name: &EmbedderName) -> Option<usize> {
    let set = |config: &EmbedderConfig| config.dimensions.map(NonZeroUsize::get);
    let given = || with_worker(Worker::published)?.snapshot.lanes.get(name)?.0.dimensions;
    config.embedders.get(name).and_then(set).or_else(given)
}

fn shown(rule: &Rule, seen: &Seen, own: Option<usize>) -> RedisValue {
    let texts = seen.texts.iter().map(|text| RedisValue::StringBuffer(text.clone())).collect();
    let missing = seen.missing(rule, own);
    let indexes = RedisValue::Array(missing.into_iter().map(index).collect());
    let is_none = matches!(&indexes, RedisValue::Array(indexes) if indexes.is_empty());
    map([
        ("pending", integer(seen.pending)),
        ("sampled", integer(seen.sample.entities)),
        ("blank", integer(seen.sample.blank)),
        ("unusable", integer(seen.sample.unusable)),
        ("texts", RedisValue::Array(texts)),
        ("index", if is_none { RedisValue::Null } else { indexes }),
        ("definition", text(&Body(rule).to_string())),
        ("embedder", text(rule.embedder.as_str())),
    ])
}

fn index(missing: Missing) -> RedisValue {
    map([
        ("label", text(&missing.label)),
        ("dimension", missing.dimensions.map_or(RedisValue::Null, RedisValue::from)),
        ("similarity", text(missing.similarity.as_str())),
    ])
}
