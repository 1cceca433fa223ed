//! How a bucket that is too large for a record is stored in pieces.

use super::super::*;
use super::at;
use crate::domain::call::RowId;
use crate::domain::ladder::BackfillOrder;
use crate::domain::ledger::{ColumnSets, Entry, Parts, Prints};

const HOUR: LocalHour = LocalHour::from_number(492_000);

fn bucket(n_entries: i64) -> Bucket {
    let prints = Prints::from_hashes([Some(u64::MAX); 5]);
    let entry = Entry { prints, unknown: Parts::NONE, revision: 1, withdrawn: false, second: None };
    let entries = (0..n_entries).map(|n| (RowId(n), entry)).collect();
    Bucket { entries, ..Bucket::new(ColumnSets::OF_FORMAT_1) }
}

fn progress_with(bucket: &Bucket, ladder: &Ladder) -> Progress {
    let now = at("2026-03-02T07:15:31Z");
    let mut progress = Progress::begin(AccountId::new("acme"), "calls", now, ladder, now);
    progress.ledger.restore(HOUR, bucket);
    progress
}

/// The pieces that a step writes, and those that it removes.
fn pieces_of(progress: &Progress, step: Step, ladder: &Ladder) -> (Vec<usize>, Vec<usize>) {
    let place = StatePlace { topic: "state".into(), partitions: 1 };
    let (_, records) = progress.prepare(step, ladder, &TimeZone::UTC, at("2026-03-02T07:15:31Z"), &place);
    let piece = |record: &Record| {
        let key = StateKey::parse(std::str::from_utf8(record.key.as_deref().unwrap()).unwrap()).unwrap();
        match key.part {
            StatePart::Ledger { hour: HOUR, piece } => Some((piece, record.value.is_some())),
            _ => None,
        }
    };
    let (written, removed): (Vec<_>, Vec<_>) =
        records.iter().filter_map(piece).partition(|(_, is_written)| *is_written);
    let numbers = |pieces: Vec<(usize, bool)>| pieces.into_iter().map(|(piece, _)| piece).collect();
    (numbers(written), numbers(removed))
}

#[test]
fn no_piece_of_a_larger_bucket_stays_behind() {
    let ladder = Ladder { tiers: Vec::new(), backfill: BackfillOrder::Newest, adaptive: false };
    let large = progress_with(&bucket(60_000), &ladder);
    let becomes = |bucket| Step { buckets: vec![(HOUR, bucket)], ..Step::default() };
    let all: Vec<usize> = (0..large.n_stored_pieces(HOUR)).collect();
    assert!(all.len() > 1);
    assert_eq!(pieces_of(&large, becomes(bucket(60_000)), &ladder), (all.clone(), Vec::new()));
    assert_eq!(pieces_of(&large, becomes(bucket(7)), &ladder), (vec![0], all[1..].to_vec()));
    assert_eq!(pieces_of(&large, becomes(bucket(0)), &ladder), (Vec::new(), all.clone()));
    let forgotten = Step { forgotten: vec![HOUR], ..Step::default() };
    assert_eq!(pieces_of(&large, forgotten, &ladder), (Vec::new(), all));

    let small = progress_with(&bucket(7), &ladder);
    assert_eq!(pieces_of(&small, becomes(bucket(8)), &ladder), (vec![0], Vec::new()));
}
