//! Plans in virtual time: readings take no time unless a test says so, and waiting is free.

use proptest::prelude::*;

use super::super::demand::{Demand, share_out};
use super::super::experience::Outcome;
use super::super::pace::Points;
use super::super::rhythm::Rhythm;
use super::*;

const START: Instant = Instant::from_unix_seconds(1_772_400_000);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

const fn days(days: u64) -> Duration {
    Duration::from_hours(days * 24)
}

fn tier(age: Duration, every: Duration) -> Tier {
    Tier { age, every }
}

/// The ladder of the documents.
fn usual_ladder(backfill: BackfillOrder) -> Ladder {
    let tiers = vec![
        tier(minutes(15), Duration::from_secs(30)),
        tier(minutes(120), minutes(5)),
        tier(days(1), minutes(60)),
        tier(days(30), days(1)),
    ];
    Ladder { tiers, backfill, adaptive: true }
}

/// An account whose readings cost as many pages as a test wishes, in a time of its own.
struct World {
    ladder: Ladder,
    coverage: Coverage,
    floor: Instant,
    clocks: Clocks,
    experience: Experience,
    budget: Budget,
    pace: Pace,
    rhythm: Rhythm,
    lag: Duration,
    looked_at: Option<Instant>,
    newest: Option<Instant>,
    horizon_is_stale: bool,
    now: Instant,
}

const PAGE_SIZE: u32 = 5000;

impl World {
    fn new(ladder: Ladder, origin: Instant) -> Self {
        let mut clocks = Clocks::default();
        clocks.start_missing(&ladder, START);
        Self {
            ladder,
            coverage: Coverage::starting_at(origin),
            floor: origin,
            clocks,
            experience: Experience::default(),
            budget: Budget::new(1.0, []),
            pace: Pace::default(),
            rhythm: Rhythm::default(),
            lag: Duration::ZERO,
            newest: None,
            looked_at: None,
            horizon_is_stale: false,
            now: START,
        }
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            pace: &self.pace,
            page_size: PAGE_SIZE,
            is_last: false,
            ladder: &self.ladder,
            coverage: &self.coverage,
            floor: self.floor,
            clocks: &self.clocks,
            looked_at: self.looked_at,
            horizon_is_stale: self.horizon_is_stale,
            experience: &self.experience,
            budget: &self.budget,
            end: self.now - self.lag,
            newest: self.newest,
            now: self.now,
        }
    }

    fn next(&mut self) -> Next {
        let demand = Demand::of(&self.ladder, &self.experience, PAGE_SIZE);
        self.pace = share_out(&[&demand], &self.budget, &self.rhythm, self.now).remove(0);
        next(&self.situation())
    }

    fn complete(&mut self, reading: &Reading, n_pages: u32, brought_news: bool) {
        self.coverage.add(reading.window);
        if let Purpose::Tier { age } = reading.purpose {
            self.clocks.read(&self.ladder, age, reading.window.till + self.lag);
            self.horizon_is_stale &= age < self.ladder.horizon();
        }
        let news = if brought_news { vec![Duration::ZERO] } else { Vec::new() };
        let n_rows = u64::from(n_pages.saturating_sub(1) * PAGE_SIZE) + 10;
        self.experience.note(&self.ladder, reading, &Outcome { n_pages, n_rows, news });
    }

    /// Reads until nothing is due at this moment.
    fn read_all_due(&mut self, n_pages: u32) -> Vec<Reading> {
        let mut readings = Vec::new();
        while let Next::Read(reading) = self.next() {
            assert!(readings.len() < 10_000, "reading never ends");
            self.complete(&reading, n_pages, false);
            readings.push(reading);
        }
        readings
    }
}

fn order() -> impl Strategy<Value = BackfillOrder> {
    prop::sample::select(&[BackfillOrder::Newest, BackfillOrder::Oldest])
}

fn ladder() -> impl Strategy<Value = Ladder> {
    let step = (60_u64..200_000, 1_u64..100_000);
    (prop::collection::vec(step, 1..5), order(), any::<bool>()).prop_map(|(steps, backfill, adaptive)| {
        let tiers = steps.into_iter().scan(Duration::ZERO, |age, (older, every)| {
            *age += Duration::from_secs(older);
            Some(tier(*age, Duration::from_secs(every)))
        });
        Ladder { tiers: tiers.collect(), backfill, adaptive }
    })
}

