//! What a consumer is told, against what happened to the row.

use proptest::prelude::*;

use super::*;
use crate::domain::call::RowId;
use crate::domain::time::LocalTime;

mod sets;
mod vanished;

const SETS: ColumnSets = ColumnSets::of_hashes([1, 2, 3, 4, 5]);

const NOT_PRIMARY: Result<(), LeftOut> = Err(LeftOut::NotPrimary);

fn prints(numbers: [u64; Part::ALL.len()]) -> Prints {
    Prints::from_hashes(numbers.map(|number| (number > 0).then_some(number << 40)))
}

fn entry(numbers: [u64; Part::ALL.len()], revision: u32, withdrawn: bool) -> Entry {
    Entry { prints: prints(numbers), unknown: Parts::NONE, revision, withdrawn, second: Some(0) }
}

fn hour(number: i64) -> LocalTime {
    LocalHour::from_number(number).start()
}

#[test]
fn the_table_of_outcomes_holds() {
    let publish = |event, revision, parts: &[Part]| {
        let changed = parts.iter().copied().fold(Parts::NONE, Parts::with);
        Outcome::Publish(Change { event, revision, changed })
    };
    let (same, other) = ([0, 0, 0, 0, 7], [1, 0, 0, 0, 7]);
    let left_out = Outcome::LeftOut(LeftOut::NotPrimary);
    for (known, now, verdict, expected) in [
        (None, same, Ok(()), publish(EventType::Created, 1, &[])),
        (None, same, NOT_PRIMARY, left_out),
        (Some(entry(same, 1, false)), same, Ok(()), Outcome::Unchanged),
        (Some(entry(same, 1, false)), other, Ok(()), publish(EventType::Updated, 2, &[Part::Tags])),
        (Some(entry(same, 4, false)), same, NOT_PRIMARY, publish(EventType::Withdrawn, 5, &[])),
        (Some(entry(other, 1, false)), same, NOT_PRIMARY, publish(EventType::Withdrawn, 2, &[Part::Tags])),
        (Some(entry(same, 2, true)), same, Ok(()), publish(EventType::Updated, 3, &[])),
        (Some(entry(same, 2, true)), other, Ok(()), publish(EventType::Updated, 3, &[Part::Tags])),
        (Some(entry(same, 2, true)), other, NOT_PRIMARY, left_out),
    ] {
        assert_eq!(diff(known.as_ref(), &prints(now), verdict), expected, "{known:?} {now:?} {verdict:?}");
    }
}

#[test]
fn parts_are_named_in_their_order() {
    assert_eq!(Parts::NONE.with(Part::Records).with(Part::Tags).names(), ["tags", "records"]);
    assert_eq!(Part::ALL.into_iter().fold(Parts::NONE, Parts::with).names().len(), Part::ALL.len());
}

#[test]
fn a_draft_that_is_dropped_leaves_no_trace() {
    let mut ledger = Ledger::default();
    let row = (RowId(1), hour(5), prints([0, 0, 0, 0, 7]));
    assert!(matches!(read(&mut ledger.draft(SETS), row.0, row.1, &row.2, Ok(())), Outcome::Publish(_)));
    assert!(matches!(read(&mut ledger.draft(SETS), row.0, row.1, &row.2, Ok(())), Outcome::Publish(_)));

    let mut draft = ledger.draft(SETS);
    read(&mut draft, row.0, row.1, &row.2, Ok(()));
    assert_eq!(read(&mut draft, row.0, row.1, &row.2, Ok(())), Outcome::Unchanged, "twice on one page");
    let buckets = draft.finish();
    ledger.apply(buckets);
    assert_eq!(read(&mut ledger.draft(SETS), row.0, row.1, &row.2, Ok(())), Outcome::Unchanged);
}

/// Reads a row whose event can be made.
fn read(draft: &mut Draft<'_>, id: RowId, start: LocalTime, prints: &Prints, verdict: Result<(), LeftOut>) -> Outcome {
    let row = sighting(id, start, prints);
    let outcome = draft.compare(&row, verdict);
    if let Outcome::Publish(change) = outcome {
        draft.note(&row, change);
    }
    outcome
}

fn sighting(id: RowId, start: LocalTime, prints: &Prints) -> Sighting {
    Sighting { id, start, former_start: None, prints: *prints }
}

