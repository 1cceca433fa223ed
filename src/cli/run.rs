//! `callfeed run`: the service, or with `--once` one round of it.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{BAD_USAGE, ConfigFile, DONE, FAILED};
use crate::logging::{self, Origin, events};
use crate::reload::Watch;
use crate::service::{self, Options, Run, ServiceError};

/// Read the accounts and publish their calls until stopped
///
/// SIGTERM and SIGINT finish the batch in hand and exit 0. A changed configuration file is followed, and so is SIGHUP.
#[derive(clap::Args)]
#[command(
    after_help = "Example: callfeed run --config callfeed.yaml\nFrom cron: callfeed run --config callfeed.yaml --once --timeout 10m"
)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Read everything that is due up to now, publish it, and exit
    #[arg(long)]
    once: bool,

    /// With --once: give up after this long and exit 1
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let watch = Watch::start(arguments.config.path());
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let origin = Origin { instance_id: config.kafka.instance_id.as_str().into() };
    let traces = logging::start(&config.log, origin);
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(name: events::SERVICE_STARTED, version, instance_id = config.kafka.instance_id, "callfeed starts");
    let stop = CancellationToken::new();
    let watch = match watch.and_then(|watch| stop_on_signals(stop.clone()).map(|()| watch)) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::error!(name: events::SERVICE_FAILED, %error, "signals cannot be received");
            return ExitCode::from(FAILED);
        }
    };
    // With `--once` nothing is followed, and SIGHUP does no harm: its handler is there from now on.
    let (run, watch) = if arguments.once { (Run::Once, None) } else { (Run::Forever, Some(watch)) };
    let options = Options { run, manage_topics: true, watch, traces };
    let service = service::run(&config, options, stop.clone());
    let outcome = match run {
        Run::Forever => service.await,
        Run::Once => match within(arguments.timeout, service, stop).await {
            Some(outcome) => outcome,
            None => {
                let timeout = humantime::format_duration(arguments.timeout);
                tracing::error!(name: events::SERVICE_FAILED, %timeout, "not all that is due could be read in time; what was published is kept");
                return ExitCode::from(FAILED);
            }
        },
    };
    match outcome {
        Ok(()) => {
            tracing::info!(name: events::SERVICE_STOPPED, "callfeed has stopped");
            ExitCode::from(DONE)
        }
        Err(error) => {
            tracing::error!(name: events::SERVICE_FAILED, %error, "callfeed stops");
            // Only librdkafka knows its properties, so that these are seen later than the rest of the file.
            ExitCode::from(if matches!(error, ServiceError::Property(_)) { BAD_USAGE } else { FAILED })
        }
    }
}

/// The outcome, or none when time ran out and the service was told to stop.
async fn within<T>(timeout: Duration, work: impl Future<Output = T>, stop: CancellationToken) -> Option<T> {
    tokio::pin!(work);
    match tokio::time::timeout(timeout, &mut work).await {
        Ok(outcome) => Some(outcome),
        Err(_) => {
            stop.cancel();
            work.await;
            None
        }
    }
}

/// The first SIGTERM or SIGINT asks for an orderly stop.
fn stop_on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(name: events::SERVICE_STOPPING, signal = name, "stopping");
        stop.cancel();
    });
    Ok(())
}
