//! What of an account's progress is kept in the state topic: keys and values, nothing of how they get there.
//!
//! ```text
//! a/<account>/<stream>/coverage            JSON: intervals read, clocks of the tiers
//! a/<account>/<stream>/ledger/<hour>       a packed bucket of the ledger; <hour> as 2026-03-02T10
//! a/<account>/<stream>/ledger/<hour>/<n>   its further pieces, where a bucket passes 512 KiB
//! a/<account>/<stream>/paused              JSON: since when it is paused; only while it is
//! ```

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::call::AccountId;
use crate::domain::coverage::Coverage;
use crate::domain::ladder::Clocks;
use crate::domain::ledger::{Bucket, Packed, UnpackError};
use crate::domain::read_as::{ReadAs, View};
use crate::domain::time::{Instant, Interval, LocalHour};
use crate::edge::kafka::{Record, partition_of};

/// A broker's default `max.message.bytes` is 1 MiB; half of it leaves room for whatever else stands in a batch.
pub const LARGEST_PIECE: usize = 512 * 1024;

/// What a key of the state topic is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    pub account: AccountId,
    pub stream: String,
    pub part: StatePart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatePart {
    Coverage,
    Ledger { hour: LocalHour, piece: usize },
    Paused,
}

impl StateKey {
    /// None for keys that are not about accounts.
    pub fn parse(key: &str) -> Option<Self> {
        let mut words = key.strip_prefix("a/")?.split('/');
        let account = AccountId::new(words.next()?);
        let stream = words.next()?.to_owned();
        let part = match (words.next()?, words.next(), words.next(), words.next()) {
            ("coverage", None, None, None) => StatePart::Coverage,
            ("paused", None, None, None) => StatePart::Paused,
            ("ledger", Some(hour), piece, None) => StatePart::Ledger {
                hour: LocalHour::parse(hour)?,
                piece: piece.map_or(Some(0), |piece| piece.parse().ok())?,
            },
            _ => return None,
        };
        Some(Self { account, stream, part })
    }
}

impl std::fmt::Display for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a/{}/{}/", self.account, self.stream)?;
        match self.part {
            StatePart::Coverage => f.write_str("coverage"),
            StatePart::Paused => f.write_str("paused"),
            StatePart::Ledger { hour, piece: 0 } => write!(f, "ledger/{hour}"),
            StatePart::Ledger { hour, piece } => write!(f, "ledger/{hour}/{piece}"),
        }
    }
}

/// Where the state of accounts is kept.
#[derive(Clone, Debug)]
pub struct StatePlace {
    pub topic: Arc<str>,
    pub partitions: i32,
}

impl StatePlace {
    pub fn partition_of(&self, account: &AccountId) -> i32 {
        partition_of(account.as_str(), self.partitions)
    }

    /// What has to be sent so that the value stands under the key; without a value, nothing will.
    pub fn record(&self, key: &StateKey, value: Option<Vec<u8>>) -> Record {
        Record::of_state(self.topic.clone(), self.partition_of(&key.account), key.to_string().into_bytes(), value)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the stored progress cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "the stored coverage has version {0}, this callfeed reads version {COVERAGE_VERSION}: was it written by a newer one?"
    )]
    Version(u32),
    #[error("the stored time `{0}` cannot be read")]
    Time(String),
    #[error("the stored duration `{0}` cannot be read")]
    Duration(String),
    #[error("the ledger of {hour}: {source}")]
    Ledger { hour: LocalHour, source: UnpackError },
}

const COVERAGE_VERSION: u32 = 1;

/// The record under `coverage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRecord {
    /// Number of the step that wrote it.
    pub sequence: u64,
    pub coverage: Coverage,
    pub floor: Instant,
    pub clocks: Clocks,
    pub read_as: ReadAs,
}

#[derive(Serialize, Deserialize)]
struct CoverageJson {
    version: u32,
    sequence: u64,
    origin: String,
    floor: String,
    intervals: Vec<(String, String)>,
    tiers: BTreeMap<String, String>,
    /// Missing in records of before there was this key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    read_as: Vec<ViewJson>,
}

#[derive(Serialize, Deserialize)]
struct ViewJson {
    zone: String,
    filters: String,
}

