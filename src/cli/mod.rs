//! The command line: one file a subcommand.

pub mod config_schema;
mod demo;
mod run;
mod signals;
mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config};

/// Exit codes (design 6).
pub const DONE: u8 = 0;
pub const FAILED: u8 = 1;
pub const BAD_USAGE: u8 = 2;

/// Streams call-tracking accounts (CoMagic, UIS, CallGear, Novofon) into Kafka as Avro events, exactly once.
#[derive(Parser)]
#[command(name = "callfeed", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Try it without anything else: callfeed demo\nExit codes: 0 done, 1 a check or the work failed, 2 bad usage or configuration"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Run(run::Arguments),
    Simulate(simulate::SimulateArgs),
}

/// The configuration file, for every command that needs one.
#[derive(clap::Args)]
pub struct ConfigFile {
    /// The configuration file (YAML)
    #[arg(long = "config", short = 'c', value_name = "FILE", env = "CALLFEED_CONFIG")]
    path: PathBuf,
}

impl ConfigFile {
    /// The checked configuration; when there is none, all problems have been printed.
    pub fn load(&self) -> Result<Config, ExitCode> {
        config::load(&self.path, &config::process_env).map_err(|problems| {
            eprintln!("{problems}");
            ExitCode::from(BAD_USAGE)
        })
    }
}

/// Runs the command. Usage errors have been printed by then.
pub async fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Run(arguments) => run::run(arguments).await,
        Command::Simulate(arguments) => simulate::run(arguments).await,
    }
}
