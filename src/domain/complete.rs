//! Whether a window was read whole: the proof that a row which was not seen in it is not there.
//!
//! The server counts the rows of each answer (`total_items`), and its first answer counts the window. So with every
//! page
//!
//! ```text
//! rows seen that start before the page + total_items of the page = total_items of the first page
//! ```
//!
//! and in the end the rows seen are as many as were counted at first. What falls short of this proves nothing: a row
//! may have been left out by accident, or have moved while it was read. That costs little, since the window is read
//! again. Two rows that come and go at once in one reading, so that the counts agree, are taken for none.
//!
//! A page starts a second before the last row of the page before. It is not documented whether that second is counted;
//! one of both has to fit all pages.

use std::collections::BTreeMap;

use super::call::RowId;
use super::paging::PageRequest;
use super::time::{LocalInterval, LocalTime};

/// The rows of a page in their order, with those that cannot be decoded as far as they can be told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSeen {
    pub rows: Vec<(RowId, LocalTime)>,
    /// A row without a readable id and start: it may be any.
    pub has_nameless: bool,
    pub total_items: Option<u64>,
}

/// What the pages of one window prove so far.
#[derive(Clone, Debug)]
pub struct Completeness {
    till: LocalTime,
    /// None before the first page.
    announced: Option<u64>,
    /// Rows seen that start before the last page.
    n_before: u64,
    /// Rows seen from there on.
    rows: BTreeMap<RowId, LocalTime>,
    is_sound: bool,
    /// Whether the counts fit when the second that a page starts with is counted, and when it is not.
    fits: (bool, bool),
}

impl Completeness {
    pub const fn of(window: LocalInterval) -> Self {
        Self {
            till: window.till,
            announced: None,
            n_before: 0,
            rows: BTreeMap::new(),
            is_sound: true,
            fits: (true, true),
        }
    }

    /// Takes the next page in.
    pub fn take(&mut self, request: &PageRequest, page: &PageSeen) {
        self.is_sound = self.is_sound && self.is_sound_page(request, page);
        let Some(total_items) = page.total_items.filter(|_| self.is_sound) else {
            self.is_sound = false;
            self.rows.clear();
            return;
        };
        let n_seen = self.rows.len() as u64 + self.n_before;
        self.rows.retain(|_, start| *start >= request.date_from);
        self.n_before = n_seen - self.rows.len() as u64;
        let at_its_start = self.rows.values().filter(|start| **start == request.date_from).count() as u64;
        let announced = *self.announced.get_or_insert(total_items);
        self.fits.0 &= self.n_before + total_items == announced;
        self.fits.1 &= self.n_before + at_its_start + total_items == announced;
        for (id, start) in &page.rows {
            // A row that is on two pages has one start, or it moved meanwhile.
            self.is_sound &= self.rows.insert(*id, *start).is_none_or(|before| before == *start);
        }
        self.is_sound &= self.fits.0 || self.fits.1;
    }

    /// Whether the pages so far leave it open that the window is read whole.
    pub const fn is_possible(&self) -> bool {
        self.is_sound
    }

    /// Whether every row of the window was seen, after its last page. An answer without any row proves nothing: so
    /// looks a failing server, and every call would be withdrawn.
    pub fn is_proved(&self) -> bool {
        let n_seen = self.n_before + self.rows.len() as u64;
        self.is_sound && n_seen > 0 && self.announced == Some(n_seen)
    }

    /// Full or the last, in order, each row once and within what was asked for. A last page that is full to the brim
    /// does not show that nothing was cut off, whatever its count says.
    fn is_sound_page(&self, request: &PageRequest, page: &PageSeen) -> bool {
        let (n_rows, limit) = (page.rows.len() as u64, u64::from(request.limit));
        let is_full = page.total_items.is_some_and(|total| n_rows == total.min(limit) && total != limit);
        let within = |start: &LocalTime| request.date_from <= *start && *start <= request.date_till;
        let mut ids: Vec<RowId> = page.rows.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        !page.has_nameless
            && is_full
            && request.offset == 0
            && request.date_till == self.till
            && page.rows.iter().all(|(_, start)| within(start))
            && page.rows.is_sorted_by_key(|(_, start)| *start)
            && ids.windows(2).all(|pair| pair[0] != pair[1])
    }
}

#[cfg(test)]
mod tests;
