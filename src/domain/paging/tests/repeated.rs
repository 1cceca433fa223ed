//! A model of the server around an hour that the clock shows twice: it may sort by the text of a start or by the moment
//! behind it, and compare a row with the bounds by text or by either of the moments that a bound may mean.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::domain::time::{Instant, Interval};

/// Clocks that were put back, by an hour, half an hour and two hours, for the winter and for good.
const CHANGES: [(&str, &str); 6] = [
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Antarctica/Troll", "2026-10-25T01:00:00Z"),
    ("Asia/Almaty", "2024-02-29T18:00:00Z"),
    ("Europe/Volgograd", "2020-12-26T22:00:00Z"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Text,
    Earlier,
    Later,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    id: i64,
    start: Instant,
    shown: LocalTime,
}

impl Row {
    fn new(id: i64, start: Instant, zone: &TimeZone) -> Self {
        Self { id, start, shown: start.to_local(zone) }
    }
}

#[derive(Clone, Debug)]
struct Server {
    zone: TimeZone,
    rows: Vec<Row>,
    sorts_by_moment: bool,
    compares_by: By,
    bounds_are_inclusive: bool,
    tells_totals: bool,
    cuts_pages_short: bool,
    lot: fastrand::Rng,
    n_requests: usize,
}

impl Server {
    fn answer(&mut self, request: &PageRequest) -> PageFacts {
        self.n_requests += 1;
        assert!(request.date_from < request.date_till, "{request:?}");
        let (from, till) = (self.place_of(request.date_from), self.place_of(request.date_till));
        let mut rows = self.rows.clone();
        rows.retain(|row| {
            let place = if self.compares_by == By::Text { row.shown.seconds() } else { row.start.unix_seconds() };
            if self.bounds_are_inclusive { (from..=till).contains(&place) } else { from < place && place < till }
        });
        self.lot.shuffle(&mut rows);
        rows.sort_by_key(|row| if self.sorts_by_moment { row.start.unix_seconds() } else { row.shown.seconds() });
        let total = rows.len();
        let limit = request.limit as usize;
        let limit = if self.cuts_pages_short { self.lot.usize(1..=limit) } else { limit };
        let page: Vec<Row> = rows.into_iter().skip(request.offset as usize).take(limit).collect();
        PageFacts {
            n_rows: page.len() as u32,
            total_items: self.tells_totals.then_some(total as u64),
            starts: page.iter().map(|row| row.shown).collect(),
            ids: page.iter().map(|row| RowId(row.id)).collect(),
            unreadable: Vec::new(),
        }
    }

    /// Where a bound stands among what it is compared with.
    fn place_of(&self, bound: LocalTime) -> i64 {
        let ambiguous = self.zone.to_ambiguous_timestamp(bound.to_civil());
        match self.compares_by {
            By::Text => bound.seconds(),
            By::Earlier => ambiguous.earlier().unwrap().as_second(),
            By::Later => ambiguous.later().unwrap().as_second(),
        }
    }
}

/// A server with rows around a change of clocks, and a window that holds at least a part of what is shown twice.
fn world() -> impl Strategy<Value = (Server, Interval)> {
    // Crowded seconds at the edges of both passes, and rows from two hours before to two hours after.
    let near = prop_oneof![
        4 => -7200_i64..7200,
        2 => prop::sample::select(vec![-3601_i64, -3600, -1800, -1, 0, 1, 1799, 1800, 3599, 3600]),
    ];
    let habits = (any::<[bool; 4]>(), prop::sample::select(vec![By::Text, By::Earlier, By::Later]), any::<u64>());
    let window = (-9000_i64..1800, 1_i64..14_000);
    (prop::sample::select(&CHANGES), prop::collection::vec(near, 0..40), habits, window).prop_map(
        |((zone, change), starts, (flags, compares_by, seed), (from, length))| {
            let change = change.parse::<Timestamp>().unwrap().as_second();
            let at = |seconds: i64| Instant::from_unix_seconds(change + seconds);
            let zone = TimeZone::get(zone).unwrap();
            let rows = starts.into_iter().zip(0..).map(|(start, id)| Row::new(id, at(start), &zone)).collect();
            let [sorts_by_moment, bounds_are_inclusive, tells_totals, cuts_pages_short] = flags;
            let server = Server {
                zone,
                rows,
                sorts_by_moment,
                compares_by,
                bounds_are_inclusive,
                tells_totals,
                cuts_pages_short,
                lot: fastrand::Rng::with_seed(seed),
                n_requests: 0,
            };
            (server, Interval::new(at(from), at(from + length)).unwrap())
        },
    )
}

fn paging(window: Interval, zone: &TimeZone, page_size: u32) -> Paging {
    let local = window.to_local(zone);
    Paging::new(local, local.repeated(zone), page_size)
}

/// Reads a window as the poller does: rows outside its wall-clock times are ignored, and before the requests in `crashes`
/// reading starts anew from what was claimed to be read.
fn read(server: &mut Server, window: Interval, page_size: u32, crashes: &BTreeSet<usize>) -> usize {
    let zone = server.zone.clone();
    let wanted: Vec<Row> = server.rows.iter().copied().filter(|row| window.contains(row.start)).collect();
    let (mut seen, mut left) = (BTreeSet::new(), window);
    let mut reading = paging(left, &zone, page_size);
    loop {
        if crashes.contains(&server.n_requests) {
            reading = paging(left, &zone, page_size);
        }
        let page = server.answer(&reading.request());
        assert!(server.n_requests < 5000, "paging goes round in circles in {left:?}: {reading:?}");
        let hull = left.to_local(&zone);
        seen.extend(page.ids.iter().zip(&page.starts).filter(|(_, start)| hull.contains(**start)).map(|(id, _)| id.0));
        let claimed = match reading.advance(&page) {
            Ok(Advance::Done) => Some(left),
            Ok(Advance::More { read_before }) => left.read_before(read_before, &zone),
            Err(PagingError::Unstable { .. }) => {
                reading = paging(left, &zone, page_size);
                None
            }
            Err(error) => panic!("{error}"),
        };
        let Some(claimed) = claimed else { continue };
        for row in wanted.iter().filter(|row| row.start < claimed.till) {
            assert!(seen.contains(&row.id), "{row:?} was not read, although {claimed:?} is said to be");
        }
        if claimed.till == window.till {
            return server.n_requests;
        }
        if crashes.contains(&server.n_requests) {
            left = Interval::new(claimed.till, window.till).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rows_of_both_passes_are_read_whatever_the_server_goes_by(
        (mut server, window) in world(),
        page_size in 1_u32..=7,
        crashes in prop::collection::btree_set(1_usize..60, 0..6),
    ) {
        read(&mut server, window, page_size, &crashes);
    }

    #[test]
    fn an_answer_that_fits_one_page_takes_one_request((mut server, window) in world()) {
        (server.tells_totals, server.cuts_pages_short) = (true, false);
        prop_assert_eq!(read(&mut server, window, 100, &BTreeSet::new()), 1);
    }
}

/// An hour that is shown twice and holds many pages is read in parts, few of them in vain.
#[test]
fn a_crowded_repeated_hour_does_not_cost_many_times_its_pages() {
    let change = "2026-11-01T06:00:00Z".parse::<Timestamp>().unwrap().as_second();
    let at = |seconds: i64| Instant::from_unix_seconds(change + seconds);
    let zone = TimeZone::get("America/New_York").unwrap();
    for sorts_by_moment in [true, false] {
        for compares_by in [By::Text, By::Earlier, By::Later] {
            let mut server = Server {
                zone: zone.clone(),
                // One every ten seconds for four hours: 1440 rows.
                rows: (-720..720).zip(0..).map(|(n, id)| Row::new(id, at(n * 10), &zone)).collect(),
                sorts_by_moment,
                compares_by,
                bounds_are_inclusive: true,
                tells_totals: true,
                cuts_pages_short: false,
                lot: fastrand::Rng::with_seed(7),
                n_requests: 0,
            };
            let window = Interval::new(at(-7200), at(7200)).unwrap();
            let n_requests = read(&mut server, window, 50, &BTreeSet::new());
            assert!(n_requests <= 75, "{n_requests} requests for 29 pages ({sorts_by_moment}, {compares_by:?})");
        }
    }
}
