//! Builds, starts and stops everything.
//!
//! Kafka and the registry are waited for, the group is joined; each account whose partition is this replica's then runs
//! on its own and waits, is blocked or fails alone. What ends the service: a signal, the end of the work (`--once`), or
//! another process that has joined under the same instance id.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::accounts::AccountEnd;
use crate::clock::Clock;
use crate::config::{Config, SecretError};
use crate::context::{Context, KafkaHealth, SchemaBook, TopicBook};
use crate::edge::admin::{self, Admin, BindError, Liveness, Peers, Readiness, Shown};
use crate::edge::data_api::HttpSetupError;
use crate::edge::kafka::topics::{self, TopicPlan, TopicProblem};
use crate::edge::kafka::{
    InvalidProperty, KafkaEvent, Membership, Observer, Publisher, PublisherSettings, RestoreError, StartError,
    StateTopic, Takeover, Tenure, Vacancies,
};
use crate::edge::registry::RegistryError;
use crate::fleet::Fleet;
use crate::group::{Group, GroupEnd};
use crate::logging::{Traces, events};
use crate::metrics::Metrics;
use crate::orders::{OrderError, Orders};
use crate::persist::persist;
use crate::recall::Recall;
use crate::reload::{self, Cause, Watch};
use crate::state::StatePlace;
use crate::status::StatusBoard;
use crate::store::StateSource;
use crate::territory::{Patience, Territory};
use crate::wiring;

/// A stop takes no longer, whatever hangs. Shorter than any usual grace period.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Of that, for accounts to let go of their requests and batches.
const ACCOUNTS_STOP_WITHIN: Duration = Duration::from_secs(7);

/// How often the threads beneath are looked at.
const LOOK_AT_THREADS_EVERY: Duration = Duration::from_secs(1);

/// How long to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Forever,
    /// Until all that is due now is published.
    Once,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("`kafka.properties`: {0}")]
    Property(#[from] InvalidProperty),
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    #[error(transparent)]
    Admin(#[from] BindError),
    #[error("the client for `admin.peers` cannot be made: {0}")]
    Peers(reqwest::Error),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Topics(#[from] TopicProblem),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("`{account}`: {reason}")]
    BadAccount { account: String, reason: String },
    #[error(
        "another callfeed with the same `kafka.group_id` (`{group_id}`) and `kafka.instance_id` (`{instance_id}`) has taken over; give each replica an instance id of its own"
    )]
    Superseded { group_id: String, instance_id: String },
    #[error("kafka does not let this replica into the group `{group_id}`: {reason}; see `callfeed check`")]
    Group { group_id: String, reason: String },
    #[error("{n_failed} of {n_accounts} accounts could not be read; see above")]
    Accounts { n_failed: usize, n_accounts: usize },
}

/// What the caller decides besides the configuration.
pub struct Options {
    pub run: Run,
    /// False for a cluster without an admin interface, as in `callfeed demo`.
    pub manage_topics: bool,
    /// Follows the configuration file while it runs.
    pub watch: Option<Watch>,
    /// Switches the traces of accounts, as people ask.
    pub traces: Traces,
}

/// Runs the service until `stop`, or until its work is done.
pub async fn run(config: &Config, options: Options, stop: CancellationToken) -> Result<(), ServiceError> {
    let board = StatusBoard::default();
    let metrics = Metrics::new(wiring::metrics_detail(config));
    metrics.state_partitions(config.kafka.state_partitions.into());
    let readiness = watch::Sender::new(Readiness::NotReady("starting"));
    let liveness = watch::Sender::new(Liveness::Alive);
    let orders = Orders::default();
    let shown = Shown {
        board: board.clone(),
        metrics: metrics.clone(),
        liveness: liveness.subscribe(),
        readiness: readiness.subscribe(),
        instance_id: config.kafka.instance_id.as_str().into(),
        orders: orders.clone(),
        traces: options.traces,
        token: config.admin.token.as_ref().map(wiring::admin_token),
        peers: config.admin.peers.as_deref().map(Peers::at).transpose().map_err(ServiceError::Peers)?,
    };
    let admin_stop = CancellationToken::new();
    let _stop_admin = admin_stop.clone().drop_guard();
    if options.run == Run::Forever {
        let admin = bind_admin(config).await?;
        tokio::spawn(admin.serve(shown, admin_stop));
    }

    let plan = TopicPlan { manage: options.manage_topics, ..wiring::topic_plan(config) };
    let stopped = stop.clone();
    let looks_after = options.run == Run::Forever && plan.manage;
    let (context, group) = tokio::select! {
        built = build(config, options.run, plan, (board, metrics, orders), readiness.clone(), stop) => built?,
        () = stopped.cancelled() => return Ok(()),
    };
    let context = Arc::new(context);
    context.board.config_loaded(context.clock.now());
    context.metrics.config_loaded(context.clock.now());
    let observer = observer(&context.metrics, context.kafka.clone());
    let vacancies = looks_after.then(|| wiring::vacancies(config, observer)).transpose()?;
    let threads = watch_threads(context.clone(), group.membership().clone(), liveness);
    tokio::spawn(context.stop.clone().run_until_cancelled_owned(threads));
    let outcome = poll(config, &context, group, vacancies, options.watch, &readiness).await;
    readiness.send_replace(Readiness::NotReady("stopping"));
    outcome
}

