//! The forecast by itself, and against the planner in virtual time.

use proptest::prelude::*;

use super::super::coverage::Coverage;
use super::super::ladder::{BackfillOrder, Clocks};
use super::super::plan::{self, Next, Situation};
use super::what_if::{Change, variants};
use super::*;

const fn days(days: u64) -> Duration {
    Duration::from_hours(days * 24)
}

const fn tier(age: Duration, every: Duration) -> Tier {
    Tier { age, every }
}

const LIVE: Tier = tier(Duration::from_mins(15), Duration::from_secs(30));

fn usual_ladder() -> Ladder {
    let tiers = vec![
        LIVE,
        tier(Duration::from_hours(2), Duration::from_mins(5)),
        tier(days(1), Duration::from_hours(1)),
        tier(days(30), days(1)),
    ];
    Ladder { tiers, backfill: BackfillOrder::Newest, adaptive: true }
}

fn reader(calls_a_day: f64) -> Reader {
    Reader { ladder: usual_ladder(), page_size: 5000, calls_a_day, reach: days(7), n_alike: 1 }
}

/// The points of the documents' samples.
fn usual(share: f64) -> Allowance {
    Allowance { limits: BTreeMap::from([(PointsWindow::Minute, 60), (PointsWindow::Day, 3000)]), share }
}

fn planned(forecast: &Forecast) -> Vec<u64> {
    forecast.ladders[0].iter().map(|tier| tier.planned.as_secs()).collect()
}

#[test]
fn the_usual_ladder_with_the_usual_points_is_a_little_late_at_its_live_tier() {
    let forecast = Forecast::of(&[reader(2000.0)], &usual(0.8));
    let tiers = &forecast.ladders[0];
    assert_eq!(tiers.iter().map(|tier| tier.pages).collect::<Vec<_>>(), [1, 1, 1, 12]);
    assert_eq!(tiers.iter().map(|tier| tier.rides_on).collect::<Vec<_>>(), [None, Some(LIVE), Some(LIVE), None]);
    assert_eq!(tiers[0].points_in(Duration::from_hours(1)), 120.0);
    assert_eq!((tiers[1].points_in(DAY), tiers[3].points_in(DAY)), (0.0, 12.0));
    assert_eq!((forecast.needed_a_day.round(), forecast.available_a_day), (2892.0, Some(2400.0)));
    assert_eq!(planned(&forecast), [36, 300, 3600, 86_400]);
    assert_eq!(tiers.iter().map(|tier| tier.is_kept).collect::<Vec<_>>(), [false, true, true, true]);
    assert_eq!((forecast.keeps_promises(), forecast.left_a_day()), (false, Some(0.0)));
}

#[test]
fn without_limits_everything_is_kept_and_nothing_is_left_to_count() {
    let forecast = Forecast::of(&[reader(2000.0)], &Allowance { limits: BTreeMap::new(), share: 0.8 });
    assert_eq!(planned(&forecast), [30, 300, 3600, 86_400]);
    assert_eq!((forecast.keeps_promises(), forecast.available_a_day, forecast.left_a_day()), (true, None, None));
    let seconds = forecast.backfill.points;
    assert_eq!(forecast.backfill.takes, Some(Duration::from_secs(seconds)));
}

#[test]
fn customers_share_the_points_and_their_back_fill_adds_up() {
    let one = Forecast::of(&[reader(100.0)], &usual(1.0));
    let twenty = Forecast::of(&[Reader { n_alike: 20, ..reader(100.0) }], &usual(1.0));
    let apart: Vec<Reader> = (0..20).map(|_| reader(100.0)).collect();
    let apart = Forecast::of(&apart, &usual(1.0));
    assert!((twenty.needed_a_day - one.needed_a_day * 20.0).abs() < 1e-6);
    assert_eq!(twenty.backfill.points, one.backfill.points * 20);
    assert_eq!(twenty.ladders[0], apart.ladders[7]);
    assert!(twenty.ladders[0][0].planned > one.ladders[0][0].planned * 15);
}

