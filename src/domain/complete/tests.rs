//! A reading that is proved whole, against servers that are not.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::paging::{Advance, PageFacts, Paging};

/// Something that goes wrong once in a reading, before its `at`-th page.
#[derive(Clone, Debug)]
enum Fault {
    None,
    /// The page ends too early, with the right total.
    Short {
        by: usize,
    },
    /// A row is left out, and the next one takes its place.
    LeftOut {
        nth: usize,
    },
    /// A row is given twice.
    Doubled {
        nth: usize,
    },
    /// Two neighbours change places.
    Swapped {
        nth: usize,
    },
    NoTotal,
    TotalOffBy(i64),
    /// From here on a row is there no longer, is there as well, or starts at another time.
    Removed {
        nth: usize,
    },
    Added {
        second: i64,
    },
    Moved {
        nth: usize,
        second: i64,
    },
    Nameless,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    from_inclusive: bool,
    till_inclusive: bool,
}

type Rows = BTreeMap<RowId, LocalTime>;

fn at(second: i64) -> LocalTime {
    LocalTime::parse("2026-03-02 00:00:00").unwrap().plus_seconds(second)
}

const LENGTH: i64 = 500;

fn window() -> LocalInterval {
    LocalInterval { from: at(0), till: at(LENGTH) }
}

fn answer(rows: &Rows, request: &PageRequest, bounds: Bounds) -> PageSeen {
    let from = request.date_from.plus_seconds(i64::from(!bounds.from_inclusive));
    let till = request.date_till.plus_seconds(-i64::from(!bounds.till_inclusive));
    let within = |start: &LocalTime| from <= *start && *start <= till;
    let mut rows: Vec<(RowId, LocalTime)> = rows.iter().map(|(id, start)| (*id, *start)).collect();
    rows.retain(|(_, start)| within(start));
    rows.sort_by_key(|(id, start)| (*start, *id));
    let total_items = Some(rows.len() as u64);
    let page = rows.into_iter().skip(request.offset as usize).take(request.limit as usize + 1);
    PageSeen { rows: page.collect(), has_nameless: false, total_items }
}

/// `page` holds one row more than asked for, which takes the place of one that is left out.
fn spoil(mut page: PageSeen, limit: usize, fault: &Fault) -> PageSeen {
    let n_rows = page.rows.len();
    match fault {
        Fault::LeftOut { nth } if n_rows > 0 => drop(page.rows.remove(nth % n_rows)),
        Fault::Doubled { nth } if n_rows > 0 => page.rows.insert(nth % n_rows, page.rows[nth % n_rows]),
        Fault::Swapped { nth } if n_rows > 1 => page.rows.swap(nth % (n_rows - 1), nth % (n_rows - 1) + 1),
        _ => {}
    }
    page.rows.truncate(limit);
    match fault {
        Fault::Short { by } => page.rows.truncate(page.rows.len().saturating_sub(*by)),
        Fault::NoTotal => page.total_items = None,
        Fault::TotalOffBy(by) => page.total_items = page.total_items.map(|total| total.saturating_add_signed(*by)),
        Fault::Nameless => page.has_nameless = true,
        _ => {}
    }
    page
}

fn disturb(rows: &mut Rows, fault: &Fault) {
    let nth_of = |rows: &Rows, nth: usize| rows.keys().nth(nth % rows.len().max(1)).copied();
    match fault {
        Fault::Removed { nth } => {
            nth_of(rows, *nth).map(|id| rows.remove(&id));
        }
        Fault::Added { second } => {
            rows.insert(RowId(-1), at(*second));
        }
        Fault::Moved { nth, second } => {
            nth_of(rows, *nth).map(|id| rows.insert(id, at(*second)));
        }
        _ => {}
    }
}

struct Outcome {
    is_proved: bool,
    seen: BTreeSet<RowId>,
    was_cut: bool,
    ended_full: bool,
}

