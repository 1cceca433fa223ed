//! `callfeed state`: the progress of accounts, as the state topic holds it.

mod change;
mod json;
mod list;
mod migrate;
mod show;

use std::process::ExitCode;
use std::time::Duration;

use super::{BAD_USAGE, ConfigFile, FAILED};
use crate::config::Config;
use crate::state_admin::seat::Seat;
use crate::state_admin::{AdminError, StateAdmin};

/// Show the progress of accounts, have it read again, forget it, or move it to another topic
///
/// Progress is what was read of each account, and what was published of its calls. `list` and `show` read the state topic
/// and change nothing. `rewind`, `forget` and `migrate` refuse while a replica runs.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    Rewind(change::RewindArguments),
    Forget(change::ForgetArguments),
    Migrate(migrate::Arguments),
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::List(arguments) => list::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Rewind(arguments) => change::rewind(arguments).await,
        Command::Forget(arguments) => change::forget(arguments).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
    };
    outcome.unwrap_or_else(|failure| match failure {
        Failure::Told(exit) => exit,
        Failure::Admin(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(if error.is_bad_usage() { BAD_USAGE } else { FAILED })
        }
    })
}

/// Why a command did not do its work.
enum Failure {
    /// It has been printed.
    Told(ExitCode),
    Admin(AdminError),
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

fn load(file: &ConfigFile) -> Result<Config, Failure> {
    file.load().map_err(Failure::Told)
}

/// How long to wait for replicas to be gone.
#[derive(clap::Args)]
struct Wait {
    /// Wait so long for replicas to be gone; one that was stopped or died counts until its session is over
    #[arg(long = "wait", value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    patience: Duration,
}

/// Does the work under a seat, and gives that back whatever comes of it.
async fn seated<T>(
    admin: &StateAdmin<'_>,
    wait: &Wait,
    work: impl AsyncFnOnce(&Seat) -> Result<T, AdminError>,
) -> Result<T, Failure> {
    let waiting = |patience| {
        let patience = humantime::format_duration(patience);
        anstream::eprintln!("replicas are there, waiting up to {patience} for them to be gone");
    };
    let seat = Seat::take(admin, wait.patience, waiting).await?;
    let outcome = work(&seat).await;
    seat.leave().await;
    Ok(outcome?)
}
