//! What re-reading costs when nothing is new: an account of 10 000 calls and one of a million, all within the horizon,
//! are published and then read again and again. `make bench` starts the servers and runs this.
//!
//! A quiet account is to cost by the rows that are read again and not by what the ledger holds: the CPU time per row is
//! the same for both. It prints figures and judges none but one: nothing may be published a second time.

mod account;
mod rows;

#[path = "../common/usage.rs"]
mod usage;

// The harness of the integration tests: processes of the built binary, and what is in Kafka.
#[path = "../../tests/it/support/mod.rs"]
mod support;

use comfy_table::{CellAlignment, Table, presets};

use account::{QuietAccount, Rereading};
use rows::Cost;

const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;

/// So many rows are read again, at the least: enough to tell from what else goes on.
const ROWS: usize = 400_000;

fn main() {
    // `cargo bench --bench quiet -- 100000` takes another number for the million, for a quick look.
    let large = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(LARGE);
    let quiet = [SMALL, large].map(|n_calls| QuietAccount::start(n_calls).read_again(ROWS.div_ceil(n_calls)));
    for rereading in &quiet {
        assert_eq!(rereading.n_events, 0, "{} calls: nothing was new", rereading.n_calls);
        assert_eq!(rereading.n_other_records, 0, "{} calls: the ledger stayed as it was", rereading.n_calls);
    }
    println!("{}", table(&quiet));
    let Cost { decoding, fingerprints } = rows::cost();
    println!(
        "of that, per million rows: {decoding:.1} s to decode them, {fingerprints:.1} s to take their fingerprints"
    );
}

fn table([small, large]: &[Rereading; 2]) -> Table {
    let mut table = Table::new();
    let columns = [small, large].map(|one| format!("{} calls", one.n_calls));
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["", &columns[0], &columns[1], "ratio"]);
    let mut row = |name: &str, decimals: usize, value: fn(&Rereading) -> f64| {
        let number = |one: &Rereading| format!("{:.decimals$}", value(one));
        let ratio = value(large) / value(small);
        let ratio = if ratio.is_finite() { format!("{ratio:.2}") } else { String::new() };
        table.add_row([name.to_owned(), number(small), number(large), ratio]);
    };
    row("rows read again", 0, |one| one.n_rows as f64);
    row("CPU seconds per million rows", 2, |one| one.cpu_seconds * 1e6 / one.n_rows as f64);
    row("events published meanwhile", 0, |one| one.n_events as f64);
    row("coverage records meanwhile", 0, |one| one.n_coverage_records as f64);
    row("other state records meanwhile", 0, |one| one.n_other_records as f64);
    row("resident memory, MiB", 1, |one| one.resident_kib as f64 / 1024.0);
    row("at the most, the first reading included", 1, |one| one.peak_kib as f64 / 1024.0);
    row("ledger, bytes a call", 1, |one| one.ledger_bytes as f64 / one.n_published as f64);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