/// No reading reaches where it may not, and its windows are short enough and leave nothing out.
fn check_reading(world: &World, reading: &Reading) {
    let earliest = world.floor.max(world.coverage.origin());
    assert!(reading.window.till <= world.now && reading.window.from < reading.window.till, "{reading:?}");
    match reading.purpose {
        Purpose::Tier { .. } => assert!(reading.window.from >= earliest, "{reading:?} before {earliest}"),
        Purpose::Backfill => {
            let gaps = world.coverage.gaps(world.now);
            let within = |gap: &Interval| gap.from <= reading.window.from && reading.window.till <= gap.till;
            assert!(gaps.iter().any(within), "{reading:?} is in none of {gaps:?}");
        }
    }
    let windows: Vec<Interval> = reading.windows().collect();
    assert!(windows.iter().all(|window| window.length() <= LONGEST_WINDOW));
    assert!(windows.windows(2).all(|pair| pair[0].till == pair[1].from));
    assert_eq!((windows[0].from, windows[windows.len() - 1].till), (reading.window.from, reading.window.till));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_tier_is_read_in_time_and_the_back_fill_ends(
        ladder in ladder(),
        age_of_origin in 0_u64..9_000_000,
        age_of_floor in 0_u64..9_000_000,
        pages in prop::collection::vec((0_u32..9, any::<bool>()), 1..20),
        points_are_known: bool,
    ) {
        let mut world = World::new(ladder, START - Duration::from_secs(age_of_origin));
        world.floor = START - Duration::from_secs(age_of_floor);
        if points_are_known {
            let day = Points { limit: u64::MAX, remaining: u64::MAX, resets_at: START + days(30_000) };
            world.budget = Budget::new(1.0, [(PointsWindow::Day, day)]);
        }
        let mut pages = pages.into_iter().cycle();
        let mut last_read = world.clocks.0.clone();
        let (mut n_waits, mut backfilled) = (0, Vec::new());
        for _ in 0..4000 {
            match world.next() {
                Next::Read(reading) => {
                    check_reading(&world, &reading);
                    if let Purpose::Tier { age } = reading.purpose {
                        for tier in world.ladder.tiers.iter().filter(|tier| tier.age <= age) {
                            let before = last_read.insert(tier.age, world.now).unwrap_or(world.now);
                            prop_assert!(world.now.since(before) <= tier.every, "{:?} is late at {}", tier, world.now);
                        }
                    } else if n_waits == 0 {
                        backfilled.push(reading.window);
                    }
                    let (n_pages, brought_news) = pages.next().unwrap();
                    world.complete(&reading, n_pages, brought_news);
                }
                Next::Wait { until, why } => {
                    prop_assert!(until > world.now);
                    prop_assert_eq!(why, Why::NothingDue);
                    let live = world.ladder.live_age();
                    prop_assert!(world.coverage.gaps(world.now - live).is_empty(), "a gap is left while waiting");
                    prop_assert!(!is_backfilling(&world.situation()));
                    world.now = until;
                    n_waits += 1;
                }
            }
        }
        prop_assert!(n_waits > 0, "the back-fill never ends");
        let newest_first = backfilled.windows(2).all(|pair| pair[1].till <= pair[0].from);
        let oldest_first = backfilled.windows(2).all(|pair| pair[0].till <= pair[1].from);
        let in_order = match world.ladder.backfill {
            BackfillOrder::Newest => newest_first,
            BackfillOrder::Oldest => oldest_first,
        };
        prop_assert!(in_order, "{:?}", backfilled);
    }

    #[test]
    fn used_up_points_make_every_reading_wait(resets_in in 1_u64..100_000, order in order()) {
        let mut world = World::new(usual_ladder(order), START - days(3));
        let resets_at = START + Duration::from_secs(resets_in);
        world.budget = Budget::new(0.8, [(PointsWindow::Minute, Points { limit: 60, remaining: 12, resets_at })]);
        prop_assert_eq!(world.next(), Next::Wait { until: resets_at, why: Why::Points(PointsWindow::Minute) });
        world.now = resets_at;
        prop_assert!(matches!(world.next(), Next::Read(_)));
    }
}