#[test]
fn the_back_fill_takes_a_quarter_of_the_day_when_promises_take_more() {
    // 90 days of 30 000 calls a day are 540 pages of 5000. Of the day's 3000 points 750 may be spent at once, of a
    // minute's 60 what the ladder leaves of them: 57.
    let reader = Reader { reach: days(90) + LIVE.age, ..reader(30_000.0) };
    let forecast = Forecast::of(std::slice::from_ref(&reader), &usual(1.0));
    assert_eq!((forecast.backfill.rows, forecast.backfill.points), (2_700_000, 540));
    assert_eq!(forecast.backfill.takes.unwrap().as_secs() / 60, 540 / 57);
    let forecast = Forecast::of(std::slice::from_ref(&reader), &usual(0.5));
    let takes = forecast.backfill.takes.unwrap();
    assert!(takes > days(1) && takes < days(2), "375 a day, {takes:?}");
    let nothing = Allowance { limits: BTreeMap::from([(PointsWindow::Day, 1)]), share: 1.0 };
    assert_eq!(Forecast::of(&[reader], &nothing).backfill.takes, None);
}

#[test]
fn variants_leave_out_what_is_set_and_name_what_keeps_all_promises() {
    let told = |allowance: &Allowance| -> Vec<Change> {
        variants(&[reader(2000.0)], allowance).into_iter().map(|variant| variant.change).collect()
    };
    let ladders =
        [Change::PageSize(10_000), Change::LiveTwiceAsOften, Change::LiveHalfAsOften, Change::OldestHalfAsOften];
    let shares = |shares: &[f64]| shares.iter().map(|share| Change::PointsShare(*share)).collect::<Vec<_>>();
    assert_eq!(told(&usual(0.8)), [&shares(&[0.5, 0.97, 1.0])[..], &ladders].concat());

    let few = Allowance { limits: BTreeMap::from([(PointsWindow::Minute, 60), (PointsWindow::Day, 1000)]), share: 0.8 };
    let limits = Change::Limits(vec![(PointsWindow::Day, 3615)]);
    assert_eq!(told(&few), [&shares(&[0.5, 1.0])[..], &ladders, &[limits]].concat());
    let found = variants(&[reader(2000.0)], &few);
    assert!(found.last().unwrap().forecast.keeps_promises());

    assert_eq!(told(&Allowance { limits: BTreeMap::new(), share: 0.8 }), ladders);
}

#[test]
fn a_variant_changes_the_tier_it_names() {
    let found = variants(&[reader(20_000.0)], &usual(1.0));
    let promised = |change: &Change| -> Vec<(u32, u64)> {
        let of = found.iter().find(|variant| variant.change == *change).unwrap();
        of.forecast.ladders[0].iter().map(|tier| (tier.pages, tier.tier.every.as_secs())).collect()
    };
    assert_eq!(promised(&Change::LiveTwiceAsOften), [(1, 15), (1, 300), (4, 3600), (120, 86_400)]);
    assert_eq!(promised(&Change::LiveHalfAsOften), [(1, 60), (1, 300), (4, 3600), (120, 86_400)]);
    assert_eq!(promised(&Change::OldestHalfAsOften), [(1, 30), (1, 300), (4, 3600), (120, 172_800)]);
    assert_eq!(promised(&Change::PageSize(10_000)), [(1, 30), (1, 300), (2, 3600), (60, 86_400)]);
}

/// The service's own planner, with calls that come evenly and readings that take a second a page.
struct Rehearsal {
    reader: Reader,
    allowance: Allowance,
    coverage: Coverage,
    clocks: Clocks,
    experience: Experience,
    spent: BTreeMap<PointsWindow, u64>,
    now: Instant,
}

