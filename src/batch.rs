//! From one page to what must be published: decode, filter, diff, encode.
//!
//! Pure but for the log: the ledger is looked at through a draft, and nothing is remembered here. A row that cannot be
//! decoded, encoded or sent becomes a dead letter, once, and the page goes on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use crate::domain::call::RowId;
use crate::domain::complete::PageSeen;
use crate::domain::filter::{Filters, LeftOut};
use crate::domain::ledger::{Bucket, Change, Draft, EventType, Gone, Ledger, Outcome, Prints, RollCall, Sighting};
use crate::domain::paging::PageFacts;
use crate::domain::time::{LocalHour, LocalInterval, LocalTime};
use crate::edge::avro::Encoder;
use crate::edge::data_api::{Page, Row};
use crate::edge::kafka::Record;
use crate::stream::calls::{self, Call, CallEvent, Counted, EventSource, PartDigests};
use crate::stream::record::{canonical_json, hash};

/// Why a row was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Decode,
    Encode,
    TooLarge,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Encode => "encode",
            Self::TooLarge => "too_large",
        }
    }
}

/// A topic and the largest record it takes. The limit may shrink while running, when a broker says so.
#[derive(Debug)]
pub struct Target {
    pub topic: Arc<str>,
    pub largest_record: AtomicUsize,
}

impl Target {
    pub fn new(topic: &str, largest_record: usize) -> Self {
        Self { topic: topic.into(), largest_record: AtomicUsize::new(largest_record) }
    }

    fn takes(&self, record: &Record) -> bool {
        record.size() <= self.largest_record.load(Ordering::Relaxed)
    }

    /// Why a record is not taken.
    fn refusal(&self, record: &Record) -> String {
        let limit = self.largest_record.load(Ordering::Relaxed);
        format!("the event takes {} bytes, topic `{}` takes {limit} (max.message.bytes)", record.size(), self.topic)
    }
}

/// What turns rows of one account into records.
pub struct Composer {
    pub source: EventSource,
    pub filters: Filters,
    pub counted: Counted,
    pub encoder: Arc<Encoder>,
    pub events: Target,
    pub dead_letters: Target,
}

/// When and for which window a page was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Rows that start outside it were only asked for because bounds are not documented; they are ignored.
    pub window: LocalInterval,
    /// A row that starts earlier and is not in the ledger was published and forgotten, as far as anybody can tell.
    pub new_from: LocalTime,
    pub observed_at_millis: i64,
    pub now: LocalTime,
    /// The zone that the account was in when some rows of the horizon were read last.
    pub former_zone: Option<TimeZone>,
}

/// What a page came to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events and dead letters, in the order of the rows.
    pub records: Vec<Record>,
    pub buckets: Vec<(LocalHour, Bucket)>,
    pub facts: PageFacts,
    /// What stood on the page, as far as that proves which rows are gone.
    pub seen: PageSeen,
    pub counts: Counts,
    /// Starts of the calls that there are events of.
    pub news: Vec<LocalTime>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub published: BTreeMap<EventType, u64>,
    pub left_out: BTreeMap<LeftOut, u64>,
    pub dead_letters: BTreeMap<Stage, u64>,
}

impl Composer {
    /// Works through one page.
    pub fn compose(&self, page: &Page, reading: &Reading, ledger: &Ledger) -> Batch {
        let mut work = Work::begin(self, reading, ledger, Batch::default());
        for Row { raw, decoded } in page.rows::<Call<'_>>() {
            work.batch.counts.rows += 1;
            match decoded {
                Ok(call) => work.take(&call, raw),
                Err(reason) => work.take_unreadable(&reason.to_string(), raw),
            }
        }
        work.batch.facts.n_rows = u32::try_from(work.batch.counts.rows).unwrap_or(u32::MAX);
        work.batch.facts.total_items = page.total_items();
        work.batch.seen.total_items = page.total_items();
        work.finish()
    }

    /// Adds the withdrawals of rows that are gone to the batch of their window's last page.
    pub fn withdraw_missing(&self, roll_call: RollCall, reading: &Reading, ledger: &Ledger, batch: Batch) -> Batch {
        let mut work = Work::begin(self, reading, ledger, batch);
        for gone in work.draft.gone(&roll_call.missing()) {
            work.withdraw(&gone);
        }
        work.finish()
    }

    /// Notes that a broker refused a record of this size, whatever the topic's configuration said before.
    pub fn refuse_size(&self, topic: &str, size: usize) {
        for target in [&self.events, &self.dead_letters] {
            if &*target.topic == topic {
                target.largest_record.fetch_min(size.saturating_sub(1), Ordering::Relaxed);
            }
        }
    }
}