#[test]
fn the_first_reading_is_the_live_one_and_then_comes_what_is_missing() {
    for (order, first) in
        [(BackfillOrder::Newest, START - minutes(15)), (BackfillOrder::Oldest, START - days(7) + days(1))]
    {
        let mut world = World::new(usual_ladder(order), START - days(7));
        let readings = world.read_all_due(2);
        assert_eq!(readings[0].purpose, Purpose::Tier { age: minutes(15) });
        assert_eq!(readings[0].window, Interval { from: START - minutes(15), till: START });
        assert!(readings[1..].iter().all(|reading| reading.purpose == Purpose::Backfill));
        assert_eq!(readings[1].window, Interval { from: first - days(1), till: first });
        assert_eq!(readings.len(), 1 + 7, "a day at a time");
        assert_eq!(world.coverage.intervals(), [Interval { from: START - days(7), till: START }]);
    }
}

#[test]
fn live_readings_come_between_the_chunks_of_a_back_fill() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(365));
    let mut purposes = Vec::new();
    for _ in 0..6 {
        let Next::Read(reading) = world.next() else { panic!("nothing to read") };
        world.complete(&reading, 4, false);
        world.now = world.now + Duration::from_secs(20);
        purposes.push(reading.purpose);
    }
    let (live, chunk) = (Purpose::Tier { age: minutes(15) }, Purpose::Backfill);
    assert_eq!(purposes, [live, chunk, live, chunk, live, chunk]);
}

#[test]
fn chunks_grow_over_quiet_times_and_shrink_over_busy_ones() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(3650));
    let quiet = world.read_all_due(1);
    let lengths: Vec<u64> = quiet[1..9].iter().map(|reading| reading.window.length().as_secs()).collect();
    let day = 86_400;
    assert_eq!(lengths, [day, 2 * day, 4 * day, 8 * day, 16 * day, 32 * day, 64 * day, 88 * day]);

    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(3));
    let busy = world.read_all_due(50);
    let shortest = busy[1..].iter().map(|reading| reading.window.length()).min();
    assert!(busy.len() > 24 && shortest.is_some_and(|shortest| shortest <= minutes(60)));
}

#[test]
fn a_larger_tier_takes_the_place_of_a_smaller_one_when_it_costs_no_more() {
    for (pages_of_larger, expected) in [(1, minutes(120)), (2, minutes(15))] {
        let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(30));
        world.read_all_due(1);
        let window = Interval { from: START - minutes(120), till: START };
        let larger = Reading { window, purpose: Purpose::Tier { age: minutes(120) } };
        world.experience.note(&world.ladder, &larger, &Outcome { n_pages: pages_of_larger, n_rows: 10, news: vec![] });
        world.now = START + minutes(5);
        let Next::Read(reading) = world.next() else { panic!("nothing to read") };
        assert_eq!(reading.purpose, Purpose::Tier { age: expected });
        world.complete(&reading, 1, false);
        let other = world.read_all_due(1).iter().map(|reading| reading.purpose).collect::<Vec<_>>();
        assert_eq!(other.is_empty(), pages_of_larger == 1, "{other:?}");
    }
}

#[test]
fn news_bring_the_next_reading_forward_only_with_points_to_spare() {
    let next_live = |adaptive, budget: Budget| {
        let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - minutes(15));
        world.ladder.adaptive = adaptive;
        world.budget = budget;
        let mut waits = Vec::new();
        for _ in 0..4 {
            let Next::Read(reading) = world.next() else { panic!("nothing to read") };
            world.complete(&reading, 1, true);
            let Next::Wait { until, .. } = world.next() else { panic!("something is due at once") };
            waits.push(until.since(world.now).as_secs());
            world.now = until;
        }
        waits
    };
    let day = |remaining| {
        let points = Points { limit: 1_000_000, remaining, resets_at: START + days(1) };
        Budget::new(1.0, [(PointsWindow::Day, points)])
    };
    assert!(next_live(true, day(1_000_000)).iter().all(|wait| *wait < 10));
    assert_eq!(next_live(false, day(1_000_000)), [30, 30, 30, 30]);
    assert!(next_live(true, day(2000)).iter().all(|wait| (42..46).contains(wait)), "the ladder takes 2880 a day");
    assert_eq!(next_live(true, Budget::new(1.0, [])), [30, 30, 30, 30], "what is not known is not spent");
}

#[test]
fn what_a_pause_left_out_is_a_gap_and_is_filled() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(2));
    world.ladder.tiers.truncate(2);
    world.read_all_due(5);
    world.now = START + days(3);
    let readings = world.read_all_due(5);
    assert!(matches!(readings[0].purpose, Purpose::Tier { .. }), "what is new comes first: {:?}", readings[0]);
    assert_eq!(readings[0].window.till, world.now);
    assert_eq!(world.coverage.intervals(), [Interval { from: START - days(2), till: world.now }]);
}

