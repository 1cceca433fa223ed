//! One page of rows: which rows the query means, in which order, and their JSON text.

use std::cmp::Reverse;

use fastrand::Rng;
use jiff::{Timestamp, civil::DateTime};
use serde_json::{Map, Value};

use super::{
    filter::compare,
    query::{Query, SortKey},
    row::{Call, ColumnIndex, call_column},
    scenario::{Bounds, RepeatedTimes, SortBy, Ties, Unsorted, Variants},
    spec::Method,
    variants,
    world::World,
};

/// The rows of an answer as the text of a JSON array, and how many match in all.
pub struct Page {
    pub rows: String,
    pub n_rows: usize,
    pub total_items: usize,
}

/// How the server orders and cuts.
pub struct PageHabits {
    pub bounds: Bounds,
    pub repeated: RepeatedTimes,
    pub ties: Ties,
    pub unsorted: Unsorted,
    pub variants: Variants,
    /// Whether this page is cut short although there are more rows.
    pub short: bool,
    /// Differs from request to request: the order of shuffled ties.
    pub lot: u64,
}

impl PageHabits {
    /// Which of `total` ordered rows belong to the page.
    fn cut(&self, query: &Query, total: usize) -> std::ops::Range<usize> {
        let start = query.offset.min(total);
        let end = (start + query.limit).min(total);
        let n_rows = end - start;
        if self.short && n_rows > 1 {
            return start..start + n_rows.div_ceil(2);
        }
        start..end
    }
}

/// A page of `get.calls_report`.
pub fn of_calls(world: &World, query: &Query, now: Timestamp, habits: &PageHabits) -> Page {
    let writer = world.writer();
    let (from, till) = query.window.unwrap_or((DateTime::MIN, DateTime::MAX));
    let cell = |call: &Call, column: ColumnIndex| {
        let value = writer.value(call, world.body(call), now, column);
        value.unwrap_or(Value::Null)
    };
    let in_window = world.window(from, till, habits.bounds, habits.repeated.bounds);
    let served = in_window
        .filter(|call| call.is_visible(now) || (query.include_ongoing && call.exists(now) && call.is_ongoing(now)));
    let mut calls: Vec<&Call> = served
        .filter(|call| match &query.filter {
            None => true,
            Some(filter) => filter.passes(&|column| cell(call, column)),
        })
        .collect();
    order_calls(&mut calls, query, habits, &cell);
    let range = habits.cut(query, calls.len());
    let columns = (!query.asks_for_every_column()).then_some(query.columns.as_slice());
    let mut rows = String::with_capacity(64 + range.len() * 512);
    rows.push('[');
    for call in &calls[range.clone()] {
        if rows.len() > 1 {
            rows.push(',');
        }
        let start = rows.len();
        match columns {
            None if !world.is_prerendered() => writer.write_whole(&mut rows, call, world.body(call), now),
            columns => writer.write(&mut rows, call, world.body(call), now, columns),
        }
        if habits.variants.touches_rows() {
            variants::rewrite(&mut rows, start, query.method, &world.zone, habits.variants);
        }
    }
    rows.push(']');
    Page { n_rows: range.len(), total_items: calls.len(), rows }
}

/// The calls come in the order of their wall-clock start; anything else is sorted here.
fn order_calls(calls: &mut [&Call], query: &Query, habits: &PageHabits, cell: &dyn Fn(&Call, ColumnIndex) -> Value) {
    let start_time = call_column("start_time");
    match query.sort.as_slice() {
        [] if habits.unsorted == Unsorted::Scattered => {
            // A multiplication by an odd number scatters the ids and never makes two of them equal.
            calls.sort_by_key(|call| (call.id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            return;
        }
        [] => {}
        [SortKey { column, descending }] if *column == start_time => {
            if habits.repeated.sort == SortBy::Moment {
                calls.sort_by_key(|call| call.start);
            }
            if *descending {
                calls.sort_by_key(|call| Reverse(call.start_wall));
            }
        }
        keys => {
            let key = |call: &Call| keys.iter().map(|key| cell(call, key.column)).collect();
            calls.sort_by_cached_key(|call| Ranked { cells: key(call), keys });
            return;
        }
    }
    if habits.ties == Ties::Shuffled {
        let mut lot = Rng::with_seed(habits.lot);
        for tied in calls.chunk_by_mut(|left, right| left.start_wall == right.start_wall) {
            lot.shuffle(tied);
        }
    }
}

/// Cells of a row in the order of the sort keys; empty cells come last.
struct Ranked<'a> {
    cells: Vec<Value>,
    keys: &'a [SortKey],
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let cells = self.cells.iter().zip(&other.cells).zip(self.keys);
        let orders = cells.map(|((left, right), key)| {
            let order = compare(left, right).unwrap_or_else(|| left.is_null().cmp(&right.is_null()));
            if key.descending { order.reverse() } else { order }
        });
        orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

/// A page of a dictionary or of a report whose rows the scenario gives.
pub fn of_table(table: &[Map<String, Value>], world: &World, query: &Query, habits: &PageHabits) -> Page {
    let method = query.method;
    let cell = |row: &Map<String, Value>, column: ColumnIndex| {
        let value = row.get(&method.columns[column].name);
        value.cloned().unwrap_or(Value::Null)
    };
    let mut matching: Vec<&Map<String, Value>> = table
        .iter()
        .filter(|row| is_in_window(row, query, habits.bounds))
        .filter(|row| match &query.filter {
            None => true,
            Some(filter) => filter.passes(&|column| cell(row, column)),
        })
        .collect();
    matching.sort_by_cached_key(|row| Ranked {
        cells: query.sort.iter().map(|key| cell(row, key.column)).collect(),
        keys: &query.sort,
    });
    let range = habits.cut(query, matching.len());
    let mut rows = String::from("[");
    for row in &matching[range.clone()] {
        if rows.len() > 1 {
            rows.push(',');
        }
        let start = rows.len();
        rows.push_str(&Value::Object(asked_columns(row, method, &query.columns)).to_string());
        if habits.variants.touches_rows() {
            variants::rewrite(&mut rows, start, method, &world.zone, habits.variants);
        }
    }
    rows.push(']');
    Page { n_rows: range.len(), total_items: matching.len(), rows }
}

fn asked_columns(row: &Map<String, Value>, method: &Method, columns: &[ColumnIndex]) -> Map<String, Value> {
    let asked = columns.iter().map(|&column| {
        let facts = &method.columns[column];
        let value = match row.get(&facts.name) {
            Some(value) => value.clone(),
            // `empty` is a literal of JSON.
            None => serde_json::from_str(facts.empty()).unwrap_or(Value::Null),
        };
        (facts.name.clone(), value)
    });
    asked.collect()
}

fn is_in_window(row: &Map<String, Value>, query: &Query, bounds: Bounds) -> bool {
    let of_chat = query.chat_ids.as_ref().is_none_or(|ids| {
        let chat = row.get("chat_id").and_then(Value::as_i64);
        chat.is_some_and(|chat| ids.contains(&chat))
    });
    let (Some((from, till)), Some(column)) = (query.window, &query.method.date_column) else {
        return of_chat;
    };
    let time = row.get(column).and_then(Value::as_str);
    let Some(time) = time.and_then(|text| DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()) else {
        return false;
    };
    of_chat && bounds.contain(&time, &from, &till)
}