/// A page in hand.
struct Work<'c, 'l> {
    composer: &'c Composer,
    reading: &'c Reading,
    draft: Draft<'l>,
    batch: Batch,
    digests: PartDigests,
    /// The event in hand, as bytes.
    encoded: Vec<u8>,
}

impl<'c, 'l> Work<'c, 'l> {
    fn begin(composer: &'c Composer, reading: &'c Reading, ledger: &'l Ledger, mut batch: Batch) -> Self {
        let draft = ledger.draft(composer.counted.sets()).after(std::mem::take(&mut batch.buckets));
        Self { composer, reading, draft, batch, digests: PartDigests::default(), encoded: Vec::new() }
    }

    fn take(&mut self, call: &Call<'_>, raw: &str) {
        let start = call.start_time.local;
        self.batch.facts.starts.push(start);
        self.batch.facts.ids.push(call.row_id());
        self.batch.seen.rows.push((call.row_id(), start));
        if !self.reading.window.contains(start) {
            return;
        }
        let row = self.sighting(call);
        let verdict = self.composer.filters.judge(&call.traits());
        match self.draft.compare(&row, verdict) {
            Outcome::Publish(change) if change.event == EventType::Created && start < self.reading.new_from => {}
            Outcome::Publish(change) => self.publish(call, &row, change, raw),
            Outcome::Unchanged => {}
            Outcome::LeftOut(why) => *self.batch.counts.left_out.entry(why).or_default() += 1,
        }
    }

    fn sighting(&mut self, call: &Call<'_>) -> Sighting {
        let zone = &self.composer.source.zone;
        let start = call.start_time.local;
        let former_start = self.reading.former_zone.as_ref().map(|former| start.to_instant(zone).to_local(former));
        let prints = call.prints(&self.composer.counted, zone, &mut self.digests);
        Sighting { id: call.row_id(), start, former_start, prints }
    }

    fn publish(&mut self, call: &Call<'_>, row: &Sighting, change: Change, raw: &str) {
        let content = self.content(call, row);
        let record = match self.event(call, change, &content) {
            Ok(record) => record,
            Err(reason) => return self.set_aside(Stage::Encode, &reason, raw, Some(call.row_id())),
        };
        if !self.composer.events.takes(&record) {
            let reason = self.composer.events.refusal(&record);
            return self.set_aside(Stage::TooLarge, &reason, raw, Some(call.row_id()));
        }
        self.draft.note(row, change);
        self.add_event(record, change, row.start);
    }

    fn add_event(&mut self, record: Record, change: Change, start: LocalTime) {
        self.batch.records.push(record);
        self.batch.news.push(start);
        *self.batch.counts.published.entry(change.event).or_default() += 1;
    }

    /// What the event holds, columns that are ignored included: another content is another event.
    fn content(&mut self, call: &Call<'_>, row: &Sighting) -> Prints {
        if self.composer.counted.is_all() {
            return row.prints;
        }
        call.prints(&Counted::all(), &self.composer.source.zone, &mut self.digests)
    }

    /// The event of a row that is gone has its id and its start; nothing else is known of it any more.
    fn withdraw(&mut self, gone: &Gone) {
        let row = Call::bare_row(gone.id, gone.start);
        let event = serde_json::from_str::<Call<'_>>(&row).map_err(|error| error.to_string());
        let event = event.and_then(|call| self.event(&call, gone.change, &Prints::default()));
        match event {
            Ok(record) => {
                self.draft.note_gone(gone);
                self.add_event(record, gone.change, gone.start);
            }
            Err(reason) => {
                tracing::warn!(account = %self.composer.source.account, call_id = gone.id.0, reason, "a call that is gone cannot be withdrawn");
            }
        }
    }

    /// Takes a row that does not decode. Where its id and its start can be read, it is known which row is there.
    fn take_unreadable(&mut self, reason: &str, raw: &str) {
        self.batch.facts.unreadable.push(content_hash(raw));
        let row: Option<serde_json::Value> = serde_json::from_str(raw).ok();
        match row.as_ref().and_then(|row| Some((readable_id(row)?, readable_start(row)?))) {
            Some(seen) => self.batch.seen.rows.push(seen),
            None => self.batch.seen.has_nameless = true,
        }
        self.set_aside(Stage::Decode, reason, raw, row.as_ref().and_then(readable_id));
    }

