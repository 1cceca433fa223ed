//! Reading a window page by page without offsets, so that no row is skipped while others appear.
//!
//! Rows come sorted by start time. After a page that is not the last, the next request starts at the last start time
//! seen; the ledger drops what comes twice. It is not documented whether `date_from` and `date_till` are inclusive, so
//! a half-open window `[from, till)` is asked for as `date_from = from - 1 s`, `date_till = till`: either reading of the
//! bounds returns every row of the window, and rows beyond it are ignored.
//!
//! ```text
//!                +--- last start time seen moved on ----+
//!                v                                      |
//!  start ---> [Seek: window from here, offset 0] -------+---> done: the page reached total_items
//!                |  ^
//!    no progress |  | every id of the second was seen
//!                v  |
//!             [Ties: this second alone, offset 0, n, 2n, ...]
//! ```

use std::collections::BTreeSet;

use super::call::RowId;
use super::time::{LocalInterval, LocalTime};

/// The largest `offset` the API takes (data-api, 5).
const MAX_OFFSET: u32 = 100_000;

/// How often a second is read again when its rows changed places between its pages.
const MAX_PASSES: u32 = 8;

#[derive(Clone, Debug)]
pub struct Paging {
    window: LocalInterval,
    page_size: u32,
    position: Position,
}

#[derive(Clone, Debug)]
enum Position {
    /// Everything before `from` was read. The offset passes pages on which no start time could be read.
    Seek { from: LocalTime, offset: u32 },
    /// The second holds more rows than a page.
    Ties(Ties),
}

#[derive(Clone, Debug)]
struct Ties {
    second: LocalTime,
    offset: u32,
    total: Option<u64>,
    seen: BTreeSet<RowId>,
    seen_before_pass: usize,
    unreadable: u64,
    passes: u32,
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
    #[error("rows came unsorted: {earlier} stands behind {later}, although sorting by start time was asked for")]
    Unsorted { earlier: LocalTime, later: LocalTime },
    #[error("the page is empty, although {total_items} rows are announced")]
    EmptyPage { total_items: u64 },
    #[error("rows of {second} kept changing places between pages")]
    Unstable { second: LocalTime },
    #[error("more than {MAX_OFFSET} rows from {from} on cannot be told apart by start time")]
    OffsetWall { from: LocalTime },
}

impl Paging {
    pub fn new(window: LocalInterval, page_size: u32) -> Self {
        Self { window, page_size, position: Position::Seek { from: window.from, offset: 0 } }
    }

    /// The request for the next page.
    pub fn request(&self) -> PageRequest {
        let (date_from, date_till, offset) = match &self.position {
            Position::Seek { from, offset } => (from.plus_seconds(-1), self.window.till, *offset),
            Position::Ties(ties) => (ties.second.plus_seconds(-1), ties.second.plus_seconds(1), ties.offset),
        };
        PageRequest { date_from, date_till, offset, limit: self.page_size }
    }

    /// Moves on behind a page. An error leaves the position where it was.
    pub fn advance(&mut self, page: &PageFacts) -> Result<Advance, PagingError> {
        check_sorted(&page.starts)?;
        if let (0, Some(total_items @ 1..), 0) = (page.n_rows, page.total_items, self.request().offset) {
            return Err(PagingError::EmptyPage { total_items });
        }
        let (position, advance) = match &self.position {
            Position::Seek { from, offset } => self.seek(*from, *offset, page)?,
            Position::Ties(ties) => match ties.clone().turn_page(page, self.page_size)? {
                Turn::Onwards(next) => (Position::Ties(next), Advance::More { read_before: ties.second }),
                Turn::Complete => self.behind_second(ties.second),
            },
        };
        self.position = position;
        Ok(advance)
    }

    fn seek(&self, from: LocalTime, offset: u32, page: &PageFacts) -> Result<(Position, Advance), PagingError> {
        let last = page.starts.last().copied();
        let moved_on = last.filter(|last| *last > from);
        if self.is_last(offset, page, moved_on.is_some()) {
            return Ok((self.position.clone(), Advance::Done));
        }
        let position = match (last, moved_on) {
            (_, Some(last)) => Position::Seek { from: last, offset: 0 },
            (Some(_), None) => Position::Ties(Ties::of(from)),
            (None, None) => Position::Seek { from, offset: next_offset(from, offset, page.n_rows)? },
        };
        Ok((position, Advance::More { read_before: moved_on.unwrap_or(from) }))
    }

    /// A short page proves the end only together with `total_items`: some answers are short before it (data-api, 5).
    fn is_last(&self, offset: u32, page: &PageFacts, moved_on: bool) -> bool {
        match page.total_items {
            Some(total) => u64::from(offset) + u64::from(page.n_rows) >= total,
            None => page.n_rows == 0 || (page.n_rows < self.page_size && !moved_on),
        }
    }

    fn behind_second(&self, second: LocalTime) -> (Position, Advance) {
        let next = second.plus_seconds(1);
        let advance = if next < self.window.till { Advance::More { read_before: next } } else { Advance::Done };
        (Position::Seek { from: next, offset: 0 }, advance)
    }
}

/// What a page of a crowded second leads to.
enum Turn {
    Onwards(Ties),
    Complete,
}

impl Ties {
    const fn of(second: LocalTime) -> Self {
        Self { second, offset: 0, total: None, seen: BTreeSet::new(), seen_before_pass: 0, unreadable: 0, passes: 0 }
    }

    /// Takes a page of the second. When rows moved between its pages, the second is read again from its start.
    fn turn_page(mut self, page: &PageFacts, page_size: u32) -> Result<Turn, PagingError> {
        if self.offset > 0 && self.total != page.total_items {
            return self.next_pass().map(Turn::Onwards);
        }
        self.total = page.total_items;
        self.seen.extend(&page.ids);
        self.unreadable += u64::from(page.n_rows).saturating_sub(page.ids.len() as u64);
        let reached = u64::from(self.offset) + u64::from(page.n_rows);
        let pass_is_over = match self.total {
            Some(total) => reached >= total || page.n_rows == 0,
            None => page.n_rows < page_size,
        };
        if !pass_is_over {
            self.offset = next_offset(self.second, self.offset, page.n_rows)?;
            return Ok(Turn::Onwards(self));
        }
        if self.found_all() { Ok(Turn::Complete) } else { self.next_pass().map(Turn::Onwards) }
    }

    /// With a count, every row was seen; without one, a whole pass brought nothing new.
    fn found_all(&self) -> bool {
        match self.total {
            Some(total) => self.seen.len() as u64 + self.unreadable >= total,
            None => self.passes > 0 && self.seen.len() == self.seen_before_pass,
        }
    }

    fn next_pass(mut self) -> Result<Self, PagingError> {
        self.passes += 1;
        if self.passes >= MAX_PASSES {
            return Err(PagingError::Unstable { second: self.second });
        }
        self.offset = 0;
        self.seen_before_pass = self.seen.len();
        self.unreadable = 0;
        Ok(self)
    }
}

fn next_offset(from: LocalTime, offset: u32, n_rows: u32) -> Result<u32, PagingError> {
    let next = offset.saturating_add(n_rows);
    if next > MAX_OFFSET { Err(PagingError::OffsetWall { from }) } else { Ok(next) }
}

fn check_sorted(starts: &[LocalTime]) -> Result<(), PagingError> {
    match starts.windows(2).find(|pair| pair[0] > pair[1]) {
        Some(pair) => Err(PagingError::Unsorted { earlier: pair[1], later: pair[0] }),
        None => Ok(()),
    }
}
