//! `callfeed schemas`: the Avro schemas of the events, and what the registry says about them.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{ConfigFile, DONE, FAILED, written};
use crate::check::{self, Finding, Verdict};
use crate::config::Config;
use crate::context::subject_of;
use crate::edge::registry::{RegistryError, SchemaRegistry};
use crate::stream::calls;
use crate::wiring;

/// Print the Avro schemas of the events, check them against the registry, or register them
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed schemas print > call_event.avsc\n\
     Before an upgrade: callfeed schemas check --config callfeed.yaml")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the schema of call events (Avro, JSON)
    #[command(after_help = "Example: callfeed schemas print > call_event.avsc")]
    Print,
    /// Ask the registry whether it has, or would take, the schema under each subject; exit 1 when not
    #[command(after_help = "Example: callfeed schemas check --config callfeed.yaml")]
    Check(ConfigFile),
    /// Register the schema under each subject, and print its ids
    #[command(after_help = "Example: callfeed schemas register --config callfeed.yaml\n\
         Needed once for each version when `schema_registry.auto_register` is false")]
    Register(ConfigFile),
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let out = anstream::stdout();
    match arguments.command {
        Command::Print => written(print(out), DONE),
        Command::Check(file) => match file.load() {
            Ok(config) => ask(&config, out, Question::Check).await,
            Err(exit) => exit,
        },
        Command::Register(file) => match file.load() {
            Ok(config) => ask(&config, out, Question::Register).await,
            Err(exit) => exit,
        },
    }
}

fn print(mut out: impl Write) -> io::Result<()> {
    writeln!(out, "{}", calls::SCHEMA.trim_end())
}

#[derive(Clone, Copy)]
enum Question {
    Check,
    Register,
}

async fn ask(config: &Config, mut out: impl Write, question: Question) -> ExitCode {
    let registry = match wiring::registry(config) {
        Ok(registry) => registry,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let mut exit = DONE;
    for topic in wiring::topic_plan(config).events {
        let finding = match question {
            Question::Check => check::subject(&registry, &topic, true).await,
            Question::Register => register(&registry, &topic).await,
        };
        if finding.verdict == Verdict::Bad {
            exit = FAILED;
        }
        if let Err(error) = finding.write(&mut out) {
            return written(Err(error), exit);
        }
    }
    written(tell_of_unknown_subjects(config, &mut out), exit)
}

async fn register(registry: &SchemaRegistry, topic: &str) -> Finding {
    let subject = subject_of(topic);
    let label = format!("schema {subject}");
    match registry.register(&subject, calls::SCHEMA).await {
        Ok(id) => Finding::good(label, format!("registered with id {id}")),
        Err(error) => {
            let remedy = match error {
                RegistryError::Unreachable { .. } => "see that the registry runs, and `schema_registry.url`",
                _ => "see `schema_registry` in the configuration, and `callfeed schemas check`",
            };
            Finding::bad(label, error.to_string(), remedy)
        }
    }
}

/// Where each customer of an agency has its own topic, their names are known to the agency's account alone.
fn tell_of_unknown_subjects(config: &Config, out: &mut impl Write) -> io::Result<()> {
    for account in wiring::accounts_with_unknown_topics(config) {
        let detail = "its customers' subjects are known only when the service is asked: see `callfeed check`";
        Finding::skipped(account.id.as_str(), detail).write(out)?;
    }
    Ok(())
}
