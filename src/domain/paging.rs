//! Reading a window page by page without offsets, so that no row is skipped while others appear.
//!
//! Rows come sorted by start time. After a page that is not the last, the next request starts at the last start time
//! seen; the ledger drops what comes twice. It is not documented whether `date_from` and `date_till` are inclusive, so
//! a half-open window `[from, till)` is asked for as `date_from = from - 1 s`, `date_till = till`: either reading of the
//! bounds returns every row of the window, and rows beyond it are ignored.
//!
//! Where the clock was put back, a range of times comes twice, and nobody says in which order: rows may be sorted by the
//! text that they show or by the moment behind it, and a bound within the range may mean either of its moments. So a
//! page that ends in the range has told only what lies before the range, and no page is started within it: it is read
//! as a window of its own, in parts that are small enough to come whole. Whichever moment a bound means, the
//! parts join.
//!
//! ```text
//!                +--- last start time seen moved on ----+
//!                v                                      |
//!  start ---> [Seek: from here to the end] -------------+---> done: the page reached total_items
//!              |  ^            |
//!  no progress |  | every row  | no start time on the page can be read, or they are not in order, or
//!              |  | was seen   v the page leads nowhere from within a repeated range
//!              |  |          [Seek: half of the time], and so on down to one second
//!              v  |
//!             [Ties: this second alone, offset 0, n, 2n, ...]
//! ```

use std::collections::BTreeSet;

use super::call::RowId;
use super::time::{LocalInterval, LocalTime};

/// The largest `offset` the API takes (data-api, 5).
const MAX_OFFSET: u32 = 100_000;

/// How often a second is read again when its rows changed places between its pages.
const MAX_PASSES: u32 = 48;

/// After so many passes without a new row a second counts as read, although fewer rows were seen than announced: then
/// the announced number holds copies. With ties in a new order on every page, one pass misses a row one time in three,
/// sixteen in a row one time in forty million.
const IDLE_PASSES: u32 = 16;

#[derive(Clone, Debug)]
pub struct Paging {
    window: LocalInterval,
    /// The times that the clock shows twice.
    repeated: Vec<LocalInterval>,
    page_size: u32,
    position: Position,
}

#[derive(Clone, Debug)]
enum Position {
    /// Everything before `from` was read; within a repeated range, everything that a request up to `from` brings.
    /// `till` is before the window's end when a page did not tell where it leads.
    Seek { from: LocalTime, till: LocalTime },
    /// The second holds more rows than a page.
    Ties(Ties),
}

#[derive(Clone, Debug)]
struct Ties {
    second: LocalTime,
    offset: u32,
    total: Option<u64>,
    seen: BTreeSet<RowKey>,
    passes: u32,
    /// Whether this pass showed a row that was not seen before.
    brought_news: bool,
    /// Passes in a row that did not.
    idle_passes: u32,
}

/// What tells a row of a crowded second from the others: offsets do not, since ties have no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    Readable(RowId),
    Unreadable(u64),
}

/// What to ask the API for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub date_from: LocalTime,
    pub date_till: LocalTime,
    pub offset: u32,
    pub limit: u32,
}

/// What has to be known of the answer.
#[derive(Clone, Debug, Default)]
pub struct PageFacts {
    /// Rows on the page, unreadable ones included.
    pub n_rows: u32,
    pub total_items: Option<u64>,
    /// Start times of the readable rows, in the order of the page.
    pub starts: Vec<LocalTime>,
    /// Ids of the readable rows.
    pub ids: Vec<RowId>,
    /// Content hashes of the others.
    pub unreadable: Vec<u64>,
}

impl PageFacts {
    /// Rows on the page; one that stands there twice is one row.
    fn n_distinct(&self) -> u32 {
        let rows: BTreeSet<RowKey> = self.keys().collect();
        u32::try_from(rows.len()).unwrap_or(u32::MAX)
    }

    fn keys(&self) -> impl Iterator<Item = RowKey> {
        let readable = self.ids.iter().copied().map(RowKey::Readable);
        readable.chain(self.unreadable.iter().copied().map(RowKey::Unreadable))
    }

    /// A short page proves the end only together with `total_items`: some answers are short before it (data-api, 5).
    /// Without it, only an empty page does.
    fn is_all_there_is(&self) -> bool {
        match self.total_items {
            Some(total) => u64::from(self.n_distinct()) >= total,
            None => self.n_rows == 0,
        }
    }
}

/// What a page has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Every row that starts before this time was read; another page is needed.
    More { read_before: LocalTime },
    /// The whole window was read.
    Done,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PagingError {
    #[error("the page is empty, although {total_items} rows are announced")]
    EmptyPage { total_items: u64 },
    #[error("rows of {second} kept changing places between pages")]
    Unstable { second: LocalTime },
    #[error("more than {MAX_OFFSET} rows from {from} on cannot be told apart by start time")]
    OffsetWall { from: LocalTime },
}

impl Paging {
    /// `repeated` are the times of the window that the clock shows twice ([`LocalInterval::repeated`]).
    pub fn new(window: LocalInterval, repeated: Vec<LocalInterval>, page_size: u32) -> Self {
        let position = Position::Seek { from: window.from, till: window.till };
        Self { window, repeated, page_size, position }
    }

    /// The request for the next page.
    pub fn request(&self) -> PageRequest {
        let (from, till, offset) = match &self.position {
            Position::Seek { from, till } => (*from, *till, 0),
            Position::Ties(ties) => (ties.second, ties.second.plus_seconds(1), ties.offset),
        };
        PageRequest { date_from: from.plus_seconds(-1), date_till: till, offset, limit: self.page_size }
    }

