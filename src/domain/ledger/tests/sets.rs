//! Fingerprints that were made of other columns: no news, and nothing compared across.

use super::*;

const OTHER_TAGS: ColumnSets = ColumnSets::of_hashes([77, 2, 3, 4, 5]);

fn ledger_with(entry: Entry) -> Ledger {
    let mut bucket = Bucket::new(SETS);
    bucket.entries.insert(RowId(1), entry);
    let mut ledger = Ledger::default();
    ledger.apply(vec![(hour(5).hour(), bucket)]);
    ledger
}

#[test]
fn a_part_made_of_other_columns_is_taken_over_without_an_event() {
    let mut ledger = ledger_with(entry([7, 0, 0, 0, 9], 3, false));
    let now = prints([8, 0, 0, 0, 9]);

    let mut draft = ledger.draft(OTHER_TAGS);
    assert_eq!(read(&mut draft, RowId(1), hour(5), &now, Ok(())), Outcome::Unchanged);
    let buckets = draft.finish();
    assert_eq!(buckets[0].1.sets, OTHER_TAGS);
    assert_eq!(buckets[0].1.entries[&RowId(1)], entry([8, 0, 0, 0, 9], 3, false));
    ledger.apply(buckets);

    let mut draft = ledger.draft(OTHER_TAGS);
    assert_eq!(read(&mut draft, RowId(1), hour(5), &now, Ok(())), Outcome::Unchanged);
    assert!(draft.finish().is_empty(), "it is moved once");
    let changed = Parts::NONE.with(Part::Tags);
    let outcome = read(&mut ledger.draft(OTHER_TAGS), RowId(1), hour(5), &prints([9, 0, 0, 0, 9]), Ok(()));
    assert_eq!(outcome, Outcome::Publish(Change { event: EventType::Updated, revision: 4, changed }));
}

#[test]
fn other_parts_are_compared_while_one_is_taken_over() {
    let ledger = ledger_with(entry([7, 0, 0, 0, 9], 1, false));
    let mut draft = ledger.draft(OTHER_TAGS);
    let outcome = read(&mut draft, RowId(1), hour(5), &prints([8, 0, 0, 0, 10]), Ok(()));
    let changed = Parts::NONE.with(Part::Other);
    assert_eq!(outcome, Outcome::Publish(Change { event: EventType::Updated, revision: 2, changed }));
    assert_eq!(draft.finish()[0].1.entries[&RowId(1)].unknown, Parts::NONE);
}

#[test]
fn a_withdrawn_row_is_taken_over_too() {
    let ledger = ledger_with(entry([7, 0, 0, 0, 9], 2, true));
    let mut draft = ledger.draft(OTHER_TAGS);
    let outcome = read(&mut draft, RowId(1), hour(5), &prints([8, 0, 0, 0, 10]), NOT_PRIMARY);
    assert_eq!(outcome, Outcome::LeftOut(LeftOut::NotPrimary));
    // What changed of it since its last event is still to be told, should it come back.
    assert_eq!(draft.finish()[0].1.entries[&RowId(1)], entry([8, 0, 0, 0, 9], 2, true));
}

#[test]
fn rows_that_were_not_read_yet_wait_unknown_beside_those_that_were() {
    let mut ledger = ledger_with(entry([7, 0, 0, 0, 9], 1, false));
    let mut draft = ledger.draft(OTHER_TAGS);
    read(&mut draft, RowId(2), hour(5), &prints([7, 0, 0, 0, 1]), Ok(()));
    let buckets = draft.finish();
    ledger.apply(buckets);
    let waiting = ledger.bucket(hour(5).hour()).unwrap().entries[&RowId(1)];
    assert_eq!((waiting.unknown, waiting.prints), (Parts::NONE.with(Part::Tags), prints([0, 0, 0, 0, 9])));

    let mut draft = ledger.draft(OTHER_TAGS);
    assert_eq!(read(&mut draft, RowId(1), hour(5), &prints([8, 0, 0, 0, 9]), Ok(())), Outcome::Unchanged);
    assert_eq!(draft.finish()[0].1.entries[&RowId(1)], entry([8, 0, 0, 0, 9], 1, false));
}

