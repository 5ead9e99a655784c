//! Shortens texts that are too long for a service, in tokens, until they are accepted.

use crate::entity::Text;
use crate::fill::lane::batch::{Batch, Input};
use crate::fill::lane::outcome::At;
use crate::fill::lane::{Follow, Lane};
use crate::fill::port::settings::Overlong;

/// Share of a limit that is used, as tokens are estimated.
const USED: f64 = 0.95;
/// Share of a text that is kept if nothing is known about the limit.
const BLINDLY: f64 = 0.5;
/// If a text this short, in characters, is still too long, something else is wrong.
const MIN_CHARS: usize = 32;

/// What a refusal reports about the length of a text, in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub(super) limit: Option<u64>,
    pub(super) received: Option<u64>,
}

impl Lane {
    /// A text of this batch is too long.
    pub(super) fn too_long(&mut self, at: At, mut batch: Batch, length: Length, why: String) {
        if self.policy.overlong == Overlong::Refuse {
            return self.refused(at, batch, why);
        }
        let limit = length.limit.and_then(|limit| usize::try_from(limit).ok());
        if let Some(limit) = limit {
            if fits_alone(&batch, limit) {
                // Each of its texts fits: their sum is too large.
                return self.too_large(at, batch, length.limit, why);
            }
            self.limits.learn_text_tokens(at.now, limit);
        }
        if self.shorten_known(&mut batch) {
            return self.requeue(batch);
        }
        if batch.inputs.len() > 1 {
            return self.halve(batch);
        }
        let keep = match (length.limit, length.received) {
            (Some(limit), Some(received)) if received > limit => share(limit, received) * USED,
            _ => BLINDLY,
        };
        let too_short = batch.texts().any(|text| text.chars() < MIN_CHARS);
        if too_short {
            return self.refused(at, batch, why);
        }
        self.shorten(&mut batch, |_| Some(keep));
        self.requeue(batch);
    }

    /// Shortens the texts that are known to be too long. Returns whether there were any.
    pub(super) fn shorten_known(&mut self, batch: &mut Batch) -> bool {
        let Some(limit) =
            self.limits.text_tokens().filter(|_| self.policy.overlong == Overlong::Shorten)
        else {
            return false;
        };
        self.shorten(batch, |text| {
            let tokens = text.tokens();
            let long = tokens > limit && text.chars() >= MIN_CHARS;
            long.then(|| share(limit as u64, tokens as u64) * USED)
        })
    }

    fn shorten(&mut self, batch: &mut Batch, keep: impl Fn(&Text) -> Option<f64>) -> bool {
        let (mut any, mut newly) = (false, 0);
        for Input { text, entities } in &mut batch.inputs {
            if let Some(keep) = keep(text) {
                any = true;
                newly += if text.is_cut() { 0 } else { entities.len() };
                *text = text.shortened(keep);
            }
        }
        if newly > 0 {
            self.follows.push_back(Follow::Truncated(batch.binding.clone(), newly));
        }
        any
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of token counts")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Whether there are several texts, and none of them comes near the limit on its own.
fn fits_alone(batch: &Batch, limit: usize) -> bool {
    batch.inputs.len() > 1
        && batch.texts().all(|text| text.tokens() * 2 < limit)
        && batch.texts().map(Text::tokens).sum::<usize>() > limit
}
