//! The relative positions of `MPNet`: each head's bias for every distance between two tokens.
//!
//! The bias is added to the scaled product of query and key. It depends on how far the key is from
//! the query and on which side. The scheme is T5's, with the same bias in every layer.

use crate::embed::local::config::Config;
use crate::embed::local::error::Error;
use crate::embed::local::tensor_names::DISTANCES;
use crate::embed::local::tensors::Tensors;

/// Half of them for preceding tokens, half for following ones.
pub(super) const BUCKETS: usize = 32;

/// Distances below this each have their own bucket; larger ones share ever wider buckets.
const EXACT: usize = BUCKETS / 4;

/// All distances from here on share the last bucket. The default of `max_distance` in transformers.
/// As buckets are whole numbers, the last one begins at 91 already.
const FARTHEST: f32 = 128.0;

/// The biases by head and distance. Expanded when the model is opened, so that no logarithm is
/// taken per text.
pub(super) struct Distances {
    /// For each head, the bias of the distances `1 - longest ..= longest - 1`, in that order.
    heads: Vec<Vec<f32>>,
    /// Tokens of the longest text; a head has `2 * longest - 1` distances.
    longest: usize,
}

impl Distances {
    /// Reads the table and expands it to all distances. `Error::Value` if it is not `[32, heads]`.
    pub(super) fn open(tensors: &Tensors, config: &Config) -> Result<Self, Error> {
        let table = tensors.values(DISTANCES, &[BUCKETS, config.heads])?;
        let longest = config.longest();
        let heads = (0..config.heads).map(|head| spread_out(&table, head, config)).collect();
        Ok(Self { heads, longest })
    }

    /// Writes into each row of scores (one per query, `step` long) the bias for its first `tokens`
    /// keys.
    ///
    /// The biases of neighbouring queries are the same sequence, shifted by one, so each row is a
    /// copy of a slice. `tokens` must not exceed `longest`; the padding after a row's keys stays as
    /// it is.
    pub(super) fn write(&self, head: usize, tokens: usize, scores: &mut [f32], step: usize) {
        let biases = self.heads.get(head).map_or([].as_slice(), Vec::as_slice);
        for (query, row) in scores.chunks_exact_mut(step).enumerate() {
            let from = self.longest.saturating_sub(query + 1);
            let biases = biases.iter().skip(from).take(tokens);
            row.iter_mut().zip(biases).for_each(|(score, bias)| *score = *bias);
        }
    }
}

/// One head's column of the table, looked up for every distance from the farthest preceding key to
/// the farthest following one.
fn spread_out(table: &[f32], head: usize, config: &Config) -> Vec<f32> {
    let of_head: Vec<f32> = table.iter().skip(head).step_by(config.heads).copied().collect();
    let last = config.longest() - 1;
    let behind = (1..=last).rev().map(|distance| bucket(distance, false));
    let ahead = (0..=last).map(|distance| bucket(distance, distance > 0));
    behind.chain(ahead).filter_map(|bucket| of_head.get(bucket).copied()).collect()
}

/// The formula from transformers, in the same f32 steps: a bucket's edge must not move.
///
/// `distance` is in tokens, `ahead` means that the key follows the query. Distances from 8 on are
/// spread over 8 buckets by their logarithm.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "distances are small and not negative"
)]
fn bucket(distance: usize, ahead: bool) -> usize {
    let side = if ahead { BUCKETS / 2 } else { 0 };
    if distance < EXACT {
        return side + distance;
    }
    let exact = EXACT as f32;
    let shared = (distance as f32 / exact).ln() / (FARTHEST / exact).ln() * exact;
    side + (EXACT + shared as usize).min(BUCKETS / 2 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distance_falls_in_the_bucket_transformers_puts_it_in() {
        let golden = super::super::tests::golden::read("mpnet.json");
        let first = golden["first_distance"].as_i64().unwrap();
        for (distance, wanted) in (first..).zip(golden["buckets"].as_array().unwrap()) {
            let size = usize::try_from(distance.unsigned_abs()).unwrap();
            assert_eq!(Some(bucket(size, distance > 0) as u64), wanted.as_u64(), "{distance}");
        }
    }
}
