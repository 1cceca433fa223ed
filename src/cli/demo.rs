//! `callfeed demo`: everything in one process, for a first look.

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{BAD_USAGE, DONE, FAILED, signals};
use crate::demo::{self, DemoError, Settings};

/// See callfeed at work at once: simulated accounts, Kafka and a registry in one process
///
/// Nothing has to be set up and nothing leaves the machine. The first read of a week of calls shows as a progress bar
/// on a terminal; after it come new calls and what changes in them. Other consumers may connect meanwhile: the addresses
/// come first. Ctrl-C ends it with a summary.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  callfeed demo
  callfeed demo --events 100             end after a hundred events
  callfeed demo --accounts 10 --for 5m   more accounts, for five minutes
  RUST_LOG=info callfeed demo            with the log of the service")]
pub struct Arguments {
    /// How many accounts; the third is an agency with two customers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=200))]
    accounts: u16,

    /// New calls in each account
    #[arg(long, value_name = "N", default_value_t = 900, value_parser = clap::value_parser!(u32).range(0..=36_000))]
    calls_per_hour: u32,

    /// End after so many events, those of the first read counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,

    /// End after this long, for example 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let settings = Settings {
        accounts: usize::from(arguments.accounts),
        calls_per_hour: f64::from(arguments.calls_per_hour),
        events: arguments.events,
        lasts: arguments.lasts,
        // The lines of events are what one looks at; the log is there for who asks for it.
        log_level: std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()),
    };
    match demo::run(&settings, stop).await {
        Ok(()) => ExitCode::from(DONE),
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(if matches!(error, DemoError::Config(_)) { BAD_USAGE } else { FAILED })
        }
    }
}

async fn stop_on_signal(stop: CancellationToken) {
    if let Err(error) = signals::stop_signal().await {
        anstream::eprintln!("error: signals cannot be received: {error}");
    }
    stop.cancel();
}
