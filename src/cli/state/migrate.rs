//! `callfeed state migrate`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{Failure, Wait, load, seated};
use crate::cli::{ConfigFile, DONE, bad_usage, written};
use crate::config::{Config, topic};
use crate::state_admin::StateAdmin;
use crate::state_admin::migrate::{self, Migrated};

/// Move the state of all accounts to a new topic with another number of partitions
///
/// The new topic is created where `kafka.create_topics` allows it. The copy is verified, and the old topic stays
/// as it is, but for a mark: no callfeed starts with it any more. When it is interrupted, run it again: a topic
/// that holds a part of the state is refused. Set the new keys only when they are printed.
#[derive(clap::Args)]
#[command(
    after_help = "Example: callfeed state migrate --to callfeed.state-24 --partitions 24 --config callfeed.yaml\n\
     Exits with 1 while a replica runs"
)]
pub struct Arguments {
    /// The new state topic
    #[arg(long, value_name = "TOPIC")]
    to: String,

    /// Its number of partitions; default: `kafka.state_partitions`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    partitions: Option<i32>,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    config: ConfigFile,
}

pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    if let Err(problem) = topic::check_topic_name(&arguments.to) {
        return Ok(bad_usage(&format!("`--to {}`: {problem}", arguments.to)));
    }
    let config = load(&arguments.config)?;
    let partitions = arguments.partitions.unwrap_or(config.kafka.state_partitions);
    let admin = StateAdmin::open(&config).await?;
    let told = |copied, of| anstream::eprintln!("copying: {copied} of {of} records");
    let work = async |seat: &_| migrate::carry_out(&admin, seat, &arguments.to, partitions, told).await;
    let migrated = seated(&admin, &arguments.wait, work).await?;
    Ok(written(tell(&config, &arguments.to, migrated, &mut anstream::stdout()), DONE))
}

fn tell(config: &Config, to: &str, migrated: Migrated, out: &mut impl Write) -> io::Result<()> {
    let Migrated { keys, written, partitions } = migrated;
    let from = &config.kafka.state_topic;
    match written {
        0 => writeln!(out, "`{to}` holds the same as `{from}`: {keys} records, nothing was left to copy")?,
        _ => writeln!(out, "`{to}` holds the same as `{from}` now: {keys} records, {written} of them copied")?,
    }
    writeln!(out, "set these keys for all replicas, then start them:")?;
    writeln!(out, "  kafka:\n    state_topic: {to}\n    state_partitions: {partitions}")?;
    writeln!(out, "`{from}` is marked, so that no callfeed starts with it; delete it when the replicas run with `{to}`")
}
