use super::super::experience::Outcome;
use super::super::ladder::BackfillOrder;
use super::super::pace::{Points, PointsWindow};
use super::super::plan::{Purpose, Reading};
use super::super::time::Interval;
use super::*;

const NOW: Instant = Instant::from_unix_seconds(1_772_400_000);
const DAY: Duration = Duration::from_hours(24);
const PAGE_SIZE: u32 = 5000;

const LIVE: Tier = Tier { age: Duration::from_mins(15), every: Duration::from_secs(30) };
const HOURS: Tier = Tier { age: Duration::from_hours(2), every: Duration::from_mins(5) };
const TODAY: Tier = Tier { age: Duration::from_hours(24), every: Duration::from_hours(1) };
const MONTH: Tier = Tier { age: Duration::from_hours(30 * 24), every: DAY };

fn usual_ladder(adaptive: bool) -> Ladder {
    Ladder { tiers: vec![LIVE, HOURS, TODAY, MONTH], backfill: BackfillOrder::Newest, adaptive }
}

/// An account of so many calls a day, read for two days, with this much news at each reading of a tier.
fn experience(calls_a_day: u64, news: &[(Tier, usize)]) -> Experience {
    let (ladder, mut experience) = (usual_ladder(true), Experience::default());
    let times = |tier: &Tier| DAY.as_secs() * 2 / tier.every.as_secs();
    let of_tier = |tier: &Tier| (1..=times(tier)).map(|nth| tier.every.as_secs() * nth).collect::<Vec<_>>();
    let mut readings: Vec<(u64, Tier)> =
        ladder.tiers.iter().flat_map(|tier| of_tier(tier).into_iter().map(|at| (at, *tier))).collect();
    readings.sort_by_key(|(at, tier)| (*at, tier.age));
    for (at, tier) in readings {
        let till = NOW - DAY * 2 + Duration::from_secs(at);
        let window = Interval::new(till - tier.age, till).unwrap();
        let n_rows = calls_a_day * tier.age.as_secs() / DAY.as_secs();
        let n_pages = u32::try_from(n_rows.div_ceil(u64::from(PAGE_SIZE))).unwrap().max(1);
        let found = news.iter().find(|(of, _)| *of == tier).map_or(0, |(_, found)| *found);
        let outcome = Outcome { n_pages, n_rows, news: vec![tier.age; found] };
        experience.note(&ladder, &Reading { window, purpose: Purpose::Tier { age: tier.age } }, &outcome);
    }
    experience
}

fn day(limit: u64, remaining: u64) -> Budget {
    let minute = (PointsWindow::Minute, Points { limit: 60, remaining: 60, resets_at: NOW + Duration::from_mins(1) });
    Budget::new(0.8, [minute, (PointsWindow::Day, Points { limit, remaining, resets_at: NOW + DAY })])
}

fn pace(demand: &Demand, budget: &Budget) -> Vec<Duration> {
    let pace = share_out(&[demand], budget, &Rhythm::default(), NOW).remove(0);
    [LIVE, HOURS, TODAY, MONTH].iter().map(|tier| pace.interval(tier)).collect()
}

#[test]
fn a_tier_that_takes_no_more_pages_rides_on_the_one_below() {
    let demand = Demand::of(&usual_ladder(true), &experience(2000, &[]), PAGE_SIZE);
    let rides: Vec<(u32, bool)> = demand.readings().map(|(_, pages, rides)| (pages, rides)).collect();
    assert_eq!(rides, [(1, false), (1, true), (1, true), (12, false)]);
}

#[test]
fn a_free_rung_is_no_claim_and_leaves_the_levels_as_they_are() {
    let experience = experience(2000, &[]);
    for every in [DAY, Duration::from_mins(10)] {
        let mut ladder = usual_ladder(true);
        ladder.tiers[3].every = every;
        let with_rung = ladder.with_free_rungs(&experience, PAGE_SIZE);
        assert_eq!(with_rung.tiers.len(), 5);
        let claims = |ladder: &Ladder| Demand::of(ladder, &experience, PAGE_SIZE).claims().collect::<Vec<_>>();
        assert_eq!(claims(&with_rung), claims(&ladder));
    }
}

#[test]
fn the_usual_ladder_is_stretched_at_its_live_tier_alone_and_that_is_known_at_once() {
    let demand = Demand::of(&usual_ladder(true), &experience(2000, &[]), PAGE_SIZE);
    let read = pace(&demand, &day(3000, 3000));
    assert!((36..=37).contains(&read[0].as_secs()), "{read:?}");
    assert_eq!(read[1..], [HOURS.every, TODAY.every, MONTH.every]);
}