    fn event(&mut self, call: &Call<'_>, change: Change, content: &Prints) -> Result<Record, String> {
        let source = &self.composer.source;
        let event_id = calls::event_id(&source.account, call.row_id(), change, content);
        let event = CallEvent { source, call, change, event_id, observed_at_millis: self.reading.observed_at_millis };
        self.composer.encoder.encode(&event, &mut self.encoded).map_err(|error| error.to_string())?;
        Ok(Record {
            topic: self.composer.events.topic.clone(),
            partition: None,
            key: Some(record_key(source, call.row_id())),
            value: Some(self.encoded.as_slice().to_vec()),
            headers: calls::headers(&event),
            timestamp_ms: Some(self.reading.observed_at_millis),
        })
    }

    /// Sends a row to the dead letters, unless it was sent there before with the same content.
    fn set_aside(&mut self, stage: Stage, reason: &str, raw: &str, id: Option<RowId>) {
        if !self.draft.set_aside(content_hash(raw), self.reading.now) {
            return;
        }
        let mut record = Record {
            topic: self.composer.dead_letters.topic.clone(),
            partition: None,
            key: id.map(|id| record_key(&self.composer.source, id)),
            value: Some(raw.as_bytes().to_vec()),
            headers: self.dead_letter_headers(stage, reason),
            timestamp_ms: Some(self.reading.observed_at_millis),
        };
        self.cut_to_fit(&mut record);
        tracing::warn!(account = %self.composer.source.account, stage = stage.as_str(), call_id = id.map(|id| id.0), "row set aside; its dead letter says why");
        self.batch.records.push(record);
        *self.batch.counts.dead_letters.entry(stage).or_default() += 1;
    }

    fn dead_letter_headers(&self, stage: Stage, reason: &str) -> Vec<(Cow<'static, str>, Cow<'static, [u8]>)> {
        let source = &self.composer.source;
        let observed_at = calls::rfc3339(self.reading.observed_at_millis);
        vec![
            ("callfeed-account".into(), source.account.as_str().as_bytes().to_vec().into()),
            ("callfeed-stream".into(), calls::NAME.as_bytes().into()),
            ("callfeed-stage".into(), stage.as_str().as_bytes().into()),
            ("callfeed-reason".into(), reason.as_bytes().to_vec().into()),
            ("callfeed-observed-at".into(), observed_at.into_bytes().into()),
        ]
    }

    /// A row larger than the dead letter topic takes is cut, and says so: its beginning tells more than nothing.
    fn cut_to_fit(&self, record: &mut Record) {
        const HEADER_ROOM: usize = 64;
        let limit = self.composer.dead_letters.largest_record.load(Ordering::Relaxed);
        let excess = (record.size() + HEADER_ROOM).saturating_sub(limit);
        if record.size() <= limit {
            return;
        }
        if let Some(value) = &mut record.value {
            let original = value.len();
            value.truncate(original.saturating_sub(excess));
            record.headers.push(("callfeed-cut-from-bytes".into(), original.to_string().into_bytes().into()));
        }
    }

    fn finish(self) -> Batch {
        Batch { buckets: self.draft.finish(), ..self.batch }
    }
}

/// `<account>:<call id>` (design 7).
fn record_key(source: &EventSource, id: RowId) -> Vec<u8> {
    format!("{}:{id}", source.account).into_bytes()
}

/// The hash of a row's content, whatever the order of its keys.
pub fn content_hash(raw: &str) -> u64 {
    match serde_json::from_str::<&RawValue>(raw) {
        Ok(json) => hash(canonical_json(json).as_bytes()),
        Err(_) => hash(raw.as_bytes()),
    }
}

/// The id of a row that does not decode as a whole.
fn readable_id(row: &serde_json::Value) -> Option<RowId> {
    let id = row.get("id")?;
    id.as_i64().or_else(|| id.as_str()?.trim().parse().ok()).map(RowId)
}

fn readable_start(row: &serde_json::Value) -> Option<LocalTime> {
    LocalTime::parse(row.get(calls::SORT_BY)?.as_str()?)
}
