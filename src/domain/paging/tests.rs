//! A model of the server, as unhelpful as the documents allow, and what paging must hold against it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

mod repeated;

/// The window of every test, in seconds of the wall clock.
const WINDOW: (i64, i64) = (100, 160);

#[derive(Clone, Copy, Debug)]
struct Row {
    id: i64,
    start: i64,
    readable: bool,
}

#[derive(Clone, Debug)]
struct Server {
    rows: Vec<Row>,
    /// Added one by one, each before the request of this number.
    appearing: Vec<(usize, Row)>,
    from_is_inclusive: bool,
    till_is_inclusive: bool,
    tells_totals: bool,
    cuts_pages_short: bool,
    /// Each page shows its first and its last row twice, beyond the limit.
    repeats_rows: bool,
    order_of_ties: fastrand::Rng,
    n_requests: usize,
}

impl Server {
    fn answer(&mut self, request: &PageRequest) -> PageFacts {
        self.n_requests += 1;
        let n_requests = self.n_requests;
        let (arrived, later) = self.appearing.iter().copied().partition(|(at, _)| *at <= n_requests);
        self.appearing = later;
        self.rows.extend(Vec::<(usize, Row)>::into_iter(arrived).map(|(_, row)| row));

        let mut matching: Vec<Row> = self.rows.iter().copied().filter(|row| self.matches(row, request)).collect();
        self.order_of_ties.shuffle(&mut matching);
        matching.sort_by_key(|row| row.start);
        let total = matching.len();
        let limit = request.limit as usize;
        let limit = if self.cuts_pages_short { self.order_of_ties.usize(1..=limit) } else { limit };
        let mut page: Vec<Row> = matching.into_iter().skip(request.offset as usize).take(limit).collect();
        if self.repeats_rows {
            page.splice(0..0, page.first().copied());
            page.extend(page.last().copied());
        }
        let readable = || page.iter().filter(|row| row.readable);
        PageFacts {
            n_rows: page.len() as u32,
            total_items: self.tells_totals.then_some(total as u64),
            starts: readable().map(|row| local(row.start)).collect(),
            ids: readable().map(|row| RowId(row.id)).collect(),
            unreadable: page.iter().filter(|row| !row.readable).map(|row| row.id as u64).collect(),
        }
    }

    fn matches(&self, row: &Row, request: &PageRequest) -> bool {
        let (from, till) = (request.date_from.seconds(), request.date_till.seconds());
        let behind_from = if self.from_is_inclusive { row.start >= from } else { row.start > from };
        let before_till = if self.till_is_inclusive { row.start <= till } else { row.start < till };
        behind_from && before_till
    }
}

fn local(seconds: i64) -> LocalTime {
    LocalTime::from_civil(jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).plus_seconds(seconds)
}

fn window(from: i64, till: i64) -> LocalInterval {
    LocalInterval { from: local(from), till: local(till) }
}

fn page(starts: &[i64], total_items: Option<u64>) -> PageFacts {
    PageFacts {
        n_rows: starts.len() as u32,
        total_items,
        starts: starts.iter().copied().map(local).collect(),
        ids: (0..starts.len() as i64).map(RowId).collect(),
        unreadable: Vec::new(),
    }
}

/// Rows crowd into a few seconds at the edges and inside of the window, a few lie outside.
fn starts() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 100_i64..104, 2 => 120_i64..123, 2 => 156_i64..163, 2 => 95_i64..165]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (starts(), prop::bool::weighted(0.85));
    prop::collection::vec(row, 0..30).prop_map(|rows| {
        let numbered = rows.into_iter().zip(0..);
        numbered.map(|((start, readable), id)| Row { id, start, readable }).collect()
    })
}

fn server() -> impl Strategy<Value = Server> {
    let appearing = prop::collection::vec((1_usize..20, starts()), 0..5).prop_map(|rows| {
        let numbered = rows.into_iter().zip(1000..);
        numbered.map(|((at, start), id)| (at, Row { id, start, readable: true })).collect()
    });
    (rows(), appearing, any::<[bool; 5]>(), any::<u64>()).prop_map(|(rows, appearing, flags, seed)| {
        let [from_is_inclusive, till_is_inclusive, tells_totals, short, repeats_rows] = flags;
        Server {
            rows,
            appearing,
            from_is_inclusive,
            till_is_inclusive,
            tells_totals,
            cuts_pages_short: short,
            repeats_rows,
            order_of_ties: fastrand::Rng::with_seed(seed),
            n_requests: 0,
        }
    })
}

