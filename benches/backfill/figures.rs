//! The table of figures.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::usage::Usage;

/// What sending the events took.
pub struct Figures {
    pub n_events: usize,
    pub took: Duration,
    pub usage: Usage,
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
