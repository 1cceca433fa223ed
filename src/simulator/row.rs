//! One call as the report has it at a moment: text per column, and what changed since the row was first written.
//!
//! Rows are kept as JSON text cut at column borders, so that a page is copied together instead of being serialised
//! anew. Four columns differ in every row even when the rest is shared (`id`, the two times, `communication_id`); they
//! are written from the call itself.

use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

use super::{
    calls_scenario::BadRow,
    spec::{self, Kind},
};

/// Columns by their place in the documented table of `get.calls_report`.
pub type ColumnIndex = usize;

/// The text of a row: fragments `"name":value,` one after another.
#[derive(Debug)]
pub struct RowText {
    text: String,
    /// Where each column's fragment ends; a column written from the call itself has an empty one.
    ends: Vec<u32>,
}

impl RowText {
    /// The row of these values; a column without one is empty by the documented rule.
    pub fn of(values: &Map<String, Value>) -> RowText {
        let method = spec::calls_report();
        let mut text = String::with_capacity(4096);
        let mut ends = Vec::with_capacity(method.columns.len());
        for (index, column) in method.columns.iter().enumerate() {
            if !OWN_COLUMNS.contains(&index) {
                push_name(&mut text, &column.name);
                match values.get(&column.name) {
                    None | Some(Value::Null) => text.push_str(column.empty()),
                    Some(value) => text.push_str(&value.to_string()),
                }
                text.push(',');
            }
            // A row is a few kilobytes of text, far below 4 GiB.
            ends.push(text.len() as u32);
        }
        RowText { text, ends }
    }

    fn fragment(&self, column: ColumnIndex) -> &str {
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        &self.text[start as usize..self.ends[column] as usize]
    }
}

/// The columns that are written from the call itself.
static OWN_COLUMNS: LazyLock<[ColumnIndex; 4]> =
    LazyLock::new(|| ["id", "start_time", "finish_time", "communication_id"].map(call_column));

fn push_name(out: &mut String, name: &str) {
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

/// Something that happens to a row after it was written.
#[derive(Debug, Clone)]
pub struct Change {
    pub at: Timestamp,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    PutTag(Value),
    RemoveTag(i64),
    Set(ColumnIndex, Value),
    Vanish,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    pub id: i64,
    pub start: Timestamp,
    /// Wall-clock start, which the window and the order go by.
    pub start_wall: DateTime,
    /// `None`: still going on, without an end in sight.
    pub finish: Option<Timestamp>,
    /// When the report has it.
    pub visible_at: Option<Timestamp>,
    /// Decides what the row holds, when it is made up.
    pub seed: u64,
    pub body: OnceLock<Arc<RowText>>,
    /// Values that stand whatever the call itself says; `None`: the column is missing.
    pub overrides: Vec<(ColumnIndex, Option<Value>)>,
    pub bad: Option<BadRow>,
    /// Sorted by time.
    pub changes: Vec<Change>,
    /// The whole row as it was written last: most are asked for again and again before anything happens to them.
    pub written: Mutex<Option<Written>>,
}

/// A row as text, and what it depends on.
#[derive(Debug)]
pub struct Written {
    as_of: Stage,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    n_happened: usize,
    n_overrides: usize,
    is_ongoing: bool,
    start_wall: DateTime,
}

impl Call {
    pub fn exists(&self, now: Timestamp) -> bool {
        self.start <= now && !self.has_vanished(now)
    }

    fn has_vanished(&self, now: Timestamp) -> bool {
        self.changes.iter().any(|change| change.at <= now && matches!(change.what, What::Vanish))
    }

    /// Whether an ordinary request sees it.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.visible_at.is_some_and(|at| at <= now) && !self.has_vanished(now)
    }

    pub fn is_ongoing(&self, now: Timestamp) -> bool {
        self.start <= now && self.finish.is_none_or(|finish| finish > now)
    }

    /// Its times stay as this zone's clock has shown them.
    pub fn keep_times(&mut self, zone: &TimeZone) {
        let finish = self.finish.map(|finish| local_text(finish, zone).into());
        let times = [("start_time", Some(wall_clock_text(self.start_wall).into())), ("finish_time", finish)];
        for (column, value) in times.into_iter().filter_map(|(name, value)| Some((call_column(name), value?))) {
            if self.overrides.iter().all(|(index, _)| *index != column) {
                self.overrides.push((column, Some(value)));
            }
        }
    }

    /// Its times are shown by this zone's clock from now on.
    pub fn show_times(&mut self, zone: &TimeZone) {
        self.start_wall = zone.to_datetime(self.start);
        let times = ["start_time", "finish_time"].map(call_column);
        self.overrides.retain(|(index, value)| !times.contains(index) || !is_readable_time(value.as_ref()));
    }

    fn stage(&self, now: Timestamp) -> Stage {
        Stage {
            n_happened: self.changes.partition_point(|change| change.at <= now),
            n_overrides: self.overrides.len(),
            is_ongoing: self.is_ongoing(now),
            start_wall: self.start_wall,
        }
    }

    pub fn add_change(&mut self, at: Timestamp, what: What) {
        let place = self.changes.partition_point(|change| change.at <= at);
        self.changes.insert(place, Change { at, what });
    }
}

