//! What a process has used, and the table of figures.

use std::fs;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

/// Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// What sending the events took.
pub struct Figures {
    pub n_events: usize,
    pub took: Duration,
    pub usage: Usage,
}

#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_seconds: f64,
    /// None where it is not known of the work alone.
    pub peak_kib: Option<u64>,
}

impl Usage {
    /// Of a process as it is now. Memory is no longer told of one that has ended.
    pub fn of(process: &str) -> Usage {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kib = peak.map(|kib| kib.trim().trim_end_matches(" kB").parse().unwrap());
        Usage { cpu_seconds: cpu_ticks(&stat(process)) / TICKS_PER_SECOND, peak_kib }
    }
}

/// Follows a child until it ends. It must not be waited for before: its last figures go away with that.
pub struct Watch {
    process: String,
    usage: Usage,
}

impl Watch {
    pub fn new(process: u32) -> Watch {
        Watch { process: process.to_string(), usage: Usage::default() }
    }

    /// What the process has used in all, once it has ended.
    pub fn ended(&mut self) -> Option<Usage> {
        let now = Usage::of(&self.process);
        self.usage = Usage { cpu_seconds: now.cpu_seconds, peak_kib: now.peak_kib.or(self.usage.peak_kib) };
        let is_zombie = fields(&stat(&self.process)).next() == Some("Z");
        is_zombie.then_some(self.usage)
    }
}

fn stat(process: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/stat")).unwrap()
}

/// The fields from the third on, the state; the second is the program's name and may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').expect("the name is in brackets").1.split_whitespace()
}

/// User and system time.
fn cpu_ticks(stat: &str) -> f64 {
    const USER_TIME: usize = 14 - 3;
    fields(stat).skip(USER_TIME).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum()
}

pub fn table(callfeed: &Figures, reference: &Figures) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["", "callfeed", "plain producer", "ratio"]);
    let mut row = |name: &str, decimals: usize, value: fn(&Figures) -> f64| {
        let (ours, theirs) = (value(callfeed), value(reference));
        let number = |value: f64| format!("{value:.decimals$}");
        table.add_row([name.to_owned(), number(ours), number(theirs), format!("{:.2}", ours / theirs)]);
    };
    row("events per second", 0, |figures| figures.n_events as f64 / figures.took.as_secs_f64());
    row("CPU seconds per million events", 1, |figures| figures.usage.cpu_seconds * 1e6 / figures.n_events as f64);
    let peak = callfeed.usage.peak_kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1}", kib as f64 / 1024.0));
    table.add_row(["peak resident memory, MiB", &peak, "", ""]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