#[test]
fn a_row_is_found_in_the_hour_of_the_former_zone_and_moved_home() {
    let mut ledger = ledger_with(entry([0, 0, 0, 0, 9], 1, false));
    let moved = Sighting { former_start: Some(hour(6)), ..sighting(RowId(1), hour(12), &prints([0, 0, 0, 0, 10])) };
    let mut draft = ledger.draft(SETS);
    let outcome = draft.compare(&moved, Ok(()));
    let Outcome::Publish(change) = outcome else { panic!("{outcome:?}") };
    assert_eq!((change.event, change.revision), (EventType::Updated, 2));
    draft.note(&moved, change);
    let buckets = draft.finish();
    ledger.apply(buckets);
    assert_eq!(ledger.hours().collect::<Vec<_>>(), [hour(12).hour()]);

    let withdrawn = ledger_with(entry([0, 0, 0, 0, 9], 2, true));
    let mut draft = withdrawn.draft(SETS);
    assert!(matches!(draft.compare(&moved, NOT_PRIMARY), Outcome::LeftOut(_)));
    let held: Vec<_> = draft.finish().into_iter().map(|(hour, bucket)| (hour, bucket.entries.len())).collect();
    assert_eq!(held, [(hour(5).hour(), 0), (hour(12).hour(), 1)], "one that is left out moves silently");
}

/// What happens between two looks at a row.
#[derive(Clone, Debug)]
struct Look {
    content: [u64; Part::ALL.len()],
    sets: ColumnSets,
    passes: bool,
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let look = (prop::array::uniform5(0_u64..3), any_sets(), prop::bool::weighted(0.8));
    prop::collection::vec(look.prop_map(|(content, sets, passes)| Look { content, sets, passes }), 1..12)
}

/// A fingerprint depends on the columns it was made of.
fn prints_of(look: &Look) -> Prints {
    let number = |part: usize| (look.content[part] + 1) * 10 + u64::from(look.sets.0[part]);
    prints(std::array::from_fn(number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Only rows that pass are looked at here; each look settles what the next one is compared with.
    #[test]
    fn what_changed_is_told_of_the_parts_whose_columns_are_the_same(looks in looks()) {
        let mut ledger = Ledger::default();
        let mut before: Option<Look> = None;
        for look in looks.into_iter().map(|look| Look { passes: true, ..look }) {
            let mut draft = ledger.draft(look.sets);
            let outcome = read(&mut draft, RowId(1), hour(5), &prints_of(&look), Ok(()));
            let buckets = draft.finish();
            if let Some(before) = &before {
                let differs = |part: &Part| {
                    let part = *part as usize;
                    before.sets.0[part] == look.sets.0[part] && before.content[part] != look.content[part]
                };
                let expected: Parts = Part::ALL.into_iter().filter(differs).collect();
                match outcome {
                    Outcome::Publish(change) => prop_assert_eq!(change.changed, expected),
                    _ => prop_assert!(expected.is_empty()),
                }
                prop_assert_eq!(buckets.is_empty(), before.sets == look.sets && expected.is_empty());
            }
            ledger.apply(buckets);
            let again = read(&mut ledger.draft(look.sets), RowId(1), hour(5), &prints_of(&look), Ok(()));
            prop_assert_eq!(again, Outcome::Unchanged);
            before = Some(look);
        }
    }

    #[test]
    fn a_change_of_columns_makes_no_event_of_a_row_that_is_the_same(looks in looks(), content in prop::array::uniform5(0_u64..3)) {
        let mut ledger = Ledger::default();
        let mut is_published = false;
        for look in looks.into_iter().map(|look| Look { content, ..look }) {
            let verdict = if look.passes { Ok(()) } else { NOT_PRIMARY };
            let mut draft = ledger.draft(look.sets);
            let outcome = read(&mut draft, RowId(1), hour(5), &prints_of(&look), verdict);
            prop_assert_eq!(matches!(outcome, Outcome::Publish(_)), is_published != look.passes);
            is_published = look.passes;
            let buckets = draft.finish();
            ledger.apply(buckets);
        }
    }

    #[test]
    fn pieces_of_different_columns_join_to_what_both_know(one in any_bucket(), other in any_bucket()) {
        let mut joined = one.clone();
        joined.join(other.clone());
        prop_assert_eq!(joined.sets, one.sets);
        for (id, entry) in &joined.entries {
            let (from, is_own) = match (one.entries.get(id), other.entries.get(id)) {
                (Some(own), Some(others)) if own.revision < others.revision => (others, false),
                (Some(own), _) => (own, true),
                (None, others) => (others.unwrap(), false),
            };
            let lost = if is_own { Parts::NONE } else { one.sets.differing(&other.sets) };
            prop_assert_eq!(entry.unknown, from.unknown.union(lost));
            prop_assert_eq!(entry.revision, from.revision);
        }
    }
}