/// Columns that a call in progress does not have yet.
const AFTER_THE_CALL: [&str; 12] = [
    "finish_time",
    "finish_reason",
    "is_lost",
    "wait_duration",
    "total_wait_duration",
    "talk_duration",
    "clean_talk_duration",
    "total_duration",
    "postprocess_duration",
    "call_records",
    "wav_call_records",
    "full_record_file_link",
];

/// Writes the rows of one account's calls.
pub struct RowWriter<'a> {
    pub zone: &'a TimeZone,
    pub extra_columns: &'a Map<String, Value>,
}

impl RowWriter<'_> {
    /// Appends the whole row as it is now.
    pub fn write_whole(&self, out: &mut String, call: &Call, body: &RowText, now: Timestamp) {
        let stage = call.stage(now);
        let mut written = super::lock(&call.written);
        let text = match written.take() {
            Some(known) if known.as_of == stage => known.text,
            _ => {
                let mut text = String::with_capacity(body.text.len() + 512);
                self.write(&mut text, call, body, now, None);
                text
            }
        };
        out.push_str(&text);
        *written = Some(Written { as_of: stage, text });
    }

    /// Appends the row with the asked columns (all when `None`) as it is now.
    pub fn write(
        &self,
        out: &mut String,
        call: &Call,
        body: &RowText,
        now: Timestamp,
        columns: Option<&[ColumnIndex]>,
    ) {
        let standing = self.standing_values(call, body, now);
        out.push('{');
        let before = out.len();
        match columns {
            None if standing.is_empty() => self.write_everything(out, call, body),
            None => {
                for column in 0..spec::calls_report().columns.len() {
                    self.write_column(out, call, body, &standing, column);
                }
            }
            Some(columns) => {
                for &column in columns {
                    self.write_column(out, call, body, &standing, column);
                }
            }
        }
        for (name, value) in self.extra_columns {
            push_name(out, name);
            out.push_str(&value.to_string());
            out.push(',');
        }
        if out.len() > before {
            out.pop();
        }
        out.push('}');
    }

    /// The value of one column as it is now; `None` when the row lacks it.
    pub fn value(&self, call: &Call, body: &RowText, now: Timestamp, column: ColumnIndex) -> Option<Value> {
        let mut fragment = String::new();
        let standing = self.standing_values(call, body, now);
        self.write_column(&mut fragment, call, body, &standing, column);
        parse_fragment(&fragment)
    }

    fn write_everything(&self, out: &mut String, call: &Call, body: &RowText) {
        for &column in OWN_COLUMNS.iter() {
            self.write_own(out, call, column);
        }
        out.push_str(&body.text);
    }

    fn write_column(
        &self,
        out: &mut String,
        call: &Call,
        body: &RowText,
        standing: &[(ColumnIndex, Option<Value>)],
        column: ColumnIndex,
    ) {
        let name = &spec::calls_report().columns[column].name;
        match standing.iter().find(|(index, _)| *index == column) {
            Some((_, None)) => {}
            Some((_, Some(value))) => {
                push_name(out, name);
                out.push_str(&value.to_string());
                out.push(',');
            }
            None if OWN_COLUMNS.contains(&column) => self.write_own(out, call, column),
            None => out.push_str(body.fragment(column)),
        }
    }

    /// The columns that are the call's own.
    fn write_own(&self, out: &mut String, call: &Call, column: ColumnIndex) {
        use std::fmt::Write as _;
        let name = &spec::calls_report().columns[column].name;
        push_name(out, name);
        // Writing to a `String` cannot fail.
        let _ = match name.as_str() {
            "start_time" => write!(out, "\"{}\",", wall_clock_text(call.start_wall)),
            "finish_time" => match call.finish {
                Some(finish) => write!(out, "\"{}\",", local_text(finish, self.zone)),
                None => write!(out, "null,"),
            },
            _ => write!(out, "{},", call.id),
        };
    }

    /// What differs from the row's text now: changes so far, a call in progress, and what is wrong on purpose.
    fn standing_values(&self, call: &Call, body: &RowText, now: Timestamp) -> Vec<(ColumnIndex, Option<Value>)> {
        let ongoing = call.is_ongoing(now);
        if call.changes.is_empty() && call.overrides.is_empty() && !ongoing {
            return Vec::new();
        }
        let mut standing = Vec::new();
        let happened = call.changes.iter().take_while(|change| change.at <= now);
        let mut tags: Option<Vec<Value>> = None;
        let tags_column = call_column("tags");
        for change in happened {
            match &change.what {
                What::PutTag(tag) => {
                    tags.get_or_insert_with(|| self.first_tags(call, body, tags_column)).push(tag.clone())
                }
                What::RemoveTag(id) => tags
                    .get_or_insert_with(|| self.first_tags(call, body, tags_column))
                    .retain(|tag| tag["tag_id"].as_i64() != Some(*id)),
                What::Set(column, value) => put(&mut standing, *column, Some(value.clone())),
                What::Vanish => {}
            }
        }
        if let Some(tags) = tags {
            put(&mut standing, tags_column, Some(Value::Array(tags)));
        }
        if ongoing {
            for name in AFTER_THE_CALL {
                let column = call_column(name);
                let empty = match spec::calls_report().columns[column].kind {
                    Kind::Array => Value::Array(Vec::new()),
                    _ => Value::Null,
                };
                put(&mut standing, column, Some(empty));
            }
        }
        for (column, value) in &call.overrides {
            if standing.iter().all(|(index, _)| index != column) {
                standing.push((*column, value.clone()));
            }
        }
        standing
    }

    fn first_tags(&self, call: &Call, body: &RowText, column: ColumnIndex) -> Vec<Value> {
        let given = call.overrides.iter().find(|(index, _)| *index == column);
        let value = match given {
            Some((_, value)) => value.clone(),
            None => parse_fragment(body.fragment(column)),
        };
        match value {
            Some(Value::Array(tags)) => tags,
            _ => Vec::new(),
        }
    }
}

