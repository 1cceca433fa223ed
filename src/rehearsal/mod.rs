//! callfeed in virtual time: weeks of an account in seconds, to prove what always holds and to measure freshness.
//!
//! ```text
//!   accounts, opening, poller, plan, ledger     the service's own code, from a configuration like any other
//!        |  Http::in_process        |  Publisher::in_memory
//!   simulator::SimulatedApi     edge::kafka::MemoryLog
//! ```
//!
//! Nothing sleeps and nothing leaves the process: service and simulator keep the time of tokio's clock. A rehearsal runs
//! on a runtime of one thread whose clock is paused (`start_paused`), so that waiting costs nothing and one seed gives
//! one run. On a clock that runs it works as well, and takes as long as it says.
//!
//! It is not a test of Kafka, of the registry or of HTTP: what those edges do is tested against real servers.

mod event;
mod latency;
pub mod oracle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant as Moment;
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, AccountEnd};
use crate::clock::Clock;
use crate::config::{self, Config, Problems, SecretError};
use crate::context::{Context, KafkaHealth, SchemaBook, TopicBook};
use crate::domain::time::Instant;
use crate::edge::admin::Readiness;
use crate::edge::data_api::{BrokenOff, Http, HttpAnswer, InProcess};
use crate::edge::kafka::topics::{TopicPlan, Topics};
use crate::edge::kafka::{Committed, Lease, MemoryLog, Publisher, RestoreError};
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::recall::Recall;
use crate::service::ServiceError;
use crate::simulator::{Scenario, ScenarioError, SimulatedApi};
use crate::state::StatePlace;
use crate::status::StatusBoard;
use crate::store::StateSource;
use crate::territory::{Patience, Territory};
use crate::wiring;

pub use event::{Event, History, SCHEMA_ID};
pub use latency::{Latency, latency};

/// How often the records of the log are looked at, so that they do not pile up.
const COLLECT_EVERY: Duration = Duration::from_hours(6);

