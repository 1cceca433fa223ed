use proptest::prelude::*;

use super::*;

const DAY: f64 = 86_400.0;

fn claim(level: usize, points: f64, every_seconds: u64, news_a_day: f64) -> Claim {
    let every = Duration::from_secs(every_seconds);
    Claim { level, points, every, news: news_a_day / DAY, adaptive: true }
}

fn fixed(claim: Claim) -> Claim {
    Claim { adaptive: false, ..claim }
}

fn spent(claims: &[Claim], intervals: &[Duration]) -> f64 {
    claims.iter().zip(intervals).map(|(claim, interval)| claim.points / interval.as_secs_f64()).sum()
}

#[test]
fn nothing_known_of_points_means_the_promises() {
    let claims = [claim(0, 1.0, 30, 2000.0), claim(1, 12.0, 86_400, 300.0)];
    assert_eq!(intervals(&claims, None), [Duration::from_secs(30), Duration::from_hours(24)]);
}

#[test]
fn points_to_spare_are_not_spent_on_a_fixed_ladder() {
    let claims = [claim(0, 1.0, 300, 2000.0), claim(1, 12.0, 86_400, 300.0)].map(fixed);
    let expected: Vec<Duration> = claims.iter().map(|claim| claim.every).collect();
    assert_eq!(intervals(&claims, Some(2400.0 / DAY)), expected);
}

#[test]
fn points_to_spare_go_where_the_news_are() {
    let claims = [claim(0, 1.0, 300, 2000.0), claim(1, 1.0, 3600, 20.0), claim(2, 12.0, 86_400, 0.0)];
    let read = intervals(&claims, Some(1000.0 / DAY));
    assert!(read[0] < Duration::from_secs(120), "{read:?}");
    assert!(read[1] < Duration::from_secs(1200) && read[1] > read[0], "{read:?}");
    assert!(read[2] > Duration::from_hours(4), "{read:?}");
    let read = intervals(&claims, Some(1_000_000.0 / DAY));
    assert_eq!(read[..2], [Duration::from_secs(30), Duration::from_mins(6)]);
    assert_eq!(read[2], Duration::from_hours(24), "who brings no news is read as promised");
}

#[test]
fn a_cheap_old_tier_keeps_its_promise_when_the_live_one_is_too_dear() {
    // The usual ladder of an account with 2000 calls a day and 3000 points, of which 2400 are for callfeed.
    let claims = [claim(0, 1.0, 30, 2000.0), claim(3, 12.0, 86_400, 300.0)];
    let read = intervals(&claims, Some(2400.0 / DAY));
    assert_eq!(read[1], Duration::from_hours(24));
    assert!((36..38).contains(&read[0].as_secs()), "{read:?}");
}

#[test]
fn dear_tiers_are_stretched_from_the_oldest_on_but_none_is_starved() {
    let claims = [
        claim(0, 1.0, 30, 2000.0),
        claim(1, 3.0, 300, 500.0),
        claim(2, 34.0, 3600, 500.0),
        claim(3, 1000.0, 86_400, 500.0),
    ];
    let stretch = |rate_a_day: f64| -> Vec<f64> {
        let read = intervals(&claims, Some(rate_a_day / DAY));
        claims.iter().zip(read).map(|(claim, read)| read.as_secs_f64() / claim.every.as_secs_f64()).collect()
    };
    let little = stretch(5000.0);
    assert!(little[..2].iter().all(|stretch| *stretch < 1.01), "{little:?}");
    assert!(little[3] > little[2] && little[2] > 1.2, "{little:?}");
    let much = stretch(2400.0);
    assert!(much.iter().all(|stretch| *stretch < 4.0), "{much:?}");
    assert!(much[3] > much[0], "{much:?}");
}

#[test]
fn of_many_accounts_the_quiet_ones_cost_little_and_none_is_starved() {
    let busy = claim(0, 1.0, 30, 2000.0);
    let quiet = claim(0, 1.0, 30, 0.0);
    let mut claims = vec![quiet; 499];
    claims.push(busy);
    let read = intervals(&claims, Some(2400.0 / DAY));
    assert!(read[0] < Duration::from_hours(10), "a quiet one every {:?}", read[0]);
    assert!(read[499] < Duration::from_mins(20), "the busy one every {:?}", read[499]);
}

#[test]
fn no_points_at_all_is_a_long_wait_and_no_failure() {
    let claims = [claim(0, 1.0, 30, 2000.0), fixed(claim(1, 1.0, 300, 0.0))];
    assert!(intervals(&claims, Some(0.0)).iter().all(|interval| *interval >= Duration::from_hours(24)));
    assert!(intervals(&[], Some(1.0)).is_empty());
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let one = (0_usize..4, 1_u32..200, 1_u64..100_000, 0.0_f64..5000.0, any::<bool>());
    prop::collection::vec(one, 1..12).prop_map(|drawn| {
        let make =
            |(level, points, every, news, adaptive)| Claim { adaptive, ..claim(level, f64::from(points), every, news) };
        drawn.into_iter().map(make).collect()
    })
}

proptest! {
    #[test]
    fn no_more_than_the_rate_is_ever_spent(claims in claims(), rate_a_day in 1.0_f64..100_000.0) {
        let read = intervals(&claims, Some(rate_a_day / DAY));
        // The longest interval is a floor under what a claim takes; it does not matter but for absurdly few points.
        let floor: f64 = claims.iter().map(|claim| claim.points / LONGEST_INTERVAL.as_secs_f64()).sum();
        prop_assert!(spent(&claims, &read) <= rate_a_day / DAY * 1.001 + floor, "{:?}", read);
    }

    #[test]
    fn a_promise_is_kept_while_the_points_allow_all(claims in claims(), spare in 1.0_f64..5.0) {
        let promised: f64 = claims.iter().map(Claim::promised).sum();
        let read = intervals(&claims, Some(promised * spare));
        for (claim, interval) in claims.iter().zip(read) {
            prop_assert!(interval.as_secs_f64() <= claim.every.as_secs_f64() * 1.001, "{:?} for {:?}", interval, claim);
        }
    }

    #[test]
    fn every_claim_gets_its_part_of_one_half(claims in claims(), rate_a_day in 10.0_f64..100_000.0) {
        let rate = rate_a_day / DAY;
        let even = rate / 2.0 / claims.len() as f64;
        for (claim, interval) in claims.iter().zip(intervals(&claims, Some(rate))) {
            let gets = claim.points / interval.as_secs_f64();
            prop_assert!(gets >= claim.promised().min(even) * 0.999, "{:?} for {:?}", interval, claim);
        }
    }

    #[test]
    fn points_are_not_left_lying_while_a_promise_is_broken(claims in claims(), rate_a_day in 10.0_f64..100_000.0) {
        let rate = rate_a_day / DAY;
        let promised: f64 = claims.iter().map(Claim::promised).sum();
        let read = intervals(&claims, Some(rate));
        prop_assert!(spent(&claims, &read) >= promised.min(rate) * 0.999);
    }
}
