//! The four kinds of limits, each with and without refusals by chance.

use crate::fill::lane::limiter::sim::{Kind, noisy_shares};

const RATES: [u64; 4] = [60, 500, 3_000, 6_000];
const KINDS: [Kind; 3] = [Kind::Window, Kind::Bucket, Kind::Sliding];

#[test]
fn a_limit_without_chance_is_used_up_however_high_it_is() {
    for kind in KINDS {
        for (headers, says_how_long) in [(true, true), (false, true), (false, false)] {
            let (used, refused) = noisy_shares(kind, 6_000, headers, says_how_long, 0.0);
            assert!(used >= 0.9, "{kind:?} {headers} {says_how_long}: {used:.3} used");
            assert!(refused < 0.02, "{kind:?} {headers} {says_how_long}: {refused:.4} refused");
        }
    }
}

#[test]
fn a_stated_quota_is_used_up_despite_refusals_by_chance() {
    for kind in [Kind::Window, Kind::Bucket] {
        for per_minute in RATES {
            for noise in [0.05, 0.1] {
                let (used, refused) = noisy_shares(kind, per_minute, true, true, noise);
                let least = 0.9 * (1.0 - noise);
                let what = format!("{kind:?} {per_minute} {noise}");
                assert!(used >= least, "{what}: {used:.3} used");
                assert!(refused < 0.02, "{what}: {refused:.4} refused");
            }
        }
    }
}

#[test]
fn a_lane_without_a_limit_loses_no_more_than_what_chance_refuses() {
    for (noise, least) in [(0.05, 0.855), (0.1, 0.81)] {
        for says_how_long in [true, false] {
            let (used, _) = noisy_shares(Kind::AtOnce, 9_600, false, says_how_long, noise);
            assert!(used >= least, "{noise} {says_how_long}: {used:.3} used");
        }
    }
}