/// What one reading of the window came to.
struct Read {
    rows: BTreeSet<i64>,
    n_requests: usize,
}

/// Reads the window, dropping the paging before the requests in `crashes` and when rows were too restless, and going
/// on from what was claimed to be read, as a restarted service does.
fn read_window(server: &mut Server, page_size: u32, crashes: &BTreeSet<usize>) -> Read {
    let wanted: Vec<Row> =
        server.rows.iter().copied().filter(|row| (WINDOW.0..WINDOW.1).contains(&row.start)).collect();
    let mut read = BTreeSet::new();
    let mut read_before = local(WINDOW.0);
    let mut paging = Paging::new(window(WINDOW.0, WINDOW.1), Vec::new(), page_size);
    loop {
        if crashes.contains(&server.n_requests) {
            paging = Paging::new(LocalInterval { from: read_before, till: local(WINDOW.1) }, Vec::new(), page_size);
        }
        let request = paging.request();
        assert_is_legal(&request, page_size);
        let facts = server.answer(&request);
        assert!(server.n_requests < 5000, "paging goes round in circles at {read_before}");
        read.extend(facts.ids.iter().map(|id| id.0));
        read.extend(facts.unreadable.iter().map(|id| *id as i64));
        let reached = match paging.advance(&facts) {
            Ok(Advance::Done) => break,
            Ok(Advance::More { read_before }) => read_before,
            Err(PagingError::Unstable { .. }) => {
                paging = Paging::new(LocalInterval { from: read_before, till: local(WINDOW.1) }, Vec::new(), page_size);
                read_before
            }
            Err(error) => panic!("{error}"),
        };
        assert!(read_before <= reached && reached < local(WINDOW.1), "{read_before} -> {reached}");
        read_before = reached;
        assert_all_read(&wanted, read_before, &read);
    }
    assert_all_read(&wanted, local(WINDOW.1), &read);
    Read { rows: read, n_requests: server.n_requests }
}

fn assert_is_legal(request: &PageRequest, page_size: u32) {
    assert!(request.date_from < request.date_till, "{request:?}");
    assert!(request.date_from >= local(WINDOW.0 - 1) && request.date_till <= local(WINDOW.1), "{request:?}");
    assert!(request.offset <= 100_000 && request.limit == page_size, "{request:?}");
}

fn assert_all_read(wanted: &[Row], before: LocalTime, read: &BTreeSet<i64>) {
    for row in wanted.iter().filter(|row| local(row.start) < before) {
        assert!(read.contains(&row.id), "{row:?} was not read, although everything before {before} is said to be");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_row_is_read_whatever_the_server_and_the_crashes(
        mut server in server(),
        page_size in 1_u32..=7,
        crashes in prop::collection::btree_set(1_usize..60, 0..6),
    ) {
        read_window(&mut server, page_size, &crashes);
    }

    #[test]
    fn rows_without_ties_cost_one_request_for_each_page(
        starts in prop::collection::btree_set(WINDOW.0..WINDOW.1, 0..40),
        page_size in 2_u32..=7,
        from_is_inclusive: bool,
    ) {
        let rows: Vec<Row> = starts.into_iter().zip(0..).map(|(start, id)| Row { id, start, readable: true }).collect();
        let mut server = quiet(rows.clone());
        server.from_is_inclusive = from_is_inclusive;
        let read = read_window(&mut server, page_size, &BTreeSet::new());
        prop_assert_eq!(read.rows.len(), rows.len());
        // A page starts with the second the last one ended in, and the one before it when the bound is inclusive.
        let news = (page_size as usize).saturating_sub(1 + usize::from(from_is_inclusive)).max(1);
        let crowded = if page_size == 2 && from_is_inclusive { 3 } else { 1 };
        prop_assert!(read.n_requests <= crowded * rows.len().div_ceil(news) + 1, "{} requests", read.n_requests);
    }
}

fn quiet(rows: Vec<Row>) -> Server {
    Server {
        rows,
        appearing: Vec::new(),
        from_is_inclusive: true,
        till_is_inclusive: true,
        tells_totals: true,
        cuts_pages_short: false,
        repeats_rows: false,
        order_of_ties: fastrand::Rng::with_seed(7),
        n_requests: 0,
    }
}

#[test]
fn an_unreadable_row_that_is_seen_twice_does_not_stand_in_for_another() {
    let mut paging = Paging::new(window(100, 101), Vec::new(), 1);
    let unreadable = PageFacts { n_rows: 1, total_items: Some(2), unreadable: vec![77], ..PageFacts::default() };
    paging.advance(&unreadable).unwrap();
    paging.advance(&unreadable).unwrap();
    // Ties changed places: the second page shows the same row again, and the other one is still to come.
    assert_eq!(paging.advance(&unreadable), Ok(Advance::More { read_before: local(100) }));
    paging.advance(&page(&[100], Some(2))).unwrap();
    assert_eq!(paging.advance(&unreadable), Ok(Advance::Done));
}

#[test]
fn a_page_without_readable_start_times_is_narrowed_down_in_time() {
    let rows = (0..20).map(|id| Row { id, start: 110 + id, readable: id >= 10 }).collect();
    let mut server = quiet(rows);
    let read = read_window(&mut server, 5, &BTreeSet::new());
    assert_eq!(read.rows.len(), 20);
    assert!(read.n_requests < 40, "{} requests", read.n_requests);
}

#[test]
fn a_row_that_vanished_from_a_crowded_second_does_not_stand_in_for_another() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 1);
    let second = |id: i64, total| PageFacts { ids: vec![RowId(id)], ..page(&[100], Some(total)) };
    paging.advance(&second(1, 3)).unwrap();
    assert_eq!(paging.request().offset, 0, "the second is read on its own from here");
    paging.advance(&second(1, 3)).unwrap();
    paging.advance(&second(2, 3)).unwrap();
    // Row 1 is gone; rows 2 and 3 are left, of which 3 was never seen.
    paging.advance(&second(2, 2)).unwrap();
    assert_eq!(paging.request().offset, 0, "the second is read from its start again");
    paging.advance(&second(2, 2)).unwrap();
    assert_eq!(paging.advance(&second(2, 2)), Ok(Advance::More { read_before: local(100) }));
    paging.advance(&second(2, 2)).unwrap();
    assert_eq!(paging.advance(&second(3, 2)), Ok(Advance::More { read_before: local(101) }));
}

