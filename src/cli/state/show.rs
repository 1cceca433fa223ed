//! `callfeed state show NAME`: all that is stored of one account, in words.

use std::io::{self, Write};
use std::process::ExitCode;

use super::list::{ago, size};
use super::{Failure, load};
use crate::cli::{ConfigFile, DONE, Format, written};
use crate::clock::Clock;
use crate::domain::time::{Instant, Interval};
use crate::outlook::short;
use crate::state::CoverageRecord;
use crate::state_admin::figures::{AccountState, LedgerFigures};
use crate::state_admin::{Known, StateAdmin};

/// Gaps that are told one by one.
const GAPS_SHOWN: usize = 20;

/// Show all that is stored of one account
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed state show acme --config callfeed.yaml\n\
     Safe while replicas run: it reads the state topic and changes nothing")]
pub struct Arguments {
    /// The account; NAME.ID for a customer of an agency
    name: String,

    #[command(flatten)]
    config: ConfigFile,

    /// Words, or a line of JSON for each stream
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let config = load(&arguments.config)?;
    let admin = StateAdmin::open(&config).await?;
    let streams = admin.account(&arguments.name).await?;
    let mut out = anstream::stdout();
    let now = Clock::running().now();
    let told = match arguments.format {
        Format::Table => streams.iter().try_for_each(|state| write(state, admin.place().partitions, now, &mut out)),
        Format::Json => super::json::write(&streams, now, &mut out),
    };
    Ok(written(told, DONE))
}

fn write(state: &AccountState, partitions: i32, now: Instant, out: &mut impl Write) -> io::Result<()> {
    let known = match state.known {
        Known::Yes => "known to the configuration",
        Known::Disabled => "disabled in the configuration",
        Known::No => "NOT known to the configuration",
    };
    let AccountState { account, stream, partition, .. } = state;
    writeln!(out, "{account}, {stream}: {known}, {} in partition {partition} of {partitions}", size(state.bytes))?;
    match &state.content {
        Err(error) => writeln!(out, "  cannot be read: {error}"),
        Ok(progress) => {
            if let Some(paused) = progress.paused {
                writeln!(out, "  paused since {}, {}", paused.since, ago(now, paused.since))?;
            }
            match &progress.coverage {
                Some(record) => coverage(record, now, out)?,
                None => writeln!(out, "  how far it was read is not stored: it will be read from its start")?,
            }
            ledger(&progress.ledger, out)
        }
    }
}

fn coverage(record: &CoverageRecord, now: Instant, out: &mut impl Write) -> io::Result<()> {
    let coverage = &record.coverage;
    let (origin, frontier) = (coverage.origin(), coverage.frontier());
    writeln!(out, "  read from {origin} till {frontier}, which is {}", ago(now, frontier))?;
    let gaps = coverage.gaps(frontier);
    if gaps.is_empty() {
        writeln!(out, "  gaps: none")?;
    }
    for Interval { from, till } in gaps.iter().take(GAPS_SHOWN) {
        writeln!(out, "  gap: from {from} till {till}, {}", short(till.since(*from)))?;
    }
    if gaps.len() > GAPS_SHOWN {
        writeln!(out, "  and {} gaps more: see `--format json`", gaps.len() - GAPS_SHOWN)?;
    }
    for (age, at) in &record.clocks.0 {
        writeln!(out, "  calls up to {} old: read last at {at}, {}", short(*age), ago(now, *at))?;
    }
    if let Some(view) = record.read_as.views().last() {
        let change = if record.read_as.is_through() { "" } else { "; not all of them yet since that changed" };
        writeln!(out, "  calls are read in time zone {}, filters {}{change}", view.zone, view.filters)?;
    }
    let floor = record.floor;
    match floor > origin {
        true => writeln!(out, "  which calls were published is known from {floor} on; what is older was forgotten")?,
        false => writeln!(out, "  which calls were published is known from the start on")?,
    }
    writeln!(out, "  steps so far: {}", record.sequence)
}

fn ledger(ledger: &LedgerFigures, out: &mut impl Write) -> io::Result<()> {
    let LedgerFigures { calls, withdrawn, hours, highest_revision, set_aside, .. } = ledger;
    let span = match (ledger.first_hour, ledger.last_hour) {
        (Some(first), Some(last)) => format!(" from {first} to {last} local time"),
        _ => String::new(),
    };
    writeln!(out, "  ledger: {calls} calls in {hours} hours{span}, {}", size(ledger.bytes))?;
    writeln!(out, "  of them withdrawn: {withdrawn}; highest revision: {highest_revision}; rows set aside: {set_aside}")
}