async fn bind_admin(config: &Config) -> Result<Admin, BindError> {
    let admin = admin::bind(config.admin.listen).await?;
    tracing::info!(name: events::ADMIN_PORT_OPENED, listen = %admin.addr(), "admin port open");
    Ok(admin)
}

/// Waits for Kafka and the registry, and joins the group.
async fn build(
    config: &Config,
    run: Run,
    plan: TopicPlan,
    (board, metrics, orders): (StatusBoard, Metrics, Orders),
    readiness: watch::Sender<Readiness>,
    stop: CancellationToken,
) -> Result<(Context, Group), ServiceError> {
    let connection = wiring::connection(config)?;
    connection.validate()?;
    let registry = wiring::registry(config)?;
    let kafka_health = KafkaHealth::new(readiness.clone(), config.kafka.commit_interval);
    readiness.send_replace(Readiness::NotReady("waiting for the schema registry"));
    let what = format!("schema registry at {}", config.schema_registry.url);
    let is_there = || async { registry.reachable().await.inspect_err(|error| metrics.registry_error(error.kind())) };
    persist(&what, RegistryError::is_retryable, is_there).await?;
    readiness.send_replace(Readiness::NotReady("waiting for kafka"));
    let kafka = format!("kafka at {}", connection.bootstrap_servers);
    let known = persist(&kafka, TopicProblem::is_retryable, || topics::prepare(&connection, &plan)).await?;
    let instance_id = config.kafka.instance_id.clone();
    let (tenure, share) = match run {
        Run::Forever => (Tenure::Static { instance_id }, None),
        Run::Once => (Tenure::Brief { instance_id }, Some(wiring::share(config, &connection)?)),
    };
    let group = Group::join(wiring::membership(config, &connection, tenure), share)?;
    let settings = PublisherSettings {
        max_batch_bytes: known.max_batch_bytes(),
        observer: observer(&metrics, kafka_health.clone()),
        ..wiring::publisher(config, &connection, group.membership())
    };
    let started = persist(&kafka, StartError::is_retryable, || Publisher::start(settings.clone())).await;
    let publisher = match started {
        Ok(publisher) => publisher,
        Err(error) => {
            group.into_membership().leave().await;
            return Err(error.into());
        }
    };
    let source = StateSource::Topic(StateTopic {
        connection: connection.clone(),
        group_id: config.kafka.group_id.clone(),
        topic: config.kafka.state_topic.as_str().into(),
        partitions: config.kafka.state_partitions,
        takeover: Takeover::Abort { own: settings.transactional_id },
    });
    let patience = match run {
        Run::Forever => Patience::Waits,
        Run::Once => Patience::OwnOnly,
    };
    readiness.send_replace(Readiness::NotReady("restoring state"));
    let context = Context {
        territory: Territory::new(source, publisher.clone(), patience),
        publisher,
        kafka: kafka_health,
        place: StatePlace {
            topic: config.kafka.state_topic.as_str().into(),
            partitions: config.kafka.state_partitions,
        },
        topics: Arc::new(TopicBook::new(connection, plan, known)),
        credentials: Arc::default(),
        openings: Arc::default(),
        schemas: Arc::new(SchemaBook::of_registry(registry, config.schema_registry.auto_register)),
        board,
        metrics,
        clock: match run {
            Run::Forever => Clock::running(),
            Run::Once => Clock::frozen_now(),
        },
        recall: Recall::default(),
        orders,
        stop,
    };
    Ok((context, group))
}

/// Notes when a thread has ended that nothing in this process starts again.
async fn watch_threads(context: Arc<Context>, membership: Membership, liveness: watch::Sender<Liveness>) {
    loop {
        tokio::time::sleep(LOOK_AT_THREADS_EVERY).await;
        let dead = if membership.is_superseded() {
            return;
        } else if context.publisher.has_ended() {
            "publisher_ended"
        } else if membership.has_ended() {
            "membership_ended"
        } else {
            continue;
        };
        tracing::error!(name: events::THREAD_ENDED, thread = dead, "a thread of callfeed ended by a fault, only a restart helps");
        liveness.send_replace(Liveness::Dead(dead));
        return;
    }
}

