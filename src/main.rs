use std::process::ExitCode;

use callfeed::cli::{self, Arguments};
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Arguments::parse()).await
}