#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error(transparent)]
    Config(#[from] Problems),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("the scenario's clock must start at a given whole second and run at speed 1")]
    Clock,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// One service with its surroundings.
pub struct Rehearsal {
    /// The Data API: what is true, what was asked of it, and what a test may do to it.
    pub simulator: SimulatedApi,
    /// What stands in the place of Kafka: troubles of steps are planned here.
    pub kafka: MemoryLog,
    /// By account and call. Complete up to the last [`Rehearsal::run_for`].
    pub events: BTreeMap<String, BTreeMap<i64, History>>,
    pub dead_letters: Vec<Committed>,
    config: Config,
    clock: Clock,
    began: (Instant, Moment),
    process: Option<Process>,
}

/// The service from one start to its end.
struct Process {
    context: Arc<Context>,
    accounts: JoinSet<AccountEnd>,
}

impl Rehearsal {
    /// Builds the world of the scenario, whose clock has to start at a second of its own; nothing is read before
    /// [`Rehearsal::start`]. `config` is the text of a configuration; where it names servers of Kafka or the registry,
    /// nobody asks them. Lots are drawn anew on this thread, by the seed of the scenario.
    pub fn new(config: &str, scenario: Scenario) -> Result<Self, RehearsalError> {
        let config = config::parse(config, &|_| None)?;
        let fits = |start: &Timestamp| start.subsec_nanosecond() == 0 && scenario.clock.speed == 1.0;
        let start = scenario.clock.start.filter(fits).ok_or(RehearsalError::Clock)?;
        let start = Instant::from_unix_seconds(start.as_second());
        fastrand::seed(scenario.seed);
        Ok(Self {
            simulator: SimulatedApi::new(scenario)?,
            kafka: MemoryLog::new(&config.kafka.state_topic),
            events: BTreeMap::new(),
            dead_letters: Vec::new(),
            clock: Clock::rehearsed_from(start),
            began: (start, Moment::now()),
            process: None,
            config,
        })
    }

    /// Starts the service on what the log holds of its state.
    pub async fn start(&mut self) -> Result<(), RehearsalError> {
        let context = Arc::new(self.build().await?);
        let mut accounts = JoinSet::new();
        accounts::spawn_all(&self.config, &context, &self.http(), &mut accounts)?;
        self.process = Some(Process { context, accounts });
        Ok(())
    }

    /// Lets this much time pass. A step that is left without an answer ends the service there, and it is started again.
    pub async fn run_for(&mut self, duration: Duration) -> Result<(), RehearsalError> {
        let till = Moment::now() + duration;
        while Moment::now() < till {
            let pause = tokio::time::sleep_until(till.min(Moment::now() + COLLECT_EVERY));
            let is_silent = tokio::select! {
                () = pause => false,
                () = self.kafka.silence() => true,
            };
            if is_silent {
                self.crash().await;
                self.start().await?;
            }
            self.collect();
        }
        Ok(())
    }

    /// Ends the service as a kill does, wherever it is.
    pub async fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.accounts.shutdown().await;
        }
        self.collect();
    }

    /// Ends the service as a signal does.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.context.stop.cancel();
            while process.accounts.join_next().await.is_some() {}
        }
        self.collect();
    }

    pub fn now(&self) -> Timestamp {
        self.simulator.now()
    }

    /// What the service shares among its accounts (status, metrics), while it runs.
    pub fn context(&self) -> Option<&Context> {
        self.process.as_ref().map(|process| &*process.context)
    }

    fn collect(&mut self) {
        for committed in self.kafka.take_committed() {
            if *committed.record.topic == *self.config.kafka.dead_letter_topic {
                self.dead_letters.push(committed);
                continue;
            }
            let at_millis = self.millis_of(committed.at);
            if let Some((account, call)) = event::key(&committed.record) {
                let calls = self.events.entry(account.to_owned()).or_default();
                calls.entry(call).or_default().add(committed.record, at_millis);
            }
        }
    }

    fn millis_of(&self, moment: Moment) -> i64 {
        let (start, taken) = self.began;
        let since = i64::try_from((moment - taken).as_millis()).unwrap_or(i64::MAX);
        start.unix_seconds() * 1000 + since
    }

    fn http(&self) -> Http {
        let simulator = self.simulator.clone();
        let answer: InProcess = Arc::new(move |path, body| {
            let (simulator, path) = (simulator.clone(), path.to_owned());
            Box::pin(async move {
                let reply = simulator.answer(&path, &body).await.ok_or(BrokenOff)?;
                let retry_after = reply.retry_after.map(|seconds| Duration::from_secs(seconds.into()));
                Ok(HttpAnswer { status: reply.status, retry_after, body: reply.body })
            })
        });
        Http::in_process(answer, &wiring::http_settings(&self.config))
    }

    /// As the service builds it, with nobody to wait for.
    async fn build(&self) -> Result<Context, RehearsalError> {
        let config = &self.config;
        let topics = TopicPlan { manage: false, ..wiring::topic_plan(config) };
        let publisher = Publisher::in_memory(self.kafka.clone());
        let source = StateSource::Memory(self.kafka.clone());
        let territory = Territory::new(source, publisher.clone(), Patience::Waits);
        territory.take(vec![Lease::of_everything()]).await?;
        Ok(Context {
            publisher,
            kafka: KafkaHealth::new(watch::Sender::new(Readiness::Ready), config.kafka.commit_interval),
            territory,
            place: StatePlace {
                topic: config.kafka.state_topic.as_str().into(),
                partitions: config.kafka.state_partitions,
            },
            topics: Arc::new(TopicBook::new(wiring::connection(config)?, topics, Topics::default())),
            credentials: Arc::default(),
            openings: Arc::default(),
            schemas: Arc::new(SchemaBook::with_fixed_id(SCHEMA_ID)),
            board: StatusBoard::with_clock(self.clock.clone()),
            metrics: Metrics::new(wiring::metrics_detail(config)),
            clock: self.clock.clone(),
            recall: Recall::default(),
            orders: Orders::default(),
            stop: CancellationToken::new(),
        })
    }
}