#[test]
fn only_touched_hours_are_rewritten() {
    let mut ledger = Ledger::default();
    let mut draft = ledger.draft(SETS);
    read(&mut draft, RowId(1), hour(5), &prints([0, 0, 0, 0, 1]), Ok(()));
    read(&mut draft, RowId(2), hour(6), &prints([0, 0, 0, 0, 2]), Ok(()));
    read(&mut draft, RowId(3), hour(7), &prints([0, 0, 0, 0, 3]), NOT_PRIMARY);
    let buckets = draft.finish();
    assert_eq!(buckets.iter().map(|(hour, _)| hour.number()).collect::<Vec<_>>(), [5, 6]);
    ledger.apply(buckets);

    let mut draft = ledger.draft(SETS);
    read(&mut draft, RowId(1), hour(5), &prints([0, 0, 0, 0, 1]), Ok(()));
    read(&mut draft, RowId(2), hour(6), &prints([0, 0, 0, 0, 9]), Ok(()));
    assert_eq!(draft.finish().iter().map(|(hour, _)| hour.number()).collect::<Vec<_>>(), [6]);
}

#[test]
fn what_could_not_be_sent_is_not_noted() {
    let mut ledger = Ledger::default();
    let (old, new) = (prints([0, 0, 0, 0, 1]), prints([0, 0, 0, 0, 2]));
    let mut draft = ledger.draft(SETS);
    read(&mut draft, RowId(1), hour(5), &old, Ok(()));
    draft.compare(&sighting(RowId(2), hour(5), &old), Ok(()));
    let buckets = draft.finish();
    ledger.apply(buckets);
    assert_eq!(ledger.bucket(hour(5).hour()).unwrap().entries.keys().collect::<Vec<_>>(), [&RowId(1)]);

    let mut draft = ledger.draft(SETS);
    draft.compare(&sighting(RowId(1), hour(5), &new), Ok(()));
    let buckets = draft.finish();
    ledger.apply(buckets);
    assert_eq!(read(&mut ledger.draft(SETS), RowId(1), hour(5), &old, Ok(())), Outcome::Unchanged);
}

#[test]
fn a_call_whose_start_was_corrected_across_the_hour_is_the_same_call() {
    // It was looked for in the hour of its new start alone, and came as CREATED a second time.
    let mut ledger = Ledger::default();
    let (old, new) = (prints([0, 0, 0, 0, 1]), prints([0, 0, 0, 0, 2]));
    let mut draft = ledger.draft(SETS);
    read(&mut draft, RowId(1), hour(5).plus_seconds(3598), &old, Ok(()));
    let buckets = draft.finish();
    ledger.apply(buckets);
    for (start, revision) in [(hour(6).plus_seconds(1), 2), (hour(5).plus_seconds(3599), 3)] {
        let changing = if revision == 2 { new } else { old };
        let mut draft = ledger.draft(SETS);
        let outcome = read(&mut draft, RowId(1), start, &changing, Ok(()));
        let changed = Parts::NONE.with(Part::Other);
        assert_eq!(outcome, Outcome::Publish(Change { event: EventType::Updated, revision, changed }));
        let buckets = draft.finish();
        ledger.apply(buckets);
        assert_eq!(ledger.hours().collect::<Vec<_>>(), [start.hour()], "it is held once");
    }
}

/// Nobody tells when the clock of an account is set to another zone; the rows may be read before it is asked for.
#[test]
fn a_call_whose_start_was_moved_by_a_zone_is_the_same_call_from_the_first_reading_on() {
    let what = prints([0, 0, 0, 0, 9]);
    for (hours, expected) in
        [(-26, EventType::Updated), (3, EventType::Updated), (26, EventType::Updated), (27, EventType::Created)]
    {
        let mut ledger = Ledger::default();
        let mut draft = ledger.draft(SETS);
        read(&mut draft, RowId(1), hour(100), &what, Ok(()));
        let buckets = draft.finish();
        ledger.apply(buckets);

        let moved = hour(100 + hours);
        let mut draft = ledger.draft(SETS);
        let outcome = read(&mut draft, RowId(1), moved, &prints([0, 0, 0, 0, 10]), Ok(()));
        let Outcome::Publish(change) = outcome else { panic!("{hours}: {outcome:?}") };
        assert_eq!(change.event, expected, "{hours}");
        let buckets = draft.finish();
        ledger.apply(buckets);
        let again = read(&mut ledger.draft(SETS), RowId(1), moved, &prints([0, 0, 0, 0, 10]), Ok(()));
        assert_eq!(again, Outcome::Unchanged, "{hours}");
    }
}

/// An API that shows one call under two starts within one page.
#[test]
fn a_call_that_comes_twice_in_a_step_with_other_starts_is_one_call() {
    for hours in [1, 3, 8, 40] {
        let ledger = Ledger::default();
        let mut draft = ledger.draft(SETS);
        read(&mut draft, RowId(1), hour(100), &prints([0, 0, 0, 0, 9]), Ok(()));
        let outcome = read(&mut draft, RowId(1), hour(100 + hours), &prints([0, 0, 0, 0, 10]), Ok(()));
        let Outcome::Publish(change) = outcome else { panic!("{hours}: {outcome:?}") };
        assert_eq!((change.event, change.revision), (EventType::Updated, 2), "{hours}");
    }
}

