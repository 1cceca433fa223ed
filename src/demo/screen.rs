//! What appears while the demo runs: the bar of the first read, then a line per event.
//!
//! On a terminal the bar stands for the lines until the first read is over, which would be thousands; they are written
//! when there is no bar, or when only so many events were asked for.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use console::Term;
use jiff::tz::TimeZone;

use super::events::CallEvent;
use super::first_read::FirstRead;
use super::line::Layout;
use super::summary::Tally;

pub struct Screen {
    first_read: FirstRead,
    layout: Layout,
    tally: Tally,
    /// End after so many events.
    limit: Option<u64>,
    began: Instant,
    bar_stands_for_lines: bool,
    has_heading: bool,
}

impl Screen {
    pub fn new(first_read: FirstRead, limit: Option<u64>) -> Self {
        Self {
            layout: Layout::new(terminal_width(), TimeZone::system(), first_read.accounts()),
            bar_stands_for_lines: is_watched() && limit.is_none(),
            first_read,
            tally: Tally::default(),
            limit,
            began: Instant::now(),
            has_heading: false,
        }
    }

    /// Shows one event; breaks when it was the last one to be shown.
    pub fn show(&mut self, event: &CallEvent) -> ControlFlow<()> {
        self.tally.count(event);
        let was_over = self.first_read.is_over();
        self.first_read.saw(event);
        let mut text = String::new();
        if was_over || !self.bar_stands_for_lines {
            if !std::mem::replace(&mut self.has_heading, true) {
                text = format!("{}\n", self.layout.heading());
            }
            text += &format!("{}\n", self.layout.line(event));
        }
        if self.first_read.is_over() && !was_over {
            self.first_read.clear();
            text += &self.end_of_first_read();
        }
        let written = self.first_read.aside(|| write(&text));
        let is_enough = self.limit.is_some_and(|limit| self.tally.events() >= limit);
        if is_enough || written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Leaves only what was written.
    pub fn clear(&self) {
        self.first_read.clear();
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn end_of_first_read(&self) -> String {
        let (calls, seconds) = (self.first_read.came_to(), self.began.elapsed().as_secs_f64());
        format!(
            "first read: {calls} in {seconds:.1} s\nFrom now on new calls, and what changes in them. Ctrl-C ends.\n\n"
        )
    }
}

/// Writes to standard output, with colours where they are seen.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether somebody looks on who can be shown what does not stay.
pub fn is_watched() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

fn terminal_width() -> Option<usize> {
    let (_, columns) = Term::stdout().size_checked()?;
    io::stdout().is_terminal().then_some(usize::from(columns))
}
