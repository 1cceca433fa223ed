//! Rows that a complete reading no longer has.

use std::collections::BTreeMap;

use super::*;
use crate::domain::complete::PageSeen;
use crate::domain::paging::{Advance, PageFacts, PageRequest, Paging};
use crate::domain::time::LocalInterval;

const WINDOW: (i64, i64) = (0, 40);

fn window() -> LocalInterval {
    LocalInterval { from: hour(WINDOW.0), till: hour(WINDOW.1) }
}

type Rows = BTreeMap<RowId, LocalTime>;

fn published(rows: &Rows) -> Ledger {
    let mut ledger = Ledger::default();
    let mut draft = ledger.draft(SETS);
    for (id, start) in rows {
        read(&mut draft, *id, *start, &prints([0, 0, 0, 0, 7]), Ok(()));
    }
    let buckets = draft.finish();
    ledger.apply(buckets);
    ledger
}

/// The rows that an honest server answers with, both bounds inclusive.
fn answer(rows: &Rows, request: &PageRequest) -> PageSeen {
    let mut within: Vec<(RowId, LocalTime)> = rows
        .iter()
        .map(|(id, start)| (*id, *start))
        .filter(|(_, start)| request.date_from <= *start && *start <= request.date_till)
        .collect();
    within.sort_by_key(|(id, start)| (*start, *id));
    let total_items = Some(within.len() as u64);
    let page = within.into_iter().skip(request.offset as usize).take(request.limit as usize);
    PageSeen { rows: page.collect(), has_nameless: false, total_items }
}

fn facts_of(page: &PageSeen) -> PageFacts {
    PageFacts {
        n_rows: page.rows.len() as u32,
        total_items: page.total_items,
        starts: page.rows.iter().map(|(_, start)| *start).collect(),
        ids: page.rows.iter().map(|(id, _)| *id).collect(),
        ..PageFacts::default()
    }
}

/// Reads the window, with what `meanwhile` does to ledger and rows before each page; what is withdrawn in the end.
fn withdrawn(
    ledger: &mut Ledger,
    page_size: u32,
    mut pages: impl FnMut(&PageRequest, &mut Ledger) -> PageSeen,
) -> Vec<Gone> {
    let mut paging = Paging::new(window(), Vec::new(), page_size);
    let mut roll_call = RollCall::of(window()).unwrap();
    loop {
        let request = paging.request();
        let page = pages(&request, ledger);
        let advance = paging.advance(&facts_of(&page)).unwrap();
        roll_call.take(&request, &page, advance, ledger);
        let mut draft = ledger.draft(SETS);
        for (id, start) in page.rows.iter().filter(|(_, start)| window().contains(*start)) {
            read(&mut draft, *id, *start, &prints([0, 0, 0, 0, 7]), Ok(()));
        }
        if advance != Advance::Done {
            let buckets = draft.finish();
            ledger.apply(buckets);
            continue;
        }
        let mut draft = ledger.draft(SETS).after(draft.finish());
        let gone = draft.gone(&roll_call.missing());
        gone.iter().for_each(|gone| draft.note_gone(gone));
        let buckets = draft.finish();
        ledger.apply(buckets);
        return gone;
    }
}

/// One row every ten minutes.
fn rows(n: i64) -> Rows {
    (0..n).map(|n| (RowId(n), hour(0).plus_seconds(n * 600))).collect()
}

fn ids(gone: &[Gone]) -> Vec<i64> {
    gone.iter().map(|gone| gone.id.0).collect()
}

#[test]
fn a_row_that_is_gone_is_withdrawn_once_and_may_come_back() {
    let all = rows(200);
    let mut left = all.clone();
    left.remove(&RowId(100));
    for page_size in [8, 1000] {
        let mut ledger = published(&all);
        let gone = withdrawn(&mut ledger, page_size, |request, _| answer(&left, request));
        let change = Change { event: EventType::Withdrawn, revision: 2, changed: Parts::NONE };
        assert_eq!(gone, [Gone { id: RowId(100), start: all[&RowId(100)], change }]);
        let again = withdrawn(&mut ledger, page_size, |request, _| answer(&left, request));
        assert!(again.is_empty(), "{again:?}");

        let outcome = read(&mut ledger.draft(SETS), RowId(100), all[&RowId(100)], &prints([0, 0, 0, 0, 7]), Ok(()));
        let change = Change { event: EventType::Updated, revision: 3, changed: Parts::NONE };
        assert_eq!(outcome, Outcome::Publish(change));
    }
}