#[test]
fn rows_at_the_end_of_the_window_are_beyond_it() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 3);
    assert_eq!(paging.advance(&page(&[120, 150, 160], Some(9))), Ok(Advance::Done));
}

#[test]
fn a_request_holds_the_window_whichever_way_its_bounds_are_read() {
    let request = Paging::new(window(100, 160), Vec::new(), 5000).request();
    assert_eq!(request, PageRequest { date_from: local(99), date_till: local(160), offset: 0, limit: 5000 });
}

#[test]
fn a_page_that_is_not_in_order_moves_nothing_and_halves_the_time_asked_for() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 3);
    assert_eq!(paging.advance(&page(&[120, 119, 130], Some(9))), Ok(Advance::More { read_before: local(100) }));
    assert_eq!(paging.request().date_till, local(130));
    // All rows of the half are on the page: their order does not matter.
    assert_eq!(paging.advance(&page(&[120, 119], Some(2))), Ok(Advance::More { read_before: local(130) }));
    assert_eq!(paging.request(), PageRequest { date_from: local(129), date_till: local(160), offset: 0, limit: 3 });
}

#[test]
fn an_empty_page_with_a_total_is_an_error_and_without_one_the_end() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 3);
    assert_eq!(paging.advance(&page(&[], Some(9))), Err(PagingError::EmptyPage { total_items: 9 }));
    assert_eq!(paging.clone().advance(&page(&[], Some(0))), Ok(Advance::Done));
    assert_eq!(paging.advance(&page(&[], None)), Ok(Advance::Done));
}

#[test]
fn a_second_that_never_holds_still_is_an_error_in_the_end() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 1);
    let error = (0..100).find_map(|turn| paging.advance(&page(&[100], Some(5 + turn % 2))).err());
    assert_eq!(error, Some(PagingError::Unstable { second: local(100) }));
}

#[test]
fn a_second_whose_number_of_rows_holds_copies_does_not_hold_up_the_rest() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 1);
    let advances = (0..100).map(|_| paging.advance(&page(&[100], Some(2))).unwrap());
    assert!(advances.into_iter().any(|advance| advance == Advance::More { read_before: local(101) }));
}

#[test]
fn more_rows_of_a_second_than_offsets_reach_are_an_error() {
    let mut paging = Paging::new(window(100, 160), Vec::new(), 10_000);
    let full = page(&[100; 10_000], Some(120_000));
    let advances: Vec<_> = (0..12).map(|_| paging.advance(&full)).collect();
    assert_eq!(advances[10], Ok(Advance::More { read_before: local(100) }));
    assert_eq!(advances[11], Err(PagingError::OffsetWall { from: local(100) }));
    assert_eq!(paging.request().offset, 100_000);
}
