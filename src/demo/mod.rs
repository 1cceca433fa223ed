//! `callfeed demo`: everything in one process, to see callfeed at work before anything is set up.
//!
//! ```text
//!   simulator --HTTP--> service::run --transactions--> cluster --read_committed--> events --> lines
//!                            \----- registers -----> registry <----- looks up -----/
//! ```
//!
//! The pipeline is the real one, with a configuration like any other; only its surroundings are made up, and all of
//! them listen on this machine alone. Other consumers may connect while it runs. Nothing remains of it.

mod cluster;
mod configuration;
mod events;
mod first_read;
mod greeting;
mod line;
mod registry;
mod screen;
mod summary;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Problems};
use crate::logging::{self, Origin};
use crate::service::{self, Options, Run, ServiceError};
use crate::simulator::{AccountScenario, Scenario, Simulator};
use cluster::Cluster;
use configuration::Places;
use events::{EventError, Events};
use first_read::FirstRead;
use registry::Registry;
use screen::Screen;

/// What can be chosen about a demo.
pub struct Settings {
    pub accounts: usize,
    /// New calls in each account.
    pub calls_per_hour: f64,
    /// End after so many events, of the first read or later.
    pub events: Option<u64>,
    /// End after this long.
    pub lasts: Option<Duration>,
    /// For the log of the pipeline, as in `log.level`.
    pub log_level: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the in-process Kafka cannot be started: {0}")]
    Cluster(#[from] KafkaError),
    #[error("the in-process servers cannot listen on this machine: {0}")]
    Listen(#[source] io::Error),
    /// Only one value of it comes from outside.
    #[error("{0}\n`log.level` is what the environment variable RUST_LOG says")]
    Config(#[from] Problems),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the pipeline ended by itself")]
    ServiceEnded,
    #[error(transparent)]
    Events(#[from] EventError),
}

/// Runs until `stop` or until there was enough of it. Standard output that is closed is enough too.
pub async fn run(settings: &Settings, stop: CancellationToken) -> Result<(), DemoError> {
    let began = Instant::now();
    let scenario = Scenario::demo(settings.calls_per_hour, settings.accounts);
    let accounts = scenario.accounts.clone();
    let world = World::start(scenario).await?;
    let config = config::parse(&world.configuration(&accounts, &settings.log_level), &config::process_env)?;
    let traces = logging::start(&config.log, Origin { instance_id: config.kafka.instance_id.as_str().into() });

    let greeting = greeting::text(&world, &accounts);
    if screen::write(&greeting).is_err() {
        return Ok(());
    }
    let first_read = FirstRead::begin(&world.simulator, &first_read::names(&accounts), screen::is_watched());
    let mut screen = Screen::new(first_read, settings.events);
    let options = Options { run: Run::Forever, manage_topics: false, watch: None, traces };
    let service_stop = CancellationToken::new();
    let service = service::run(&config, options, service_stop.clone());
    tokio::pin!(service);
    let deadline = settings.lasts.map(|lasts| began + lasts);
    let watched = tokio::select! {
        outcome = &mut service => Err(outcome.map_or_else(DemoError::from, |()| DemoError::ServiceEnded)),
        watched = watch(world.events()?, &mut screen, stop, deadline) => watched,
    };
    screen.clear();
    watched?;
    service_stop.cancel();
    service.await?;
    // Where nobody reads any more there is nobody to tell.
    let _ = screen::write(&summary::text(screen.tally(), &world.simulator, began.elapsed()));
    Ok(())
}

/// Shows event after event until one of the ends.
async fn watch(
    mut events: Events,
    screen: &mut Screen,
    stop: CancellationToken,
    deadline: Option<Instant>,
) -> Result<(), DemoError> {
    let time_is_up = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(time_is_up);
    loop {
        tokio::select! {
            event = events.next() => {
                if screen.show(&event?).is_break() {
                    return Ok(());
                }
            }
            () = stop.cancelled() => return Ok(()),
            () = &mut time_is_up => return Ok(()),
        }
    }
}

/// The surroundings of the pipeline.
struct World {
    cluster: Cluster,
    registry: Registry,
    simulator: Simulator,
}

impl World {
    async fn start(scenario: Scenario) -> Result<Self, DemoError> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            cluster: Cluster::start()?,
            registry: Registry::start().await.map_err(DemoError::Listen)?,
            simulator: Simulator::start(scenario, here).await.map_err(DemoError::Listen)?,
        })
    }

    fn configuration(&self, accounts: &[AccountScenario], log_level: &str) -> String {
        let places = Places {
            bootstrap_servers: &self.cluster.bootstrap_servers(),
            registry_url: &self.registry.url(),
            simulator: &self.simulator,
        };
        configuration::text(&places, accounts, log_level)
    }

    fn events(&self) -> Result<Events, EventError> {
        let (bootstrap_servers, registry_url) = (self.cluster.bootstrap_servers(), self.registry.url());
        Events::of_topic(&bootstrap_servers, &registry_url, cluster::CALLS, cluster::CALLS_PARTITIONS)
    }
}
