use proptest::prelude::*;

use super::super::experience::Outcome;
use super::super::time::Interval;
use super::*;

const HOUR: Duration = Duration::from_hours(1);
const PAGE_SIZE: u32 = 5000;

const fn tier(age: Duration, every: Duration) -> Tier {
    Tier { age, every }
}

fn usual_ladder() -> Ladder {
    let tiers = vec![
        tier(HOUR / 4, Duration::from_secs(30)),
        tier(2 * HOUR, HOUR / 12),
        tier(24 * HOUR, HOUR),
        tier(30 * 24 * HOUR, 24 * HOUR),
    ];
    Ladder { tiers, backfill: BackfillOrder::Newest, adaptive: true }
}

/// Hours of the ages that are read.
fn ages(ladder: &Ladder, experience: &Experience) -> Vec<f64> {
    let planned = ladder.with_free_rungs(experience, PAGE_SIZE);
    planned.tiers.iter().map(|tier| tier.age.as_secs_f64() / 3600.0).collect()
}

#[test]
fn a_rung_reaches_as_far_back_as_the_pages_of_the_tier_below() {
    let table = [
        // All of the month fits one page.
        (100.0, vec![0.25, 2.0, 24.0, 720.0]),
        (200.0, vec![0.25, 2.0, 24.0, 360.0, 720.0]),
        (2000.0, vec![0.25, 2.0, 24.0, 45.0, 720.0]),
        // The day takes five pages, and three days would take more.
        (25_000.0, vec![0.25, 2.0, 3.0, 24.0, 720.0]),
    ];
    for (calls_a_day, expected) in table {
        assert_eq!(ages(&usual_ladder(), &Experience::expecting(calls_a_day)), expected, "{calls_a_day} calls a day");
    }
}

#[test]
fn there_is_no_rung_while_nothing_is_known_or_wanted_beyond_the_promises() {
    let promised = [0.25, 2.0, 24.0, 720.0];
    assert_eq!(ages(&usual_ladder(), &Experience::default()), promised);
    let fixed = Ladder { adaptive: false, ..usual_ladder() };
    assert_eq!(ages(&fixed, &Experience::expecting(2000.0)), promised);
}

#[test]
fn a_rung_that_takes_a_page_more_than_was_thought_is_left_for_half_of_it() {
    let (ladder, mut experience) = (usual_ladder(), Experience::expecting(200.0));
    let till = Instant::from_unix_seconds(1_772_400_000);
    let rung =
        Reading { window: Interval { from: till - 360 * HOUR, till }, purpose: Purpose::Tier { age: 360 * HOUR } };
    experience.note(&ladder, &rung, &Outcome { n_pages: 2, n_rows: 5100, news: Vec::new() });
    assert_eq!(ages(&ladder, &experience), [0.25, 2.0, 24.0, 180.0, 720.0]);
}

proptest! {
    #[test]
    fn rungs_are_added_between_tiers_and_cost_nothing(
        steps in prop::collection::vec((60_u64..20_000_000, 1_u64..100_000), 1..5),
        calls_a_day in 0.0_f64..1e6,
        page_size in 1_u32..10_000,
    ) {
        let tiers = steps.into_iter().scan(Duration::ZERO, |age, (older, every)| {
            *age += Duration::from_secs(older);
            Some(tier(*age, Duration::from_secs(every)))
        });
        let ladder = Ladder { tiers: tiers.collect(), ..usual_ladder() };
        let experience = Experience::expecting(calls_a_day);
        let planned = ladder.with_free_rungs(&experience, page_size);
        let is_rung = |tier: &&Tier| !ladder.tiers.contains(tier);
        let kept: Vec<Tier> = planned.tiers.iter().filter(|tier| !is_rung(tier)).copied().collect();
        prop_assert_eq!(&kept, &ladder.tiers);
        for pair in planned.tiers.windows(2) {
            prop_assert!(pair[0].age < pair[1].age, "{:?}", pair);
            if is_rung(&&pair[1]) {
                prop_assert!(experience.costs_no_more(&pair[1], &pair[0], page_size), "{:?}", pair);
                prop_assert!(pair[1].age <= LONGEST_WINDOW);
            }
        }
    }
}