    /// Moves on behind a page. An error leaves the position where it was.
    pub fn advance(&mut self, page: &PageFacts) -> Result<Advance, PagingError> {
        if let (0, Some(total_items @ 1..), 0) = (page.n_rows, page.total_items, self.request().offset) {
            return Err(PagingError::EmptyPage { total_items });
        }
        let position = match &self.position {
            Position::Seek { from, till } => self.seek(*from, *till, page),
            Position::Ties(ties) => match ties.clone().turn_page(page)? {
                Turn::Onwards(next) => Position::Ties(next),
                Turn::Complete => self.behind(ties.second, ties.second.plus_seconds(1)),
            },
        };
        self.position = position;
        Ok(self.reached())
    }

    fn reached(&self) -> Advance {
        let from = match &self.position {
            Position::Seek { from, .. } => *from,
            Position::Ties(ties) => ties.second,
        };
        if from >= self.window.till {
            Advance::Done
        } else {
            Advance::More { read_before: self.order_of(from).max(self.window.from) }
        }
    }

    fn seek(&self, from: LocalTime, till: LocalTime, page: &PageFacts) -> Position {
        let last = self.last_in_order(page);
        if page.is_all_there_is() || last >= Some(till) {
            return self.behind(from, till);
        }
        match last {
            Some(last) if last > from => Position::Seek { from: last, till },
            Some(_) if self.repetition_of(from).is_none() => Position::Ties(Ties::of(from)),
            _ => self.narrowed(from, till),
        }
    }

    /// The page told nothing about what it left out: half of the time is asked for, or a second at last.
    fn narrowed(&self, from: LocalTime, till: LocalTime) -> Position {
        let till = self.repetition_of(from).map_or(till, |twice| till.min(twice.till));
        if till.seconds_since(from) > 1 {
            Position::Seek { from, till: middle(from, till) }
        } else {
            Position::Ties(Ties::of(from))
        }
    }

    /// Everything from `from` to `time` was read.
    fn behind(&self, from: LocalTime, time: LocalTime) -> Position {
        let till = match self.repetition_of(time) {
            // Rows are about as dense as before, so that twice the time may still come whole.
            Some(twice) if twice.from < time => {
                time.plus_seconds(2 * time.seconds_since(from)).min(twice.till).min(self.window.till)
            }
            _ => self.window.till,
        };
        Position::Seek { from: time, till }
    }

    /// The place in the order of the last row of a page: everything of the request before it is on the page. None when
    /// the rows have no order that is known.
    fn last_in_order(&self, page: &PageFacts) -> Option<LocalTime> {
        let is_in_order = page.starts.is_sorted_by_key(|start| self.order_of(*start));
        page.starts.last().filter(|_| is_in_order).map(|last| self.order_of(*last))
    }

    /// What rows are in order of, whether they are sorted by text or by moment: a repeated range counts as one time.
    fn order_of(&self, time: LocalTime) -> LocalTime {
        self.repetition_of(time).map_or(time, |twice| twice.from)
    }

    fn repetition_of(&self, time: LocalTime) -> Option<LocalInterval> {
        self.repeated.iter().copied().find(|twice| twice.contains(time))
    }
}

/// What a page of a crowded second leads to.
enum Turn {
    Onwards(Ties),
    Complete,
}

impl Ties {
    const fn of(second: LocalTime) -> Self {
        Self { second, offset: 0, total: None, seen: BTreeSet::new(), passes: 0, brought_news: false, idle_passes: 0 }
    }

    /// Takes a page of the second. When rows moved between its pages, the second is read again from its start.
    fn turn_page(mut self, page: &PageFacts) -> Result<Turn, PagingError> {
        if self.has_other_rows_than(page) {
            // What was seen may be gone, and must not stand in for a row that was not seen.
            self.seen.clear();
            self.total = page.total_items;
            if self.offset > 0 {
                return self.next_pass().map(Turn::Onwards);
            }
        }
        self.total = page.total_items.or(self.total);
        let before = self.seen.len();
        self.seen.extend(page.keys());
        self.brought_news |= self.seen.len() > before;
        // Not the number of rows: a page that repeats some would lead past others.
        let n_rows = page.n_distinct();
        let reached = u64::from(self.offset) + u64::from(n_rows);
        if n_rows > 0 && self.total.is_none_or(|total| reached < total) {
            self.offset = next_offset(self.second, self.offset, n_rows)?;
            return Ok(Turn::Onwards(self));
        }
        // Without a total only an empty page is the end, and the pass itself has counted the rows.
        let expected = self.total.unwrap_or(reached);
        self.idle_passes = if self.brought_news { 0 } else { self.idle_passes + 1 };
        let is_complete = self.seen.len() as u64 >= expected || self.idle_passes >= IDLE_PASSES;
        if is_complete { Ok(Turn::Complete) } else { self.next_pass().map(Turn::Onwards) }
    }

    fn has_other_rows_than(&self, page: &PageFacts) -> bool {
        matches!((self.total, page.total_items), (Some(before), Some(now)) if before != now)
    }

    fn next_pass(mut self) -> Result<Self, PagingError> {
        self.passes += 1;
        if self.passes >= MAX_PASSES {
            return Err(PagingError::Unstable { second: self.second });
        }
        self.offset = 0;
        self.brought_news = false;
        Ok(self)
    }
}

fn middle(from: LocalTime, till: LocalTime) -> LocalTime {
    from.plus_seconds(till.seconds_since(from) / 2)
}

fn next_offset(from: LocalTime, offset: u32, n_rows: u32) -> Result<u32, PagingError> {
    let next = offset.saturating_add(n_rows);
    if next > MAX_OFFSET { Err(PagingError::OffsetWall { from }) } else { Ok(next) }
}

#[cfg(test)]
mod tests;