/// Reads the window; None when paging itself gives up.
fn read(mut rows: Rows, page_size: u32, bounds: Bounds, fault: &Fault, fault_at: usize) -> Option<Outcome> {
    let mut paging = Paging::new(window(), Vec::new(), page_size);
    let mut completeness = Completeness::of(window());
    let (mut seen, mut was_cut, mut ended_full) = (BTreeSet::new(), false, false);
    for number in 0.. {
        if number > 5000 {
            return None;
        }
        let request = paging.request();
        was_cut |= request.offset > 0 || request.date_till != window().till;
        let fault = if number == fault_at { fault } else { &Fault::None };
        disturb(&mut rows, fault);
        let page = spoil(answer(&rows, &request, bounds), page_size as usize, fault);
        completeness.take(&request, &page);
        ended_full = page.total_items == Some(u64::from(page_size));
        seen.extend(page.rows.iter().map(|(id, _)| *id));
        let facts = PageFacts {
            n_rows: page.rows.len() as u32,
            total_items: page.total_items,
            starts: page.rows.iter().map(|(_, start)| *start).collect(),
            ids: page.rows.iter().map(|(id, _)| *id).collect(),
            ..PageFacts::default()
        };
        if paging.advance(&facts).ok()? == Advance::Done {
            break;
        }
    }
    Some(Outcome { is_proved: completeness.is_proved(), seen, was_cut, ended_full })
}

fn rows() -> impl Strategy<Value = Rows> {
    // Some seconds hold several rows, and some rows lie on the bounds and beyond.
    let start = prop_oneof![-3..LENGTH + 3, 0..20_i64, Just(0), Just(LENGTH)];
    prop::collection::vec(start, 1..80)
        .prop_map(|starts| starts.into_iter().zip(1..).map(|(start, id)| (RowId(id), at(start))).collect())
}

fn bounds() -> impl Strategy<Value = Bounds> {
    any::<(bool, bool)>().prop_map(|(from_inclusive, till_inclusive)| Bounds { from_inclusive, till_inclusive })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::None),
        (1..9_usize).prop_map(|by| Fault::Short { by }),
        (0..80_usize).prop_map(|nth| Fault::LeftOut { nth }),
        (0..80_usize).prop_map(|nth| Fault::Doubled { nth }),
        (0..80_usize).prop_map(|nth| Fault::Swapped { nth }),
        Just(Fault::NoTotal),
        prop_oneof![-9..0_i64, 1..9_i64].prop_map(Fault::TotalOffBy),
        (0..80_usize).prop_map(|nth| Fault::Removed { nth }),
        (0..LENGTH).prop_map(|second| Fault::Added { second }),
        (0..80_usize, 0..LENGTH).prop_map(|(nth, second)| Fault::Moved { nth, second }),
        Just(Fault::Nameless),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_proved_was_seen(
        rows in rows(), page_size in 1..30_u32, bounds in bounds(), fault in fault(), fault_at in 0..6_usize,
    ) {
        let still: BTreeSet<RowId> =
            rows.iter().filter(|(_, start)| window().contains(**start)).map(|(id, _)| *id).collect();
        let Some(outcome) = read(rows.clone(), page_size, bounds, &fault, fault_at) else { return Ok(()) };
        if outcome.is_proved {
            // What was removed may have been seen or not; everything that stayed was.
            let removed: Option<RowId> = match fault {
                Fault::Removed { nth } => rows.keys().nth(nth % rows.len()).copied(),
                _ => None,
            };
            let unseen: Vec<&RowId> =
                still.iter().filter(|id| Some(**id) != removed && !outcome.seen.contains(id)).collect();
            prop_assert!(unseen.is_empty(), "{:?}", unseen);
        }
    }

    #[test]
    fn an_honest_reading_is_proved(mut rows in rows(), page_size in 1..30_u32, bounds in bounds()) {
        // Paging ends at the first row behind the window, and does not ask whether there are more.
        let mut n_behind = 0;
        rows.retain(|_, start| *start < window().till || { n_behind += 1; n_behind == 1 });
        let outcome = read(rows, page_size, bounds, &Fault::None, 0).unwrap();
        prop_assert!(outcome.is_proved || outcome.was_cut || outcome.ended_full || outcome.seen.is_empty());
    }
}

#[test]
fn an_answer_without_rows_proves_nothing() {
    let bounds = Bounds { from_inclusive: true, till_inclusive: true };
    assert!(!read(Rows::new(), 10, bounds, &Fault::None, 0).unwrap().is_proved);
}
