//! A bucket as bytes: what lies in memory and, unchanged, in the state topic.
//!
//! ```text
//! format      1 byte, see FORMAT
//! sets        4 bytes for each part: what the fingerprints are made of
//! n_dead      varint, then 8 bytes each
//! entries     until the end:
//!   id        zigzag varint, difference from the id before
//!   flags     1 byte: bits 0-4 parts with content, 5 withdrawn, 6 revision is not 1, 7 parts are unknown
//!   unknown   1 byte of parts, when bit 7 is set
//!   second    2 bytes: when in its hour the row starts
//!   revision  varint, when bit 6 is set
//!   prints    5 bytes for each part with content
//! ```
//!
//! Format 1 has neither `sets` nor `unknown` nor `second`, and is read as well: its fingerprints are made of
//! [`ColumnSets::OF_FORMAT_1`].
//!
//! A call takes about 14 bytes: ids of an hour lie close together, and most parts are empty.

use std::collections::{BTreeMap, BTreeSet};

use super::{Bucket, ColumnSets, Entry, Part, Parts, Prints};
use crate::domain::call::RowId;

/// The version of the layout. Stored first in every bucket.
pub const FORMAT: u8 = 2;

/// The layout of release 0.1.0.
const FORMAT_1: u8 = 1;

const PRINT_BYTES: usize = (Prints::BITS / 8) as usize;
const WITHDRAWN: u8 = 1 << 5;
const REVISED: u8 = 1 << 6;
const HAS_UNKNOWN: u8 = 1 << 7;

const SECONDS: u16 = 3600;
const NO_SECOND: u16 = u16::MAX;

/// A packed bucket. Made by packing or checked when it is read, so that unpacking cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnpackError {
    #[error(
        "the bucket has format {0}, this version reads formats {FORMAT_1} and {FORMAT}: was it written by a newer callfeed?"
    )]
    Format(u8),
    #[error("the bucket is cut off or damaged")]
    Damaged,
}

impl Packed {
    pub fn pack(bucket: &Bucket) -> Self {
        let mut out = vec![FORMAT];
        out.extend(bucket.sets.0.iter().flat_map(|set| set.to_le_bytes()));
        put_varint(bucket.dead.len() as u64, &mut out);
        for hash in &bucket.dead {
            out.extend_from_slice(&hash.to_le_bytes());
        }
        let mut previous = 0;
        for (id, entry) in &bucket.entries {
            put_varint(zigzag(id.0.wrapping_sub(previous)), &mut out);
            previous = id.0;
            put_entry(entry, &mut out);
        }
        Self(out.into_boxed_slice())
    }

    /// Reads what is stored in the state topic.
    pub fn read(bytes: &[u8]) -> Result<Bucket, UnpackError> {
        match bytes.split_first() {
            None => Err(UnpackError::Damaged),
            Some((&format @ (FORMAT | FORMAT_1), mut rest)) => {
                take_bucket(format, &mut rest).ok_or(UnpackError::Damaged)
            }
            Some((&other, _)) => Err(UnpackError::Format(other)),
        }
    }

    pub fn unpack(&self) -> Bucket {
        Self::read(&self.0).unwrap_or(Bucket::new(ColumnSets::OF_FORMAT_1))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    let prints = entry.prints.as_numbers();
    let mut flags = if entry.withdrawn { WITHDRAWN } else { 0 };
    if entry.revision != 1 {
        flags |= REVISED;
    }
    if !entry.unknown.is_empty() {
        flags |= HAS_UNKNOWN;
    }
    for part in Part::ALL {
        if prints[part as usize] != 0 {
            flags |= 1 << part as u8;
        }
    }
    out.push(flags);
    if !entry.unknown.is_empty() {
        out.push(entry.unknown.0);
    }
    out.extend_from_slice(&entry.second.unwrap_or(NO_SECOND).to_le_bytes());
    if entry.revision != 1 {
        put_varint(u64::from(entry.revision), out);
    }
    for print in prints.iter().filter(|print| **print != 0) {
        out.extend_from_slice(&print.to_le_bytes()[..PRINT_BYTES]);
    }
}

fn take_bucket(format: u8, rest: &mut &[u8]) -> Option<Bucket> {
    let sets = if format == FORMAT_1 { ColumnSets::OF_FORMAT_1 } else { take_sets(rest)? };
    let n_dead = take_varint(rest)?;
    let mut dead = BTreeSet::new();
    for _ in 0..n_dead {
        dead.insert(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?));
    }
    let mut entries = Vec::new();
    let mut previous = 0_i64;
    while !rest.is_empty() {
        previous = previous.wrapping_add(unzigzag(take_varint(rest)?));
        entries.push((RowId(previous), take_entry(format, rest)?));
    }
    Some(Bucket { sets, entries: BTreeMap::from_iter(entries), dead })
}

fn take_sets(rest: &mut &[u8]) -> Option<ColumnSets> {
    let mut sets = [0; Part::ALL.len()];
    for set in &mut sets {
        *set = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    }
    Some(ColumnSets(sets))
}

fn take_entry(format: u8, rest: &mut &[u8]) -> Option<Entry> {
    let flags = take(rest, 1)?[0];
    let has_unknown = format != FORMAT_1 && flags & HAS_UNKNOWN != 0;
    let unknown = if has_unknown { take_unknown(flags, rest)? } else { Parts::NONE };
    let second = if format == FORMAT_1 { None } else { take_second(rest)? };
    let revision = if flags & REVISED == 0 { 1 } else { u32::try_from(take_varint(rest)?).ok()? };
    let mut prints = [0; Part::ALL.len()];
    for part in Part::ALL {
        if flags & (1 << part as u8) != 0 {
            let mut number = [0; 8];
            number[..PRINT_BYTES].copy_from_slice(take(rest, PRINT_BYTES)?);
            prints[part as usize] = u64::from_le_bytes(number);
        }
    }
    Some(Entry { prints: Prints(prints), unknown, revision, withdrawn: flags & WITHDRAWN != 0, second })
}

/// A part that is unknown has no fingerprint.
fn take_unknown(flags: u8, rest: &mut &[u8]) -> Option<Parts> {
    let unknown = take(rest, 1)?[0];
    let is_sound = unknown != 0 && unknown & flags == 0 && unknown >> Part::ALL.len() == 0;
    is_sound.then_some(Parts(unknown))
}

fn take_second(rest: &mut &[u8]) -> Option<Option<u16>> {
    match u16::from_le_bytes(take(rest, 2)?.try_into().ok()?) {
        NO_SECOND => Some(None),
        second => (second < SECONDS).then_some(Some(second)),
    }
}

fn take<'b>(rest: &mut &'b [u8], n_bytes: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(n_bytes)?;
    *rest = left;
    Some(taken)
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
