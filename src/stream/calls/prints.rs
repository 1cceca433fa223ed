//! The fingerprints of a call: of which columns each is made, and in which way.
//!
//! The ledger compares fingerprints only where these agree ([`ColumnSets`]), so every change of what is made here has
//! to change the sets: columns do it by their names, anything else by [`VERSIONS`].

use jiff::tz::TimeZone;

use super::Call;
use crate::domain::ledger::{ColumnSets, Part, Prints};
use crate::stream::record::{Digests, digest_offset, hash};

/// How the columns of each part are digested. Version 1 of `other`, of release 0.1.0, left the zone out.
const VERSIONS: [u8; Part::ALL.len()] = [1, 1, 1, 1, 2];

/// Columns that tell which call it is and when: they cannot be ignored.
pub const ALWAYS_COUNTED: [&str; 2] = ["id", "start_time"];

/// The columns whose change is a change of the call.
#[derive(Clone, Debug)]
pub struct Counted {
    ignored: Vec<String>,
    sets: ColumnSets,
}

impl Counted {
    pub fn all() -> Self {
        Self::without(Vec::new())
    }

    pub fn without(ignored: Vec<String>) -> Self {
        let counts = |name: &str| !ignored.iter().any(|ignored| ignored == name);
        let columns = Call::COLUMNS.iter().zip(Call::NESTED).filter(|(name, _)| counts(name));
        let sets = column_sets(columns.map(|(name, nested)| (*name, *nested)), VERSIONS);
        Self { ignored, sets }
    }

    pub const fn sets(&self) -> ColumnSets {
        self.sets
    }

    pub const fn is_all(&self) -> bool {
        self.ignored.is_empty()
    }

    fn counts(&self, column: &str) -> bool {
        !self.ignored.iter().any(|ignored| ignored == column)
    }
}

/// Columns, each with those nested in it, as the sets behind the fingerprints.
pub(super) fn column_sets<'c>(
    columns: impl Iterator<Item = (&'c str, &'c [&'c str])>,
    versions: [u8; Part::ALL.len()],
) -> ColumnSets {
    let mut described = versions.map(|version| vec![version]);
    for (name, nested) in columns {
        let description = &mut described[part_of(name) as usize];
        for word in [name].iter().chain(nested) {
            description.extend_from_slice(word.as_bytes());
            description.push(0);
        }
        description.push(0);
    }
    // The upper half of the hash is as good as the lower one.
    ColumnSets::of_hashes(described.map(|description| (hash(&description) >> 32) as u32))
}

/// The part of a call that a column belongs to: what `changed` names.
const fn part_of(column: &str) -> Part {
    match column.as_bytes() {
        b"tags" => Part::Tags,
        b"sale_date" | b"sale_cost" => Part::Sale,
        b"last_answered_employee_rating" => Part::Rating,
        b"call_records" | b"wav_call_records" | b"full_record_file_link" | b"voice_mail_records" => Part::Records,
        _ => Part::Other,
    }
}

/// One digest for each part.
#[derive(Default)]
pub struct PartDigests([Vec<u8>; Part::ALL.len()]);

struct CountedDigests<'d> {
    counted: &'d Counted,
    digests: &'d mut PartDigests,
}

impl Digests for CountedDigests<'_> {
    #[inline]
    fn of(&mut self, column: &'static str) -> Option<&mut Vec<u8>> {
        self.counted.counts(column).then(|| &mut self.digests.0[part_of(column) as usize])
    }
}

impl Call<'_> {
    /// The fingerprint of each part, made in `scratch` so that a page needs one allocation, not one a row.
    pub fn prints(&self, counted: &Counted, zone: &TimeZone, scratch: &mut PartDigests) -> Prints {
        scratch.0.iter_mut().for_each(Vec::clear);
        let mut digests = CountedDigests { counted, digests: scratch };
        self.digest_columns(&mut digests);
        self.digest_zone(zone, &mut digests);
        Prints::from_hashes(std::array::from_fn(|part| match scratch.0[part].as_slice() {
            [] => None,
            digest => Some(hash(digest)),
        }))
    }

    /// Columns are digested as they came. When the account moves to another zone, the moments in its events are others
    /// all the same: the start and the end of the call tell so for all its times.
    fn digest_zone(&self, zone: &TimeZone, digests: &mut CountedDigests<'_>) {
        let times = [("start_time", Some(&self.start_time)), ("finish_time", self.finish_time.as_ref())];
        for (column, time) in times {
            if let (Some(time), Some(digest)) = (time, digests.of(column)) {
                digest_offset(time, zone, digest);
            }
        }
    }
}