#[test]
fn what_few_points_leave_between_two_live_readings_costs_none_of_its_own() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - minutes(15));
    world.experience = Experience::expecting(100.0);
    // One reading an hour, and the live tier is fifteen minutes long.
    let limits = |resets_at| Points { limit: 24, remaining: 24, resets_at };
    let mut readings = Vec::new();
    for day in 1..=3 {
        let resets_at = START + days(day);
        let mut spent = 0;
        while world.now < resets_at {
            let day = Points { remaining: 24 - spent, ..limits(resets_at) };
            world.budget = Budget::new(1.0, [(PointsWindow::Day, day)]);
            match world.next() {
                Next::Read(reading) => {
                    world.complete(&reading, 1, false);
                    spent += 1;
                    readings.push(reading);
                }
                Next::Wait { until, .. } => world.now = until.min(world.now + minutes(1)),
            }
        }
    }
    assert!((60..=72).contains(&readings.len()), "{} readings", readings.len());
    assert!(readings.iter().all(|reading| reading.purpose != Purpose::Backfill), "{readings:?}");
    assert_eq!(world.coverage.intervals().len(), 1, "{:?}", world.coverage);
}

#[test]
fn after_a_pause_the_live_reading_begins_where_reading_had_stopped_if_that_costs_no_more() {
    let busy = Experience::expecting(4000.0);
    for (pause, experience, is_joined) in [
        (minutes(10), &busy, true),
        (minutes(150), &busy, true),
        (days(2), &busy, false),
        // Nothing is known but a quiet quarter of an hour.
        (days(2), &Experience::default(), false),
    ] {
        let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(3));
        world.read_all_due(1);
        world.experience = experience.clone();
        world.now = START + pause;
        // Nothing but the live tier is due.
        world.clocks.0.iter_mut().skip(1).for_each(|(_, clock)| *clock = START + pause);
        let windows: Vec<Interval> = world.read_all_due(1).iter().map(|reading| reading.window).collect();
        let from = if is_joined { START.min(world.now - minutes(15)) } else { world.now - minutes(15) };
        assert_eq!(windows[0], Interval { from, till: world.now }, "after {pause:?}");
        assert_eq!(windows.len() == 1, is_joined, "after {pause:?}: {windows:?}");
    }
}

#[test]
fn a_rung_is_never_read_for_a_point_of_its_own() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(30));
    world.read_all_due(1);
    world.experience = Experience::expecting(2000.0);
    world.ladder = world.ladder.with_free_rungs(&world.experience, PAGE_SIZE);
    // It was never read, and would be due at once.
    assert_eq!(world.next(), Next::Wait { until: START + Duration::from_secs(30), why: Why::NothingDue });
    world.now = START + Duration::from_secs(30);
    let purposes: Vec<Purpose> = world.read_all_due(1).iter().map(|reading| reading.purpose).collect();
    assert_eq!(purposes, [Purpose::Tier { age: minutes(45 * 60) }], "in place of the live one");
}

#[test]
fn when_nothing_is_read_later_an_end_that_moves_is_read_up_to_at_once() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(1));
    world.lag = minutes(60);
    world.read_all_due(1);
    for (lag, is_last) in [(30, false), (30, true), (30, true), (20, true)] {
        world.lag = minutes(lag);
        let frontier = world.coverage.frontier();
        let end = START - minutes(lag);
        let next = next(&Situation { is_last, ..world.situation() });
        match next {
            Next::Read(reading) => {
                assert!(is_last && frontier < end);
                assert_eq!(reading.window, Interval { from: frontier.min(end - minutes(15)), till: end });
                world.complete(&reading, 1, false);
            }
            Next::Wait { .. } => assert!(!is_last || frontier == end),
        }
    }
    assert_eq!(world.coverage.frontier(), START - minutes(20));
}