#[test]
fn a_row_is_set_aside_once_until_its_hour_is_forgotten() {
    let mut ledger = Ledger::default();
    let mut draft = ledger.draft(SETS);
    assert!(draft.set_aside(77, hour(5)));
    assert!(!draft.set_aside(77, hour(5)), "twice on one page");
    let buckets = draft.finish();
    ledger.apply(buckets);
    assert!(!ledger.draft(SETS).set_aside(77, hour(6)), "an hour later");

    let mut restored = Ledger::default();
    restored.restore(hour(5).hour(), &ledger.bucket(hour(5).hour()).unwrap());
    assert!(!restored.draft(SETS).set_aside(77, hour(6)), "after a restart");

    ledger.forget(&[hour(5).hour()]);
    assert_eq!(ledger.hours().count(), 0);
    assert!(ledger.draft(SETS).set_aside(77, hour(9)));
}

fn any_parts() -> impl Strategy<Value = Parts> {
    prop::collection::vec(prop::sample::select(&Part::ALL[..]), 0..3).prop_map(Parts::from_iter)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let print = prop_oneof![Just(None), any::<u64>().prop_map(Some)];
    let revision = prop_oneof![Just(1), 1..200_u32, any::<u32>()];
    let second = prop::option::of(0..3600_u16);
    let unknown = prop_oneof![Just(Parts::NONE), any_parts()];
    (prop::array::uniform5(print), revision, any::<bool>(), second, unknown).prop_map(
        |(hashes, revision, withdrawn, second, unknown)| {
            let prints = Prints::from_hashes(hashes).with_parts_of(unknown, &Prints::default());
            Entry { prints, unknown, revision, withdrawn, second }
        },
    )
}

fn any_sets() -> impl Strategy<Value = ColumnSets> {
    prop::array::uniform5(0..3_u32).prop_map(ColumnSets::of_hashes)
}

fn any_bucket() -> impl Strategy<Value = Bucket> {
    let id = prop_oneof![3_481_200_000..3_481_300_000_i64, any::<i64>()].prop_map(RowId);
    let entries = prop::collection::btree_map(id, any_entry(), 0..30);
    let dead = prop::collection::btree_set(any::<u64>(), 0..4);
    (any_sets(), entries, dead).prop_map(|(sets, entries, dead)| Bucket { sets, entries, dead })
}

/// One look at a row: what it holds, whether it passes, and whether the step was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Look {
    content: [u64; Part::ALL.len()],
    passes: bool,
    acknowledged: bool,
}

fn history() -> impl Strategy<Value = Vec<Look>> {
    let content = prop::array::uniform5(0_u64..3);
    let look = (content, prop::bool::weighted(0.7), prop::bool::weighted(0.8));
    let look = look.prop_map(|(content, passes, acknowledged)| Look { content, passes, acknowledged });
    // Most looks find what the look before them found.
    prop::collection::vec((look, 1_usize..4), 0..12)
        .prop_map(|looks| looks.into_iter().flat_map(|(look, times)| std::iter::repeat_n(look, times)).collect())
}

/// What a consumer that replays the events of a row believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Unheard,
    Holds([u64; Part::ALL.len()]),
    Withdrawn([u64; Part::ALL.len()]),
}

impl Belief {
    fn content(self) -> Option<[u64; Part::ALL.len()]> {
        match self {
            Self::Unheard => None,
            Self::Holds(content) | Self::Withdrawn(content) => Some(content),
        }
    }