impl CoverageRecord {
    pub fn to_json(&self) -> Vec<u8> {
        let json = CoverageJson {
            version: COVERAGE_VERSION,
            sequence: self.sequence,
            origin: self.coverage.origin().to_string(),
            floor: self.floor.to_string(),
            intervals: self.coverage.intervals().iter().map(|i| (i.from.to_string(), i.till.to_string())).collect(),
            tiers: self.clocks.0.iter().map(|(age, at)| (write_duration(*age), at.to_string())).collect(),
            read_as: self.read_as.views().iter().map(ViewJson::of).collect(),
        };
        // Maps with text keys and texts: there is nothing that JSON could not hold.
        serde_json::to_vec(&json).unwrap_or_default()
    }

    pub fn from_json(json: &[u8]) -> Result<Self, StateError> {
        let json: CoverageJson = serde_json::from_slice(json)?;
        if json.version != COVERAGE_VERSION {
            return Err(StateError::Version(json.version));
        }
        let mut intervals = Vec::new();
        for (from, till) in &json.intervals {
            intervals.extend(Interval::new(read_instant(from)?, read_instant(till)?));
        }
        let mut clocks = Clocks::default();
        for (age, at) in &json.tiers {
            clocks.0.insert(read_duration(age)?, read_instant(at)?);
        }
        Ok(Self {
            sequence: json.sequence,
            coverage: Coverage::restore(read_instant(&json.origin)?, intervals),
            floor: read_instant(&json.floor)?,
            clocks,
            read_as: ReadAs::restore(json.read_as.into_iter().map(ViewJson::into_view).collect()),
        })
    }
}

impl ViewJson {
    fn of(view: &View) -> Self {
        Self { zone: view.zone.clone(), filters: view.filters.clone() }
    }

    fn into_view(self) -> View {
        View { zone: self.zone, filters: self.filters }
    }
}

fn read_instant(text: &str) -> Result<Instant, StateError> {
    let timestamp: Timestamp = text.parse().map_err(|_| StateError::Time(text.to_owned()))?;
    Ok(Instant::from_unix_seconds(timestamp.as_second()))
}

fn write_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn read_duration(text: &str) -> Result<Duration, StateError> {
    humantime::parse_duration(text).map_err(|_| StateError::Duration(text.to_owned()))
}

/// A bucket as the values of its pieces, each small enough for a record.
pub fn pieces(bucket: &Bucket) -> Vec<Packed> {
    let packed = Packed::pack(bucket);
    if packed.as_bytes().len() <= LARGEST_PIECE || bucket.entries.len() < 2 {
        return vec![packed];
    }
    let (lower, upper) = bucket.clone().halves();
    [pieces(&lower), pieces(&upper)].concat()
}

/// What was stored of one account and stream.
#[derive(Default)]
pub struct Stored {
    pub coverage: Option<Vec<u8>>,
    pub ledger: Vec<(LocalHour, Vec<u8>)>,
    pub paused: Option<Vec<u8>>,
}

/// What was stored, by account and stream.
pub type Accounts = HashMap<(AccountId, String), Stored>;

/// Sorts the content of the state topic. Keys that are not about accounts are left out.
pub fn by_account(content: HashMap<String, Vec<u8>>) -> Accounts {
    let mut accounts = Accounts::new();
    for (key, value) in content {
        let Some(key) = StateKey::parse(&key) else { continue };
        let stored = accounts.entry((key.account, key.stream)).or_default();
        match key.part {
            StatePart::Coverage => stored.coverage = Some(value),
            StatePart::Paused => stored.paused = Some(value),
            StatePart::Ledger { hour, .. } => stored.ledger.push((hour, value)),
        }
    }
    accounts
}

/// The record under `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PausedRecord {
    pub since: Instant,
}

#[derive(Serialize, Deserialize)]
struct PausedJson {
    since: String,
}

impl PausedRecord {
    pub fn to_json(self) -> Vec<u8> {
        // A text: there is nothing that JSON could not hold.
        serde_json::to_vec(&PausedJson { since: self.since.to_string() }).unwrap_or_default()
    }

    pub fn from_json(json: &[u8]) -> Result<Self, StateError> {
        let json: PausedJson = serde_json::from_slice(json)?;
        Ok(Self { since: read_instant(&json.since)? })
    }
}