#[test]
fn a_rung_is_read_in_place_of_a_smaller_one_as_often_as_its_news_are_worth() {
    // Of 58 000 rows of a month 3625 are no older than 45 hours.
    let lags = [Duration::ZERO, minutes(6 * 60)];
    let table = [(0, minutes(24 * 60)), (45, minutes(240))];
    for (lag, (news_a_day, first)) in lags.into_iter().flat_map(|lag| table.map(|row| (lag, row))) {
        let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(30));
        world.lag = lag;
        world.read_all_due(1);
        let month = Reading {
            window: Interval { from: START - days(30), till: START - lag },
            purpose: Purpose::Tier { age: days(30) },
        };
        let outcome = Outcome { n_pages: 12, n_rows: 58_000, news: vec![minutes(30 * 60); news_a_day] };
        world.experience.note(&world.ladder, &month, &outcome);
        world.ladder = world.ladder.with_free_rungs(&world.experience, PAGE_SIZE);
        let rung = Purpose::Tier { age: minutes(45 * 60) };
        let is_read = |minute: &u64| {
            world.now = START + minutes(*minute);
            world.read_all_due(1).iter().any(|reading| reading.purpose == rung)
        };
        let at = (0..3 * 24 * 60).find(is_read).map(minutes);
        assert!(at.is_some_and(|at| at > first / 2 && at <= first), "{news_a_day} news, {lag:?}: {at:?}");
    }
}

#[test]
fn a_call_that_went_on_when_reading_stopped_is_read_after_any_pause() {
    // The call started ten minutes before the last reading and ended after it: its start counts as covered, and a
    // pause longer than the horizon would have left it behind for good.
    for pause in [minutes(1), minutes(60), days(3), days(400)] {
        for n_tiers in 1..=4 {
            let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(2));
            world.ladder.tiers.truncate(n_tiers);
            world.read_all_due(2);
            let call = START - minutes(10);
            world.now = START + pause;
            let mut readings = world.read_all_due(2);
            // The tier that reaches it may be due later only when the pause was short.
            while !readings.iter().any(|reading| reading.window.contains(call)) {
                let Next::Wait { until, .. } = world.next() else { panic!("{pause:?}, {n_tiers} tiers") };
                world.now = until;
                assert!(until <= START + pause.max(days(1)), "{pause:?}, {n_tiers} tiers");
                readings.extend(world.read_all_due(2));
            }
        }
    }
}

#[test]
fn the_ledger_is_needed_as_far_back_as_the_largest_tier_will_read() {
    let ladder = usual_ladder(BackfillOrder::Newest);
    let mut clocks = Clocks::default();
    assert_eq!(ladder.needed_from(&clocks, START), START - days(30));
    clocks.read(&ladder, days(30), START);
    for (later, expected) in [(0, -30), (1, -29), (2, -29), (50, -29)] {
        let expected = Instant::from_unix_seconds(START.unix_seconds() + expected * 86_400);
        assert_eq!(ladder.needed_from(&clocks, START + days(later)), expected, "{later} days later");
    }
}

#[test]
fn the_live_reading_comes_between_the_pages_of_a_longer_one_when_it_is_due() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(30));
    let month = Reading { window: Interval::new(START - days(30), START).unwrap(), purpose: Purpose::Backfill };
    let live = live_in_between(&world.situation(), &month).unwrap();
    assert_eq!(live.purpose, Purpose::Tier { age: minutes(15) });
    assert_eq!(live.window, Interval::new(START - minutes(15), START).unwrap());
    assert_eq!(live_in_between(&world.situation(), &live), None, "not within itself");

    world.complete(&live, 1, false);
    world.now = START + Duration::from_secs(29);
    assert_eq!(live_in_between(&world.situation(), &month), None, "it is not due");
    world.now = START + Duration::from_secs(30);
    assert!(live_in_between(&world.situation(), &month).is_some());
    let used_up = Points { limit: 60, remaining: 0, resets_at: START + minutes(1) };
    world.budget = Budget::new(1.0, [(PointsWindow::Minute, used_up)]);
    assert!(live_in_between(&world.situation(), &month).is_some(), "it waits in turn for a point");
}

#[test]
fn a_slow_api_starves_no_tier() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(30));
    world.read_all_due(2);
    let mut last_read = world.clocks.0.clone();
    while world.now < START + days(3) {
        match world.next() {
            Next::Read(reading) => {
                // Longer than the live tier's interval: it is due again at once.
                world.now = world.now + Duration::from_secs(40);
                world.complete(&reading, 2, false);
            }
            Next::Wait { until, .. } => world.now = until,
        }
        for (age, at) in &world.clocks.0 {
            let every = world.ladder.tiers.iter().find(|tier| tier.age == *age).unwrap().every;
            let before = last_read.insert(*age, *at).unwrap();
            assert!(at.since(before) <= every * 2 + minutes(3), "tier of {age:?} was read {before} and then {at}");
        }
    }
    assert!(last_read.values().all(|at| *at > START), "{last_read:?}");
}