#[test]
fn without_points_to_spare_nothing_rides_more_often_than_its_carrier() {
    let demand = Demand::of(&usual_ladder(false), &experience(2000, &[]), PAGE_SIZE);
    let read = pace(&demand, &day(3000, 700));
    assert!(read[0] > HOURS.every, "{read:?}");
    assert_eq!(read[1], read[0]);
    assert_eq!(read[2], TODAY.every);
}

#[test]
fn a_fixed_ladder_is_kept_whatever_is_left_over_and_whatever_is_found() {
    let demand = Demand::of(&usual_ladder(false), &experience(2000, &[(LIVE, 3), (TODAY, 30)]), PAGE_SIZE);
    let promised: Vec<Duration> = usual_ladder(false).tiers.iter().map(|tier| tier.every).collect();
    assert_eq!(pace(&demand, &day(1_000_000, 1_000_000)), promised);
    assert_eq!(pace(&demand, &Budget::new(0.8, [])), promised);
}

#[test]
fn tags_put_on_today_are_looked_for_more_often_at_no_cost() {
    let read = |news| {
        let demand = Demand::of(&usual_ladder(true), &experience(2000, &[(TODAY, news)]), PAGE_SIZE);
        pace(&demand, &day(3000, 3000))
    };
    // 2000 rows a reading, half as many for each piece of news.
    for (news_an_hour, minutes) in [(4, 30.0), (30, 4.0)] {
        let every = read(news_an_hour)[2].as_secs_f64() / 60.0;
        assert!((minutes..minutes * 1.05).contains(&every), "{news_an_hour}: {every}");
    }
    assert_eq!(read(0)[2], TODAY.every);
    let often = read(600);
    assert!(often[2] == often[0] && often[0] < Duration::from_secs(38), "no more often than its carrier: {often:?}");
}

#[test]
fn of_a_limit_by_the_minute_alone_no_more_is_spent_than_promised() {
    let demand = Demand::of(&usual_ladder(true), &experience(2000, &[(LIVE, 3)]), PAGE_SIZE);
    let minute = |limit| {
        let points = Points { limit, remaining: limit, resets_at: NOW + Duration::from_mins(1) };
        Budget::new(1.0, [(PointsWindow::Minute, points)])
    };
    assert_eq!(pace(&demand, &minute(60))[0], LIVE.every);
    assert!(pace(&demand, &minute(1))[0] >= Duration::from_mins(1));
}

#[test]
fn customers_of_one_credential_share_it() {
    let busy = Demand::of(&usual_ladder(true), &experience(2000, &[(LIVE, 1)]), PAGE_SIZE);
    let quiet = Demand::of(&usual_ladder(true), &experience(3, &[]), PAGE_SIZE);
    let mut demands = vec![&quiet; 499];
    demands.push(&busy);
    let paces = share_out(&demands, &day(3000, 3000), &Rhythm::default(), NOW);
    let live: Vec<Duration> = paces.iter().map(|pace| pace.interval(&LIVE)).collect();
    assert!(live[499] * 5 < live[0], "busy {:?}, quiet {:?}", live[499], live[0]);
    assert!(live[0] < Duration::from_hours(12), "{:?}", live[0]);
    let a_day: f64 = live.iter().map(|interval| DAY.as_secs_f64() / interval.as_secs_f64()).sum();
    assert!(a_day <= 2400.0, "{a_day}");
}

#[test]
fn the_night_leaves_points_for_the_day_but_no_promise_is_broken_for_it() {
    let mut rhythm = Rhythm::default();
    for hour in 0..72 {
        let at = NOW - Duration::from_hours(72 - hour);
        let is_day = (8..20).contains(&(at.unix_seconds() / 3600 % 24));
        rhythm.note(Interval { from: at, till: at + Duration::from_hours(1) }, if is_day { 100 } else { 0 });
    }
    let hour = NOW.unix_seconds() / 3600 % 24;
    let noon = NOW + Duration::from_hours(u64::try_from((36 - hour) % 24).unwrap());
    let night = noon + Duration::from_hours(12);
    let demand = Demand::of(&usual_ladder(true), &experience(2000, &[(LIVE, 1)]), PAGE_SIZE);
    let live = |limit: u64, at: Instant| {
        let points = Points { limit, remaining: limit, resets_at: at + DAY };
        let budget = Budget::new(1.0, [(PointsWindow::Day, points)]);
        share_out(&[&demand], &budget, &rhythm, at)[0].interval(&LIVE).as_secs_f64()
    };
    // With plenty, and with too little for the promises.
    for limit in [6000, 1200] {
        assert!(
            live(limit, noon) < live(limit, night) * 0.8,
            "{limit}: {} and {}",
            live(limit, noon),
            live(limit, night)
        );
    }
    assert!(live(6000, night) <= 30.0);
    assert!(live(1200, night) <= 10.0 * 86_400.0 / 1200.0, "a tenth of an even pace");
}