/// The place of a column of `get.calls_report` that is known to exist.
pub fn call_column(name: &str) -> ColumnIndex {
    // Callers name documented columns in the program's text; the tests of `spec` hold the table.
    spec::calls_report().column_index(name).expect("a documented column of get.calls_report")
}

/// A time that was spoilt on purpose stays so.
fn is_readable_time(value: Option<&Value>) -> bool {
    let text = value.and_then(Value::as_str);
    text.is_some_and(|text| DateTime::strptime("%Y-%m-%d %H:%M:%S", text).is_ok())
}

fn put(values: &mut Vec<(ColumnIndex, Option<Value>)>, column: ColumnIndex, value: Option<Value>) {
    match values.iter_mut().find(|(index, _)| *index == column) {
        Some(found) => found.1 = value,
        None => values.push((column, value)),
    }
}

/// The value of a fragment `"name":value,`.
fn parse_fragment(fragment: &str) -> Option<Value> {
    let value = fragment.split_once(':')?.1;
    serde_json::from_str(value.strip_suffix(',')?).ok()
}

/// The documented form of a time: `2026-03-02 10:15:04`.
pub fn wall_clock_text(time: DateTime) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

pub fn local_text(time: Timestamp, zone: &TimeZone) -> String {
    wall_clock_text(zone.to_datetime(time))
}