impl Rehearsal {
    fn new(reader: &Reader, allowance: &Allowance) -> Self {
        let mut clocks = Clocks::default();
        clocks.start_missing(&reader.ladder, START);
        Self {
            coverage: Coverage::starting_at(START - reader.reach),
            clocks,
            experience: Experience::expecting(reader.calls_a_day),
            spent: BTreeMap::new(),
            now: START,
            reader: reader.clone(),
            allowance: allowance.clone(),
        }
    }

    fn budget(&self) -> Budget {
        let counter = |(window, limit): (&PointsWindow, &u64)| {
            let begun = self.now.unix_seconds() / window.length().as_secs() as i64;
            let resets_at = Instant::from_unix_seconds((begun + 1) * window.length().as_secs() as i64);
            let spent = self.spent.get(window).copied().unwrap_or(0);
            (*window, Points { limit: *limit, remaining: limit.saturating_sub(spent), resets_at })
        };
        Budget::new(self.allowance.share, self.allowance.limits.iter().map(counter))
    }

    fn go_to(&mut self, then: Instant) {
        for window in PointsWindow::ALL {
            let number = |at: Instant| at.unix_seconds() / window.length().as_secs() as i64;
            if number(then) > number(self.now) {
                self.spent.remove(&window);
            }
        }
        self.now = then;
    }

    /// How long the back-fill takes.
    fn run(mut self) -> Duration {
        while !self.coverage.gaps(self.now - LIVE.age).is_empty() {
            let budget = self.budget();
            let demand = Demand::of(&self.reader.ladder, &self.experience, self.reader.page_size);
            let pace = share_out(&[&demand], &budget, &Rhythm::default(), self.now).remove(0);
            let next = plan::next(&Situation {
                ladder: &self.reader.ladder,
                coverage: &self.coverage,
                floor: self.coverage.origin(),
                clocks: &self.clocks,
                looked_at: None,
                horizon_is_stale: false,
                experience: &self.experience,
                pace: &pace,
                page_size: self.reader.page_size,
                budget: &budget,
                is_last: false,
                end: self.now,
                newest: Some(self.now),
                now: self.now,
            });
            match next {
                Next::Wait { until, .. } => self.go_to(until),
                Next::Read(reading) => self.read(&reading),
            }
        }
        self.now.since(START)
    }

    fn read(&mut self, reading: &Reading) {
        let length = reading.window.length();
        let n_pages = self.reader.pages(length);
        PointsWindow::ALL.into_iter().for_each(|window| *self.spent.entry(window).or_default() += u64::from(n_pages));
        self.go_to(self.now + Duration::from_secs(n_pages.into()));
        self.coverage.add(reading.window);
        if let Purpose::Tier { age } = reading.purpose {
            self.clocks.read(&self.reader.ladder, age, reading.window.till);
        }
        let outcome = Outcome { n_pages, n_rows: self.reader.rows_in(length), news: Vec::new() };
        self.experience.note(&self.reader.ladder, reading, &outcome);
    }
}

#[test]
fn the_planner_takes_as_long_for_the_back_fill_as_the_forecast_says() {
    let cases = [
        // Within the first day, by the minute.
        (reader(30_000.0), days(60), 1.0),
        // Promises take more than the day has: a quarter of each day.
        (reader(30_000.0), days(365), 0.8),
        // Promises leave half of the day.
        (
            Reader {
                ladder: Ladder { tiers: vec![tier(LIVE.age, Duration::from_mins(1))], ..usual_ladder() },
                ..reader(30_000.0)
            },
            days(365),
            0.9,
        ),
    ];
    for (reader, reach, share) in cases {
        let reader = Reader { reach, ..reader };
        let said = Forecast::of(std::slice::from_ref(&reader), &usual(share)).backfill.takes.unwrap().as_secs_f64();
        let took = Rehearsal::new(&reader, &usual(share)).run();
        // Not nearer: what is kept for a large reading at the end of the day is lent to the back-fill before.
        let ratio = took.as_secs_f64() / said;
        assert!((0.6..1.6).contains(&ratio), "{reach:?} at {share}: said {said} s, took {took:?}");
    }
}