impl Stored {
    /// The buckets, their pieces joined.
    pub fn buckets(&self) -> Result<BTreeMap<LocalHour, Bucket>, StateError> {
        let mut buckets: BTreeMap<LocalHour, Bucket> = BTreeMap::new();
        for (hour, bytes) in &self.ledger {
            let piece = Packed::read(bytes).map_err(|source| StateError::Ledger { hour: *hour, source })?;
            match buckets.entry(*hour) {
                Entry::Vacant(place) => {
                    place.insert(piece);
                }
                Entry::Occupied(mut whole) => whole.get_mut().join(piece),
            }
        }
        Ok(buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::RowId;
    use crate::domain::ledger::{ColumnSets, Entry, Parts, Prints};

    fn at(text: &str) -> Instant {
        read_instant(text).unwrap()
    }

    fn bucket(n_entries: i64) -> Bucket {
        let prints = Prints::from_hashes([Some(u64::MAX); 5]);
        let entry = Entry { prints, unknown: Parts::NONE, revision: 70_000, withdrawn: false, second: Some(3599) };
        let entries = (0..n_entries).map(|n| (RowId(n * 1_000_003), entry)).collect();
        Bucket { entries, ..Bucket::new(ColumnSets::of_hashes([7; 5])) }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in [
            "a/acme/calls/coverage",
            "a/acme.90211/calls/ledger/2026-03-02T10",
            "a/acme/calls/ledger/2026-03-02T10/3",
            "a/acme/calls/paused",
        ] {
            assert_eq!(StateKey::parse(text).map(|key| key.to_string()).as_deref(), Some(text));
        }
        for text in
            ["owner/callfeed", "a/acme", "a/acme/calls", "a/acme/calls/other", "a/acme/calls/ledger/2026-03-02T24"]
        {
            assert_eq!(StateKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn coverage_is_read_as_it_is_written() {
        let mut coverage = Coverage::starting_at(at("2026-02-01T00:00:00Z"));
        coverage.add(Interval::new(at("2026-03-01T00:00:00Z"), at("2026-03-02T07:15:04Z")).unwrap());
        let mut clocks = Clocks::default();
        clocks.0.insert(Duration::from_secs(15 * 60), at("2026-03-02T07:15:04Z"));
        clocks.0.insert(Duration::from_secs(30 * 86_400), at("2026-03-01T00:00:00Z"));
        let view = |zone: &str| View { zone: zone.to_owned(), filters: "89abcdef01234567".to_owned() };
        let read_as = ReadAs::restore(vec![view("Europe/Moscow"), view("Asia/Omsk")]);
        let record = CoverageRecord { sequence: 12, coverage, floor: at("2026-01-31T00:00:00Z"), clocks, read_as };
        assert_eq!(CoverageRecord::from_json(&record.to_json()).unwrap(), record);
    }

    #[test]
    fn a_coverage_of_before_views_were_kept_is_read() {
        let json = br#"{"version":1,"sequence":1,"origin":"2026-03-01T00:00:00Z","floor":"2026-03-01T00:00:00Z",
            "intervals":[],"tiers":{}}"#;
        assert_eq!(CoverageRecord::from_json(json).unwrap().read_as, ReadAs::default());
    }

    #[test]
    fn a_pause_is_read_as_it_is_written() {
        let record = PausedRecord { since: at("2026-03-02T07:15:04Z") };
        assert_eq!(PausedRecord::from_json(&record.to_json()).unwrap(), record);
    }

    #[test]
    fn a_coverage_of_a_newer_version_is_refused() {
        let json = br#"{"version":2,"sequence":1,"origin":"","floor":"","intervals":[],"tiers":{}}"#;
        assert!(matches!(CoverageRecord::from_json(json), Err(StateError::Version(2))));
    }

    #[test]
    fn a_large_bucket_is_stored_in_pieces_and_read_whole() {
        let whole = bucket(60_000);
        let pieces = pieces(&whole);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.as_bytes().len() <= LARGEST_PIECE));
        let hour = LocalHour::from_number(492_000);
        let ledger = pieces.iter().map(|piece| (hour, piece.as_bytes().to_vec())).collect();
        let stored = Stored { ledger, ..Stored::default() };
        assert_eq!(stored.buckets().unwrap().remove(&hour), Some(whole));
    }
}
