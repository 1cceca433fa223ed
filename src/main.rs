use std::process::ExitCode;

use callfeed::cli::{self, Arguments};
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: threads cannot be started: {error}");
            return ExitCode::from(cli::FAILED);
        }
    };
    let exit = runtime.block_on(cli::run(arguments));
    // All that counts was waited for. A question to a server that does not answer must not hold up the end.
    runtime.shutdown_background();
    exit
}