#[test]
fn a_tier_that_is_no_longer_configured_loses_its_clock_and_a_new_one_waits() {
    let mut ladder = usual_ladder(BackfillOrder::Newest);
    let mut clocks = Clocks::default();
    clocks.read(&ladder, days(30), START);
    assert_eq!(clocks.0.len(), 4);
    ladder.tiers[1] = tier(minutes(180), minutes(5));
    let later = START + minutes(1);
    clocks.start_missing(&ladder, later);
    assert_eq!(clocks.0.get(&minutes(180)), Some(&later));
    clocks.read(&ladder, minutes(15), later);
    assert!(!clocks.0.contains_key(&minutes(120)));
    assert_eq!(clocks.0.get(&days(30)), Some(&START), "a small reading says nothing of a large tier");
}

/// The API refuses what is more recent: nothing is asked for that, by any tier or the back-fill, and nothing stays behind.
#[test]
fn windows_end_where_the_api_has_rows() {
    let hours = |hours| Duration::from_hours(hours);
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(2));
    world.lag = hours(6);
    let end = START - hours(6);
    for _ in 0..100 {
        let Next::Read(reading) = world.next() else { break };
        assert!(reading.window.till <= end && reading.window.from < reading.window.till, "{reading:?}");
        world.coverage.add(reading.window);
        if let Purpose::Tier { age } = reading.purpose {
            world.clocks.read(&world.ladder, age, world.now);
        }
        world.now = world.now.max(START);
    }
    assert!(matches!(world.next(), Next::Wait { .. }));
    assert!(world.coverage.covers(Interval::new(START - days(2), end).unwrap()), "{:?}", world.coverage);
}

#[test]
fn the_live_window_reaches_back_to_the_newest_row() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(2));
    let live = world.ladder.tiers[0].age;
    world.newest = Some(START - minutes(300));
    let Next::Read(reading) = world.next() else { panic!() };
    assert_eq!(reading.window, Interval::new(START - minutes(300) - live, START).unwrap());
}

/// Nothing of the ladder is due, and yet the horizon is, whole and once.
#[test]
fn a_stale_horizon_is_read_at_once_whatever_its_clock_says() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(60));
    world.read_all_due(1);
    assert!(matches!(world.next(), Next::Wait { .. }));

    world.horizon_is_stale = true;
    let readings = world.read_all_due(1);
    let expected =
        Reading { window: Interval::new(START - days(30), START).unwrap(), purpose: Purpose::Tier { age: days(30) } };
    assert_eq!(readings, [expected]);
}

#[test]
fn a_look_that_found_nothing_counts_for_the_live_tier_alone_and_not_ahead_of_the_clock() {
    let mut world = World::new(usual_ladder(BackfillOrder::Newest), START - days(1));
    world.read_all_due(1);
    let due = |world: &World| -> Vec<Instant> {
        world.ladder.tiers.iter().map(|tier| due_at(&world.situation(), tier)).collect()
    };
    let before = due(&world);
    let looked_at = START + Duration::from_secs(90);
    world.looked_at = Some(looked_at);

    world.now = START + Duration::from_secs(100);
    assert_eq!(due(&world)[0], looked_at + world.pace.interval(&world.ladder.tiers[0]));
    assert_eq!(due(&world)[1..], before[1..]);

    world.now = START + Duration::from_secs(80);
    assert_eq!(due(&world), before, "the clock was put back");
}

/// Else the live reading would be sent ahead of the one that makes it unnecessary, for a point more.
#[test]
fn a_larger_reading_of_no_more_pages_stands_for_the_live_one() {
    let ladder = usual_ladder(BackfillOrder::Newest);
    let experience = Experience::expecting(2000.0);
    let stands_for_live = |purpose| {
        let window = Interval::new(START - minutes(30), START).unwrap();
        ladder.stands_for_live(&Reading { window, purpose }, &experience, PAGE_SIZE)
    };
    let by_tier = ladder.tiers.iter().map(|tier| stands_for_live(Purpose::Tier { age: tier.age }));
    assert_eq!(by_tier.collect::<Vec<_>>(), [true, true, true, false], "a month of calls takes 12 pages");
    assert!(!stands_for_live(Purpose::Backfill));
}