fn any_reader() -> impl Strategy<Value = Reader> {
    let every = prop_oneof![1_u64..100, 1_u64..1_000_000, Just(30 * 86_400)];
    let calls = prop_oneof![Just(0.0), 0.0..1e4, 0.0..1e9, Just(f64::MAX), Just(f64::NAN), Just(f64::INFINITY)];
    let reach = prop_oneof![Just(0), 0_u64..100_000_000, Just(u64::MAX)];
    (prop::collection::vec((1_u64..3_000_000, every), 0..5), 0_u32..=10_000, calls, reach, 0_usize..4, any::<bool>())
        .prop_map(|(steps, page_size, calls_a_day, reach, n_alike, adaptive)| {
            let tiers = steps.into_iter().scan(Duration::ZERO, |age, (older, every)| {
                *age += Duration::from_secs(older);
                Some(tier(*age, Duration::from_secs(every)))
            });
            let ladder = Ladder { tiers: tiers.collect(), backfill: BackfillOrder::Newest, adaptive };
            Reader { ladder, page_size, calls_a_day, reach: Duration::from_secs(reach), n_alike }
        })
}

fn any_limits() -> impl Strategy<Value = BTreeMap<PointsWindow, u64>> {
    let limit = prop_oneof![0_u64..10, 0_u64..100_000, Just(u64::MAX)];
    prop::collection::btree_map(prop::sample::select(PointsWindow::ALL.to_vec()), limit, 0..=3)
}

proptest! {
    #[test]
    fn more_points_make_no_tier_slower(
        readers in prop::collection::vec(any_reader(), 1..4),
        limits in any_limits(),
        share in 0.01..=1.0_f64,
        more in 1.0..3.0_f64,
    ) {
        let little = Allowance { limits, share };
        let raised = little.limits.iter().map(|(window, limit)| (*window, limit.saturating_mul(2)));
        for much in [
            Allowance { share: (share * more).min(1.0), ..little.clone() },
            Allowance { limits: raised.collect(), share },
            Allowance { limits: BTreeMap::new(), share },
        ] {
            let (before, after) = (Forecast::of(&readers, &little), Forecast::of(&readers, &much));
            for (before, after) in before.ladders.iter().flatten().zip(after.ladders.iter().flatten()) {
                let late = after.planned.as_secs_f64() - before.planned.as_secs_f64();
                prop_assert!(late <= 1e-6 * before.planned.as_secs_f64(), "{before:?} became {after:?}");
            }
            prop_assert_eq!(before.needed_a_day.to_bits(), after.needed_a_day.to_bits());
        }
    }

    #[test]
    fn totals_are_the_sum_of_the_tiers_whatever_is_asked(
        readers in prop::collection::vec(any_reader(), 0..4),
        limits in any_limits(),
        share in prop_oneof![0.0..=1.0, Just(f64::NAN)],
    ) {
        let allowance = Allowance { limits, share };
        let forecast = Forecast::of(&readers, &allowance);
        let of_one = |tiers: &[TierForecast]| tiers.iter().map(|tier| tier.points_in(DAY)).sum::<f64>();
        let sum: f64 =
            readers.iter().zip(&forecast.ladders).map(|(reader, tiers)| of_one(tiers) * reader.count() as f64).sum();
        prop_assert!((forecast.needed_a_day - sum).abs() <= 1e-6 * sum.max(1.0), "{sum} {forecast:?}");
        for tier in forecast.ladders.iter().flatten() {
            prop_assert!(tier.planned > Duration::ZERO && tier.pages > 0);
            prop_assert!(!tier.is_kept || tier.planned <= tier.tier.every + tier.tier.every / 999);
        }
        prop_assert!(forecast.available_a_day.is_none_or(|points| points >= 0.0 && points.is_finite()));
        for variant in variants(&readers, &allowance) {
            prop_assert_eq!(variant.forecast.ladders.len(), readers.len());
        }
    }
}
