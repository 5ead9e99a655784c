//! The four kinds of limits, each with and without refusals by chance.

use crate::fill::lane::limiter::sim::{Case, Kind, noisy_shares};

const RATES: [u64; 4] = [60, 500, 3_000, 6_000];
const KINDS: [Kind; 3] = [Kind::Window, Kind::Bucket, Kind::Sliding];

/// Of several lives: the median and the smallest share of the allowance used, and the median and
/// the largest share refused other than by chance.
fn lives(case: Case) -> [(f64, f64); 2] {
    let lives: Vec<(f64, f64)> = (1..=7).map(|seed| Case { seed, ..case }.shares()).collect();
    let sorted = |mut shares: Vec<f64>| {
        shares.sort_by(f64::total_cmp);
        (shares[3], shares[0], shares[6])
    };
    let (used, least, _) = sorted(lives.iter().map(|life| life.0).collect());
    let (refused, _, most) = sorted(lives.iter().map(|life| life.1).collect());
    [(used, least), (refused, most)]
}

/// One in twenty requests is refused by chance, and the service does not state its limit. In most
/// lives nine tenths of what it takes are used and less than `refused` are too many; in the worst
/// ones, `least` and `most`.
fn assert_found(kind: Kind, rates: &[u64], (least, refused, most): (f64, f64, f64)) {
    for per_minute in rates.iter().copied() {
        for says_how_long in [true, false] {
            let seed = 0;
            let case = Case { kind, per_minute, headers: false, says_how_long, noise: 0.05, seed };
            let [used, too_many] = lives(case);
            let what = format!("{kind:?} {per_minute} {says_how_long}: {used:.3?} {too_many:.4?}");
            assert!(used.0 >= 0.9 * 0.95 && used.1 >= least, "{what}");
            assert!(too_many.0 < refused && too_many.1 < most, "{what}");
        }
    }
}

#[test]
fn a_window_is_found_behind_chance() {
    assert_found(Kind::Window, &[60, 500, 3_000], (0.5, 0.02, 0.03));
}

#[test]
fn a_bucket_is_found_behind_chance() {
    assert_found(Kind::Bucket, &[500, 3_000], (0.9, 0.02, 0.1));
}

/// Chance and a bucket of one request per second are told apart late.
#[test]
fn a_small_bucket_is_used_up_behind_chance() {
    assert_found(Kind::Bucket, &[60], (0.7, 0.1, 0.2));
}

#[test]
fn a_sliding_minute_is_found_behind_chance() {
    assert_found(Kind::Sliding, &[60, 500, 3_000], (0.5, 0.02, 0.1));
}

#[test]
fn a_number_at_once_is_found_behind_chance() {
    assert_found(Kind::AtOnce, &[1_200, 2_400, 4_800], (0.6, 0.02, 0.2));
}

/// When one request in eight is too many, now and then it is none, as another was refused by chance.
#[test]
fn a_number_at_once_of_one_less_than_are_sent_is_used_up_behind_chance() {
    assert_found(Kind::AtOnce, &[8_400], (0.8, 0.12, 0.12));
}

#[test]
fn without_a_limit_one_in_ten_refused_by_chance_costs_no_more_than_that() {
    for says_how_long in [true, false] {
        let (kind, headers, seed) = (Kind::AtOnce, false, 0);
        let case = Case { kind, per_minute: 9_600, headers, says_how_long, noise: 0.1, seed };
        let [used, _] = lives(case);
        assert!(used.0 >= 0.9 * 0.9 && used.1 >= 0.5, "{says_how_long}: {used:.3?}");
    }
}

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
