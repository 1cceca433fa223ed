//! `callfeed state list`: a line for each account that has state.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::{Failure, load};
use crate::cli::{ConfigFile, DONE, Format, written};
use crate::clock::Clock;
use crate::domain::coverage::Coverage;
use crate::domain::time::Instant;
use crate::outlook::short;
use crate::state::CoverageRecord;
use crate::state_admin::figures::{AccountState, Progress};
use crate::state_admin::{Known, StateAdmin};

/// List the accounts that have state: what was read, what is missing in between, and how much is remembered
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed state list --config callfeed.yaml\n\
     Safe while replicas run: it reads the state topic and changes nothing")]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// A table, or a line of JSON for each account and stream
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let config = load(&arguments.config)?;
    let admin = StateAdmin::open(&config).await?;
    let accounts = admin.accounts().await?;
    let mut out = anstream::stdout();
    let now = Clock::running().now();
    let told = match arguments.format {
        Format::Table => write(&accounts, now, &mut out),
        Format::Json => super::json::write(&accounts, now, &mut out),
    };
    Ok(written(told, DONE))
}

fn write(accounts: &[AccountState], now: Instant, out: &mut impl Write) -> io::Result<()> {
    if accounts.is_empty() {
        return writeln!(out, "no account has state yet");
    }
    for line in table(accounts, now).lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    if accounts.iter().any(|state| state.known == Known::No) {
        writeln!(
            out,
            "\nin config: no: `callfeed state forget NAME` removes what is stored of an account that is gone"
        )?;
    }
    Ok(())
}

fn table(accounts: &[AccountState], now: Instant) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let columns =
        ["account", "stream", "read from", "till", "gaps", "re-read", "calls", "size", "partition", "in config"];
    table.set_header(columns);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for state in accounts {
        table.add_row(row(state, now));
    }
    for index in [6, 7, 8] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(state: &AccountState, now: Instant) -> [String; 10] {
    let [from, till, gaps, re_read, calls] = match &state.content {
        Ok(Progress { coverage: Some(record), ledger, .. }) => [
            record.coverage.origin().to_string(),
            record.coverage.frontier().to_string(),
            gaps(&record.coverage),
            horizon_read(record).map_or_else(|| "-".to_owned(), |(age, at)| format!("{} {}", short(age), ago(now, at))),
            ledger.calls.to_string(),
        ],
        Ok(Progress { coverage: None, ledger, .. }) => {
            ["-".to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned(), ledger.calls.to_string()]
        }
        Err(_) => ["cannot be read", "", "", "", ""].map(str::to_owned),
    };
    let (account, stream) = (state.account.to_string(), state.stream.clone());
    let (partition, known) = (state.partition.to_string(), known(state.known).to_owned());
    [account, stream, from, till, gaps, re_read, calls, size(state.bytes), partition, known]
}

/// What was never read between the start and the frontier.
fn gaps(coverage: &Coverage) -> String {
    let gaps = coverage.gaps(coverage.frontier());
    if gaps.is_empty() {
        return "none".to_owned();
    }
    let missing = gaps.iter().map(|gap| gap.length()).sum::<Duration>();
    format!("{} ({})", gaps.len(), short(missing))
}

/// The oldest tier, and when it was read last.
fn horizon_read(record: &CoverageRecord) -> Option<(Duration, Instant)> {
    record.clocks.0.last_key_value().map(|(age, at)| (*age, *at))
}

pub fn ago(now: Instant, at: Instant) -> String {
    if at > now { "in the time to come".to_owned() } else { format!("{} ago", short(now.since(at))) }
}

pub fn known(known: Known) -> &'static str {
    match known {
        Known::Yes => "yes",
        Known::Disabled => "disabled",
        Known::No => "no",
    }
}

pub fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}
