//! `callfeed simulate`: the Data API simulator alone, until it is told to stop.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use thiserror::Error;

use super::signals;
use crate::simulator::{Scenario, ScenarioError, Simulator};

/// Serve made-up call-tracking accounts as the Data API does, to try callfeed or another client without a real account
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  callfeed simulate --listen 127.0.0.1:8099 --scenario scenarios/shop.yaml

The accounts answer at http://127.0.0.1:8099/BRAND/v2.0, all of them at /v2.0.
GET /truth lists every call that exists, GET /requests what was asked.")]
pub struct SimulateArgs {
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8099")]
    pub listen: SocketAddr,

    /// Scenario file (YAML); without it the accounts of `callfeed demo`
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

#[derive(Debug, Error)]
enum SimulateError {
    #[error("cannot read the scenario `{path}`: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("scenario `{path}`: {source}", path = path.display())]
    Scenario { path: PathBuf, source: ScenarioError },
    #[error("cannot serve at {listen}: {source}")]
    Serve { listen: SocketAddr, source: std::io::Error },
}

/// Serves until SIGINT or SIGTERM. A wrong scenario is bad usage, an address that is taken is failed work.
pub async fn run(args: SimulateArgs) -> ExitCode {
    match serve(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            match error {
                SimulateError::Serve { .. } => ExitCode::from(1),
                SimulateError::Read { .. } | SimulateError::Scenario { .. } => ExitCode::from(2),
            }
        }
    }
}

async fn serve(args: &SimulateArgs) -> Result<(), SimulateError> {
    let scenario = match &args.scenario {
        Some(path) => read_scenario(path)?,
        None => Scenario::demo(120.0, 3),
    };
    let listen = args.listen;
    let serve_error = |source| SimulateError::Serve { listen, source };
    let brands: Vec<(String, String)> =
        scenario.accounts.iter().map(|account| (account.name.clone(), account.brand.clone())).collect();
    let simulator = Simulator::start(scenario, listen).await.map_err(serve_error)?;
    for (name, brand) in brands {
        anstream::println!("{name}: {}", simulator.url(&brand));
    }
    anstream::println!("truth: http://{}/truth", simulator.addr());
    // Whoever waits for the lines behind a pipe gets them now; a closed pipe is no reason to stop.
    let _ = std::io::stdout().flush();
    signals::stop_signal().await.map_err(serve_error)
}

fn read_scenario(path: &Path) -> Result<Scenario, SimulateError> {
    let text = fs::read_to_string(path).map_err(|source| SimulateError::Read { path: path.to_owned(), source })?;
    Scenario::from_yaml(&text).map_err(|source| SimulateError::Scenario { path: path.to_owned(), source })
}