    /// Takes an event in, and objects to one that does not fit those before.
    fn take(self, event: EventType, content: [u64; Part::ALL.len()]) -> Self {
        match (self, event) {
            (Self::Unheard, EventType::Created) | (Self::Holds(_) | Self::Withdrawn(_), EventType::Updated) => {
                Self::Holds(content)
            }
            (Self::Holds(_), EventType::Withdrawn) => Self::Withdrawn(content),
            (belief, event) => panic!("{event:?} on top of {belief:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_bucket_comes_back_from_its_bytes(bucket in any_bucket()) {
        let packed = Packed::pack(&bucket);
        prop_assert_eq!(packed.as_bytes()[0], FORMAT);
        prop_assert_eq!(Packed::read(packed.as_bytes()), Ok(bucket.clone()));
        prop_assert_eq!(packed.unpack(), bucket);
    }

    #[test]
    fn halves_of_a_bucket_join_to_the_whole(bucket in any_bucket()) {
        let (mut lower, upper) = bucket.clone().halves();
        prop_assert!(upper.dead.is_empty() && lower.entries.len().abs_diff(upper.entries.len()) <= 1);
        lower.join(upper);
        prop_assert_eq!(lower, bucket);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_bucket_and_never_a_panic(
        bucket in any_bucket(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Packed::pack(&bucket).as_bytes().to_vec();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        let read = Packed::read(&bytes);
        match bytes.first() {
            None => prop_assert_eq!(read, Err(UnpackError::Damaged)),
            Some(&(1 | FORMAT)) => prop_assert!(!matches!(read, Err(UnpackError::Format(_)))),
            Some(&other) => prop_assert_eq!(read, Err(UnpackError::Format(other))),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..200), format in 1..=FORMAT) {
        bytes[0] = format;
        let _ = Packed::read(&bytes);
    }

    #[test]
    fn the_events_of_a_row_replay_to_its_last_state(history in history()) {
        let mut ledger = Ledger::default();
        let mut belief = Belief::Unheard;
        let mut revision = 0;
        for look in history {
            let verdict = if look.passes { Ok(()) } else { NOT_PRIMARY };
            let mut draft = ledger.draft(SETS);
            let outcome = read(&mut draft, RowId(1), hour(5), &prints(look.content), verdict);
            let buckets = draft.finish();
            prop_assert_eq!(buckets.is_empty(), !matches!(outcome, Outcome::Publish(_)));
            if !look.acknowledged {
                continue;
            }
            ledger.apply(buckets);
            match outcome {
                Outcome::Publish(change) => {
                    revision += 1;
                    prop_assert_eq!(change.revision, revision);
                    let before = belief.content().unwrap_or(look.content);
                    let differs = |part: &Part| before[*part as usize] != look.content[*part as usize];
                    let differing = Part::ALL.into_iter().filter(differs).fold(Parts::NONE, Parts::with);
                    prop_assert_eq!(change.changed, differing);
                    belief = belief.take(change.event, look.content);
                }
                Outcome::Unchanged => prop_assert_eq!(belief, Belief::Holds(look.content)),
                Outcome::LeftOut(_) => prop_assert!(!look.passes && !matches!(belief, Belief::Holds(_))),
            }
            prop_assert_eq!(matches!(belief, Belief::Holds(_)), look.passes);
            if look.passes {
                prop_assert_eq!(belief, Belief::Holds(look.content));
            }
            // The same look again is no news.
            let again = read(&mut ledger.draft(SETS), RowId(1), hour(5), &prints(look.content), verdict);
            prop_assert!(!matches!(again, Outcome::Publish(_)), "{:?}", again);
            // Neither is it after a restart.
            let mut restored = Ledger::default();
            for hour in ledger.hours() {
                restored.restore(hour, &ledger.bucket(hour).unwrap());
            }
            prop_assert_eq!(read(&mut restored.draft(SETS), RowId(1), hour(5), &prints(look.content), verdict), again);
        }
    }
}

#[test]
fn a_format_of_another_version_is_named() {
    let error = Packed::read(&[FORMAT + 1, 0]).unwrap_err();
    assert_eq!(error, UnpackError::Format(FORMAT + 1));
    assert!(error.to_string().contains(&format!("format {}", FORMAT + 1)), "{error}");
    assert_eq!(Packed::read(&[]), Err(UnpackError::Damaged));
}

/// A million calls of a month, as they lie in memory and in the state topic. One call in three has a record, one in
/// five a tag, one in thirty a sale, one in fifty a rating; one in ten was published more than once.
#[test]
fn a_million_calls_take_at_most_16_bytes_each() {
    const CALLS: usize = 1_000_000;
    const HOURS: usize = 30 * 24;
    let mut random = fastrand::Rng::with_seed(11);
    let mut ledger = Ledger::default();
    let (mut id, mut n_calls) = (3_481_200_457_i64, 0);
    for number in 0..HOURS {
        let mut bucket = Bucket::new(SETS);
        for second in 0..CALLS / HOURS + 1 {
            id += random.i64(1..400);
            let hashes = [5, 30, 50, 3, 1].map(|one_in| (random.u64(0..one_in) == 0).then(|| random.u64(..)));
            let entry = Entry {
                prints: Prints::from_hashes(hashes),
                unknown: Parts::NONE,
                revision: if random.u8(0..10) == 0 { 2 } else { 1 },
                withdrawn: false,
                second: Some(second as u16 % 3600),
            };
            bucket.entries.insert(RowId(id), entry);
        }
        n_calls += bucket.entries.len();
        ledger.apply(vec![(LocalHour::from_number(number as i64), bucket)]);
    }
    assert!(n_calls >= CALLS);
    let mean = ledger.packed_bytes() as f64 / n_calls as f64;
    println!("{n_calls} calls take {} bytes, {mean:.1} each", ledger.packed_bytes());
    assert!(mean <= 16.0, "{mean}");
}
