//! Clock changes of real zones, among them half an hour's, two hours', Ramadan's, and some that were no change of season
//! but for good.

use proptest::prelude::*;

use super::*;

const ZONES: [&str; 12] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Europe/Moscow",
    "Asia/Dubai",
    "Asia/Almaty",
    "Europe/Volgograd",
    "Antarctica/Troll",
    "America/Caracas",
];

const LEAP_DAYS: [&str; 2] = ["2024-02-29T00:00:00Z", "2028-03-01T00:00:00Z"];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn instant(text: &str) -> Instant {
    Instant(text.parse::<Timestamp>().unwrap().as_second())
}

fn local(text: &str) -> LocalTime {
    LocalTime::parse(text).unwrap()
}

/// The clock changes of a zone between 2008 and 2030, in which Moscow changed for good twice and Tehran gave it up.
fn changes(zone: &TimeZone) -> Vec<Instant> {
    let following = zone.following("2008-01-01T00:00:00Z".parse().unwrap());
    let changes = following.map(|change| Instant(change.timestamp().as_second()));
    changes.take_while(|at| *at < instant("2030-01-01T00:00:00Z")).collect()
}

/// A zone and a moment, most often within hours of a clock change.
fn zoned_moment() -> impl Strategy<Value = (TimeZone, Instant)> {
    (prop::sample::select(&ZONES), any::<prop::sample::Index>(), -10_000_i64..10_000, 0_u8..4).prop_map(
        |(name, index, seconds, round)| {
            let zone = zone(name);
            let changes = changes(&zone);
            let near = match *index.get(&[changes.as_slice(), &LEAP_DAYS.map(instant)].concat()) {
                // Midnights of the leap day by UTC: the clock's own are within a day of them.
                leap_day if LEAP_DAYS.map(instant).contains(&leap_day) => Instant(leap_day.0 + seconds * 9),
                change => change,
            };
            // Every fourth moment is that of the change itself, or a round number of minutes from it.
            let away = if round == 0 { seconds / 1800 * 1800 } else { seconds };
            (zone, Instant(near.0 + away))
        },
    )
}

fn length() -> impl Strategy<Value = i64> {
    prop_oneof![1_i64..10, 1_i64..20_000, 1_i64..88 * 86_400]
}

#[test]
fn local_times_are_read_in_the_spellings_of_the_samples() {
    for text in [
        "2022-10-19 23:12:09",
        "2022-10-19T23:12:09",
        "2022-10-19T23:12:09Z",
        "2022-10-19T23:12:09+03:00",
        "2022-10-19 23:12:09.250",
        " 2022-10-19 23:12:09 ",
    ] {
        assert_eq!(LocalTime::parse(text).map(|time| time.to_string()), Some("2022-10-19 23:12:09".into()), "{text}");
    }
    for text in
        ["", "now", "2022-02-30 00:00:00", "2022-10-19 24:00:00", "19.10.2022 23:12:09", "2022-10-1\u{661} 00:00:0"]
    {
        assert_eq!(LocalTime::parse(text), None, "{text}");
    }
}

