//! `callfeed check`: one line a fact, and what to do about each that is not in order.

use std::io::Write;
use std::process::ExitCode;

use super::choice::choose;
use super::{ConfigFile, DONE, FAILED, bad_usage, written};
use crate::check::{Verdict, everything};

/// Look at everything that `callfeed run` needs, and say what to do about what is not in order
///
/// Looks at Kafka, its topics and what callfeed may do there, the schema registry and each account: address, login, rights, IP list, points, time zone,
/// tags and customers. Creates and changes nothing. An account costs about four points.
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed check --config callfeed.yaml\n\
     One account: callfeed check --config callfeed.yaml --account acme\n\
     Exits with 1 when a fact is not in order")]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Only this account; NAME.ID for one customer of an agency
    #[arg(long, short, value_name = "NAME")]
    account: Option<String>,
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let whole = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut config = whole.clone();
    if let Some(name) = &arguments.account {
        config = match choose(&whole, name) {
            Ok(choice) => choice.alone_in(&whole),
            Err(error) => return bad_usage(&error),
        };
    }
    let mut out = anstream::stdout();
    let mut n_bad = 0;
    let told = everything(&config, &whole, |finding| {
        n_bad += usize::from(finding.verdict == Verdict::Bad);
        finding.write(&mut out)?;
        // Each fact is seen when it is known: the next one may take a while.
        out.flush()
    });
    written(told.await, if n_bad == 0 { DONE } else { FAILED })
}
