//! The command line: one file a subcommand.

mod check;
mod choice;
pub mod config_schema;
mod demo;
mod plan;
mod preview;
mod requests;
mod run;
mod schemas;
mod signals;
mod simulate;
mod state;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
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
    Check(check::Arguments),
    Preview(preview::Arguments),
    Plan(plan::Arguments),
    Schemas(schemas::Arguments),
    State(state::Arguments),
    Simulate(simulate::SimulateArgs),
    /// Print what editors need to help with the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Example: callfeed config schema > callfeed.schema.json\n\
         At the top of the file: # yaml-language-server: $schema=callfeed.schema.json")]
    Schema,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The configuration file, for every command that needs one.
#[derive(clap::Args)]
pub struct ConfigFile {
    /// The configuration file (YAML)
    #[arg(long = "config", short = 'c', value_name = "FILE", env = "CALLFEED_CONFIG")]
    path: PathBuf,
}

impl ConfigFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

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
        Command::Check(arguments) => check::run(arguments).await,
        Command::Preview(arguments) => preview::run(arguments).await,
        Command::Plan(arguments) => plan::run(arguments).await,
        Command::Schemas(arguments) => schemas::run(arguments).await,
        Command::State(arguments) => state::run(arguments).await,
        Command::Simulate(arguments) => simulate::run(arguments).await,
        Command::Config(ConfigCommand::Schema) => written(config_schema::run(&mut anstream::stdout()), DONE),
    }
}

/// The exit code of a command that has written its answer. Whoever read enough of it (`| head`) has no complaint.
fn written(outcome: io::Result<()>, exit: u8) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::from(exit),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit),
        Err(error) => {
            anstream::eprintln!("error: the answer cannot be written: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn bad_usage(error: &impl fmt::Display) -> ExitCode {
    anstream::eprintln!("error: {error}");
    ExitCode::from(BAD_USAGE)
}