/// Counts what Kafka does; without Kafka the service is not ready until a transaction is committed again.
fn observer(metrics: &Metrics, kafka: KafkaHealth) -> Observer {
    let metrics = metrics.clone();
    Arc::new(move |event| match event {
        KafkaEvent::Committed { took, .. } => {
            metrics.transaction(took);
            kafka.acknowledges(true);
        }
        KafkaEvent::Failed { kind } => {
            metrics.kafka_error(kind);
            match kind {
                "unreachable" => kafka.acknowledges(false),
                // It was, to the new producer.
                "rebuilt" => kafka.acknowledges(true),
                _ => {}
            }
        }
        KafkaEvent::Asked { was_answered } => {
            kafka.answers(was_answered);
            if !was_answered {
                metrics.kafka_error("unreachable");
            }
        }
    })
}

/// Polls all accounts until the end, then stops in order: accounts, the publisher, the membership.
async fn poll(
    config: &Config,
    context: &Arc<Context>,
    mut group: Group,
    vacancies: Option<Vacancies>,
    watch: Option<Watch>,
    readiness: &watch::Sender<Readiness>,
) -> Result<(), ServiceError> {
    let mut fleet = Fleet::start(config, context, wiring::http(config)?)?;
    let n_accounts = fleet.len();
    tokio::spawn(context.stop.clone().run_until_cancelled_owned(show_territory(context.clone(), readiness.clone())));
    if let Some(vacancies) = vacancies {
        tokio::spawn(context.stop.clone().run_until_cancelled_owned(vacancies.look_after()));
    }
    let ends = until_the_end(&mut fleet, &mut group, context, watch).await;
    context.stop.cancel();
    let membership = group.into_membership();
    fleet.stop(ACCOUNTS_STOP_WITHIN).await;
    context.publisher.shut_down(STOP_WITHIN - ACCOUNTS_STOP_WITHIN).await;
    membership.leave().await;
    let (group_id, instance_id) = (config.kafka.group_id.clone(), config.kafka.instance_id.clone());
    match ends {
        Ends::Group(GroupEnd::Superseded) => Err(ServiceError::Superseded { group_id, instance_id }),
        Ends::Group(GroupEnd::Refused { reason }) => Err(ServiceError::Group { group_id, reason }),
        Ends::Group(GroupEnd::NotRestored(error)) => Err(error.into()),
        Ends::Failed { n_failed } if n_failed > 0 => Err(ServiceError::Accounts { n_failed, n_accounts }),
        Ends::Failed { .. } => Ok(()),
    }
}

/// Shows how many partitions this replica has. It is ready with the first assignment, even of none.
async fn show_territory(context: Arc<Context>, readiness: watch::Sender<Readiness>) {
    let mut n_shown = None;
    context
        .territory
        .watch(|n_held| {
            context.metrics.owned_partitions(i64::try_from(n_held).unwrap_or(i64::MAX));
            if n_shown.replace(n_held).is_none() {
                readiness.send_replace(Readiness::Ready);
                tracing::info!(name: events::SERVICE_READY, n_partitions = n_held, "polling");
            }
        })
        .await;
}

/// How the accounts ended.
enum Ends {
    Group(GroupEnd),
    Failed { n_failed: usize },
}

/// With a file to follow, a service that polls no account waits for one.
async fn until_the_end(fleet: &mut Fleet, group: &mut Group, context: &Context, mut watch: Option<Watch>) -> Ends {
    let (mut n_failed, mut n_elsewhere) = (0, 0);
    let reload_desk = context.orders.reload_desk();
    loop {
        if fleet.is_empty() && (watch.is_none() || n_failed > 0) {
            if n_elsewhere > 0 {
                tracing::info!(n_accounts = n_elsewhere, "accounts are other replicas', and left to them");
            }
            return Ends::Failed { n_failed };
        }
        let ended = tokio::select! {
            Some(ended) = fleet.ended() => ended,
            end = group.follow(&context.territory) => return Ends::Group(end),
            cause = changed(&mut watch) => {
                if let Some(watch) = &watch {
                    // What came of it is in the log and the status.
                    let _ = reload::reload(watch, cause, fleet, context).await;
                }
                continue;
            }
            asked = reload_desk.next() => {
                asked.answer(match &watch {
                    Some(watch) => reload::reload(watch, Cause::Asked, fleet, context).await,
                    None => Err(OrderError::Refused("no file is followed".to_owned())),
                });
                continue;
            }
            () = context.stop.cancelled() => return Ends::Failed { n_failed: 0 },
        };
        match ended {
            Ok(AccountEnd::Done | AccountEnd::Stopped) => {}
            Ok(AccountEnd::Elsewhere) => n_elsewhere += 1,
            Ok(AccountEnd::Failed) => n_failed += 1,
            Err(_) => n_failed += 1,
        }
    }
}

async fn changed(watch: &mut Option<Watch>) -> reload::Cause {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