#[test]
fn nothing_is_withdrawn_at_the_edges_of_a_window() {
    let all = rows(240);
    let mut ledger = published(&all);
    let middle: Rows = all.iter().filter(|(id, _)| id.0 == 120).map(|(id, start)| (*id, *start)).collect();
    let gone = withdrawn(&mut ledger, 1000, |request, _| answer(&middle, request));
    let expected: Vec<i64> = (12..228).filter(|id| *id != 120).collect();
    assert_eq!(ids(&gone), expected, "two hours at either end stay");
    assert!(RollCall::of(LocalInterval { from: hour(0), till: hour(4) }).is_none());
}

#[test]
fn an_empty_answer_withdraws_nothing() {
    let mut ledger = published(&rows(200));
    let gone = withdrawn(&mut ledger, 1000, |request, _| answer(&Rows::new(), request));
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn a_page_that_is_short_withdraws_nothing() {
    // The server counts the row, and leaves it out.
    let all = rows(200);
    let mut ledger = published(&all);
    let gone = withdrawn(&mut ledger, 50, |request, _| {
        let mut page = answer(&all, request);
        page.rows.retain(|(id, _)| id.0 != 100);
        page
    });
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn what_another_reading_publishes_behind_the_position_is_not_missed() {
    let all = rows(200);
    let mut ledger = published(&all);
    let late = (RowId(1000), all[&RowId(60)].plus_seconds(1));
    let mut n_pages = 0;
    let gone = withdrawn(&mut ledger, 50, |request, ledger| {
        n_pages += 1;
        if n_pages == 3 {
            let mut draft = ledger.draft(SETS);
            read(&mut draft, late.0, late.1, &prints([0, 0, 0, 0, 7]), Ok(()));
            let buckets = draft.finish();
            ledger.apply(buckets);
        }
        answer(&all, request)
    });
    assert!(gone.is_empty() && n_pages > 3, "{gone:?}");
}

#[test]
fn a_row_whose_start_was_corrected_is_not_gone() {
    for minutes in [-600, -119, -61, -1, 1, 61, 119, 600] {
        for page_size in [9, 1000] {
            let all = rows(200);
            let mut ledger = published(&all);
            let mut now = all.clone();
            now.insert(RowId(100), all[&RowId(100)].plus_seconds(minutes * 60));
            let gone = withdrawn(&mut ledger, page_size, |request, _| answer(&now, request));
            assert!(gone.is_empty(), "{minutes} minutes: {gone:?}");
            let held = ledger.hours().filter(|hour| ledger.bucket(*hour).unwrap().entries.contains_key(&RowId(100)));
            assert!(held.count() <= 2);
        }
    }
}

#[test]
fn an_entry_that_does_not_tell_its_second_is_kept() {
    let all = rows(200);
    let mut ledger = published(&all);
    let hour_of_100 = all[&RowId(100)].hour();
    let mut bucket = ledger.bucket(hour_of_100).unwrap();
    bucket.entries.get_mut(&RowId(100)).unwrap().second = None;
    ledger.apply(vec![(hour_of_100, bucket)]);
    let mut left = all.clone();
    left.remove(&RowId(100));
    assert!(withdrawn(&mut ledger, 1000, |request, _| answer(&left, request)).is_empty());

    assert!(withdrawn(&mut ledger, 1000, |request, _| answer(&all, request)).is_empty());
    let gone = withdrawn(&mut ledger, 1000, |request, _| answer(&left, request));
    assert_eq!(ids(&gone), [100], "it has learnt its second");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is gone, and whatever else is new: what is withdrawn is exactly what was published and is gone.
    #[test]
    fn what_is_gone_before_a_reading_is_withdrawn(
        gone in prop::collection::btree_set(0..200_i64, 0..20),
        fresh in prop::collection::btree_map(1000..2000_i64, 0..40 * 3600_i64, 0..20),
        page_size in 5..300_u32,
    ) {
        let all = rows(200);
        let mut ledger = published(&all);
        let mut now = all.clone();
        now.retain(|id, _| !gone.contains(&id.0));
        now.extend(fresh.iter().map(|(id, second)| (RowId(*id), hour(0).plus_seconds(*second))));
        let mut ended_full = false;
        let withdrawn = withdrawn(&mut ledger, page_size, |request, _| {
            let page = answer(&now, request);
            ended_full = page.total_items == Some(u64::from(page_size));
            page
        });
        let expected: Vec<i64> = gone.into_iter().filter(|id| (12..228).contains(id)).collect();
        // A last page that is full to the brim proves nothing.
        prop_assert_eq!(ids(&withdrawn), if ended_full { Vec::new() } else { expected });
    }
}