#[test]
fn a_repeated_hour_is_its_earlier_instant_and_a_skipped_one_that_of_an_unchanged_clock() {
    let berlin = zone("Europe/Berlin");
    for (text, expected) in [
        ("2026-10-25 01:59:59", "2026-10-24T23:59:59Z"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25 03:00:00", "2026-10-25T02:00:00Z"),
        ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
    ] {
        assert_eq!(local(text).to_instant(&berlin), instant(expected), "{text}");
    }
}

#[test]
fn a_window_that_holds_a_clock_change_is_widened_by_it() {
    let berlin = zone("Europe/Berlin");
    let hull = |from, till| {
        let hull = Interval::new(instant(from), instant(till)).unwrap().to_local(&berlin);
        (hull.from.to_string(), hull.till.to_string())
    };
    let expect = |from: &str, till: &str| (from.to_owned(), till.to_owned());
    // From 02:50 in summer to 02:10 in winter, twenty minutes later: the clock went to 03:00 and back to 02:00.
    assert_eq!(
        hull("2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z"),
        expect("2026-10-25 02:00:00", "2026-10-25 03:00:00")
    );
    // Up to the change, and from the change on: between them they hold the skipped hour too.
    assert_eq!(
        hull("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),
        expect("2026-03-29 01:00:00", "2026-03-29 03:00:00")
    );
    assert_eq!(
        hull("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        expect("2026-03-29 03:00:00", "2026-03-29 04:00:00")
    );
}

#[test]
fn times_that_the_clock_shows_twice_are_known() {
    let repeated = |name: &str, from: &str, till: &str| {
        let window = LocalInterval { from: local(from), till: local(till) };
        let ranges = window.repeated(&zone(name)).into_iter();
        ranges.map(|twice| format!("{} {}", twice.from, twice.till)).collect::<Vec<_>>()
    };
    for (name, from, till, expected) in [
        ("America/New_York", "2026-01-01 00:00:00", "2027-01-01 00:00:00", "2026-11-01 01:00:00 2026-11-01 02:00:00"),
        ("Europe/Berlin", "2026-10-25 02:59:59", "2026-10-25 04:00:00", "2026-10-25 02:00:00 2026-10-25 03:00:00"),
        (
            "Australia/Lord_Howe",
            "2026-04-05 01:00:00",
            "2026-04-05 01:31:00",
            "2026-04-05 01:30:00 2026-04-05 02:00:00",
        ),
        ("Asia/Almaty", "2024-02-29 23:30:00", "2024-03-01 00:00:00", "2024-02-29 23:00:00 2024-03-01 00:00:00"),
        ("Europe/Volgograd", "2020-12-27 00:00:00", "2020-12-28 00:00:00", "2020-12-27 01:00:00 2020-12-27 02:00:00"),
        ("Antarctica/Troll", "2026-10-25 02:00:00", "2026-10-25 02:30:00", "2026-10-25 01:00:00 2026-10-25 03:00:00"),
    ] {
        assert_eq!(repeated(name, from, till), [expected], "{name}");
    }
    // Nothing is repeated behind the range, nor when the clock is put forward, nor where it stays.
    assert!(repeated("Europe/Berlin", "2026-10-25 03:00:00", "2026-12-01 00:00:00").is_empty());
    assert!(repeated("Europe/Berlin", "2026-03-29 00:00:00", "2026-03-30 00:00:00").is_empty());
    assert!(repeated("Asia/Dubai", "2008-01-01 00:00:00", "2030-01-01 00:00:00").is_empty());
}

#[test]
fn a_window_that_begins_or_ends_in_a_repeated_hour_holds_all_of_it() {
    let berlin = zone("Europe/Berlin");
    for (from, till) in [
        // Within the first pass, within the second one.
        ("2026-10-25T00:10:00Z", "2026-10-25T00:20:00Z"),
        ("2026-10-25T01:10:00Z", "2026-10-25T01:20:00Z"),
    ] {
        let hull = Interval::new(instant(from), instant(till)).unwrap().to_local(&berlin);
        assert_eq!((hull.from, hull.till), (local("2026-10-25 02:00:00"), local("2026-10-25 03:00:00")), "{from}");
    }
}

#[test]
fn an_hour_ends_when_it_was_shown_for_the_last_time() {
    for (name, hour, end) in [
        ("Europe/Berlin", "2026-10-25 02:00:00", "2026-10-25T02:00:00Z"),
        ("Europe/Berlin", "2026-10-25 01:00:00", "2026-10-25T00:00:00Z"),
        ("Europe/Berlin", "2026-03-29 01:00:00", "2026-03-29T01:00:00Z"),
        // Two hours are repeated: the first of them is shown after the second.
        ("Antarctica/Troll", "2026-10-25 01:00:00", "2026-10-25T02:00:00Z"),
        ("Antarctica/Troll", "2026-10-25 02:00:00", "2026-10-25T03:00:00Z"),
    ] {
        assert_eq!(local(hour).hour().ends_at(&zone(name)), instant(end), "{name} {hour}");
    }
}

#[test]
fn a_skipped_time_does_not_claim_the_hour_behind_it() {
    let window = Interval::new(instant("2026-03-28T00:00:00Z"), instant("2026-03-30T00:00:00Z")).unwrap();
    let read = window.read_before(local("2026-03-29 02:30:00"), &zone("Europe/Berlin")).unwrap();
    assert!(read.till <= instant("2026-03-29T01:00:00Z"), "{read:?}");
}

#[test]
fn hours_are_printed_and_read() {
    let hour = local("2026-03-02 10:59:59").hour();
    assert_eq!(hour.to_string(), "2026-03-02T10");
    assert_eq!(LocalHour::parse("2026-03-02T10"), Some(hour));
    assert_eq!((hour.start(), hour.end()), (local("2026-03-02 10:00:00"), local("2026-03-02 11:00:00")));
    assert_eq!(local("1969-12-31 23:30:00").hour().to_string(), "1969-12-31T23");
    for text in ["", "2026-03-02", "2026-03-02T24", "2026-03-02T-1", "2026-13-02T10"] {
        assert_eq!(LocalHour::parse(text), None, "{text}");
    }
}

#[test]
fn distances_between_instants_are_never_negative() {
    let (early, late) = (Instant(10), Instant(25));
    assert_eq!(late.since(early), Duration::from_secs(15));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(Interval::new(late, early), None);
    assert_eq!(Interval::new(early, early), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn local_times_are_read_as_they_are_printed(seconds in -60_000_000_000_i64..250_000_000_000) {
        let time = LocalTime(seconds);
        prop_assert_eq!(LocalTime::parse(&time.to_string()), Some(time));
        prop_assert_eq!(LocalTime::parse(&time.to_string().replace(' ', "T")), Some(time));
        prop_assert_eq!(LocalHour::parse(&time.hour().to_string()), Some(time.hour()));
    }

    #[test]
    fn an_instant_comes_back_from_its_local_time_or_its_earlier_twin((zone, at) in zoned_moment()) {
        let local = at.to_local(&zone);
        let back = local.to_instant(&zone);
        prop_assert!(back <= at);
        prop_assert_eq!(back.to_local(&zone), local);
    }

    #[test]
    fn a_local_window_holds_every_wall_clock_time_of_its_interval(
        (zone, from) in zoned_moment(),
        length in length(),
        inside in prop::collection::vec(0.0..1.0, 20),
    ) {
        let interval = Interval::new(from, Instant(from.0 + length)).unwrap();
        let hull = interval.to_local(&zone);
        let near_changes = changes(&zone).into_iter().flat_map(|at| [Instant(at.0 - 1), at, Instant(at.0 + 1)]);
        let spread = inside.into_iter().map(|share| Instant(from.0 + (share * length as f64) as i64));
        let ends = [from, Instant(interval.till.0 - 1)];
        for moment in near_changes.chain(spread).chain(ends).filter(|moment| interval.contains(*moment)) {
            prop_assert!(hull.contains(moment.to_local(&zone)), "{moment} is {} not in {hull:?}", moment.to_local(&zone));
        }
    }

    #[test]
    fn consecutive_windows_leave_no_wall_clock_time_out_nor_a_skipped_one(
        (zone, from) in zoned_moment(),
        lengths in prop::collection::vec(length(), 2..5),
    ) {
        let ends = lengths.iter().scan(from, |till, length| { *till = Instant(till.0 + length); Some(*till) });
        let edges: Vec<Instant> = std::iter::once(from).chain(ends).collect();
        let hulls: Vec<_> =
            edges.windows(2).map(|pair| Interval::new(pair[0], pair[1]).unwrap().to_local(&zone)).collect();
        for pair in hulls.windows(2) {
            prop_assert!(pair[1].from <= pair[0].till, "nothing is asked for between {:?} and {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn what_is_said_to_be_read_shows_only_earlier_wall_clock_times(
        (zone, from) in zoned_moment(),
        length in length(),
        before in -20_000_i64..20_000,
        inside in prop::collection::vec(0.0..1.0, 20),
    ) {
        let window = Interval::new(from, Instant(from.0 + length)).unwrap();
        // Any time in the hull, also one that no clock showed.
        let before = from.to_local(&zone).plus_seconds(before);
        let Some(read) = window.read_before(before, &zone) else { return Ok(()) };
        prop_assert!(read.from == window.from && read.till <= window.till);
        let covered = (read.till.0 - read.from.0) as f64;
        let spread = inside.into_iter().map(|share| Instant(from.0 + (share * covered) as i64));
        for moment in spread.chain([Instant(read.till.0 - 1)]) {
            prop_assert!(moment.to_local(&zone) < before, "{moment} shows {}, not before {before}", moment.to_local(&zone));
        }
    }

    #[test]
    fn without_clock_changes_all_that_was_read_is_claimed(from in 0_i64..2_000_000_000, length in length(), beyond in 0_i64..9) {
        let dubai = zone("Asia/Dubai");
        let window = Interval::new(Instant(from), Instant(from + length)).unwrap();
        let end = window.till.to_local(&dubai);
        prop_assert_eq!(window.read_before(end.plus_seconds(beyond), &dubai), Some(window));
        prop_assert_eq!(window.read_before(end.plus_seconds(-length), &dubai), None);
    }

    #[test]
    fn an_hour_of_the_clock_becomes_all_moments_that_show_it((zone, at) in zoned_moment()) {
        let hour = at.to_local(&zone).hour();
        let instants = LocalInterval { from: hour.start(), till: hour.end() }.to_instants(&zone);
        prop_assert!(instants.is_some_and(|instants| instants.contains(at)), "{at} in {instants:?}");
    }
}
