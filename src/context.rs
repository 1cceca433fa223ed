//! What all accounts of a running service share: handles, and books of what was prepared once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, Weak};
use std::time::Duration;

use apache_avro::Schema;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Account, Credentials};
use crate::edge::admin::Readiness;
use crate::edge::avro::{EncodeError, Encoder};
use crate::edge::data_api::Client;
use crate::edge::kafka::topics::{self, TopicPlan, TopicProblem, Topics};
use crate::edge::kafka::{Connection, Publisher};
use crate::edge::registry::{RegistryError, SchemaRegistry};
use crate::logging::events;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::purse::Purse;
use crate::recall::Recall;
use crate::stagger::Stagger;
use crate::state::StatePlace;
use crate::status::StatusBoard;
use crate::stream::calls;
use crate::territory::Territory;

#[derive(Clone)]
pub struct Context {
    pub publisher: Publisher,
    pub kafka: KafkaHealth,
    /// Which accounts are this replica's.
    pub territory: Territory,
    pub place: StatePlace,
    pub topics: Arc<TopicBook>,
    pub schemas: Arc<SchemaBook>,
    pub credentials: Arc<CredentialBook>,
    /// Accounts are opened one after another.
    pub openings: Arc<Stagger>,
    pub board: StatusBoard,
    pub metrics: Metrics,
    pub clock: Clock,
    /// Has all accounts look again for what may have changed.
    pub recall: Recall,
    /// What people ask of single accounts.
    pub orders: Orders,
    pub stop: CancellationToken,
}

/// Whether Kafka is there, as `/ready` shows it: what is published is acknowledged, and questions are answered, which a
/// service that has nothing to publish asks too.
#[derive(Clone)]
pub struct KafkaHealth {
    readiness: watch::Sender<Readiness>,
    missed: Arc<std::sync::Mutex<Missed>>,
    /// What a transaction takes at the most while Kafka is there.
    pub patience: Duration,
}

/// Signs of life that are awaited.
#[derive(Default)]
struct Missed {
    acknowledgement: bool,
    answer: bool,
}

impl KafkaHealth {
    const AWAY: Readiness = Readiness::NotReady("kafka_unreachable");

    /// A transaction that takes longer than its interval and ten seconds more has no Kafka.
    pub fn new(readiness: watch::Sender<Readiness>, commit_interval: Duration) -> Self {
        Self { readiness, missed: Arc::default(), patience: commit_interval + Duration::from_secs(10) }
    }

    /// Notes whether what is published is acknowledged.
    pub fn acknowledges(&self, it_does: bool) {
        self.note(|missed| missed.acknowledgement = !it_does);
    }

    /// Notes whether a question was answered.
    pub fn answers(&self, it_does: bool) {
        self.note(|missed| missed.answer = !it_does);
    }

    fn note(&self, note: impl FnOnce(&mut Missed)) {
        // Held until the end, so that what is shown is what was noted last.
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut missed);
        let is_away = missed.acknowledgement || missed.answer;
        if is_away && self.change(Readiness::Ready, Self::AWAY) {
            tracing::warn!(name: events::KAFKA_LOST, "kafka does not answer, waiting; nothing is lost");
        } else if !is_away && self.change(Self::AWAY, Readiness::Ready) {
            tracing::info!(name: events::KAFKA_FOUND, "kafka answers again");
        }
    }

    /// A service that is starting or stopping stays what it is.
    fn change(&self, from: Readiness, to: Readiness) -> bool {
        self.readiness.send_if_modified(|now| {
            let changes = *now == from;
            if changes {
                *now = to;
            }
            changes
        })
    }
}

impl Context {
    /// The same for an account that may have to stop before the others.
    pub fn with_stop(&self, stop: CancellationToken) -> Self {
        Self { stop, ..self.clone() }
    }
}

/// Which credentials are in use. Accounts that are configured with the same one share its session and its points.
#[derive(Default)]
pub struct CredentialBook(std::sync::Mutex<Credentialed>);

#[derive(Default)]
struct Credentialed {
    purses: HashMap<(String, Credentials), Weak<Purse>>,
    /// How many purses were ever made.
    n_made: u64,
    /// At so many the ones that nobody uses any more are looked for.
    sweep_at: usize,
}

impl CredentialBook {
    /// The purse of an account's credential, made with `client` when nobody uses it yet.
    pub fn purse<E>(
        &self,
        account: &Account,
        clock: &Clock,
        client: impl FnOnce() -> Result<Client, E>,
    ) -> Result<Arc<Purse>, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.purses.len() >= known.sweep_at {
            known.purses.retain(|_, purse| purse.strong_count() > 0);
            known.sweep_at = known.purses.len() * 2 + 1;
        }
        let credential = (account.base_url.clone(), account.credentials.clone());
        if let Some(purse) = known.purses.get(&credential).and_then(Weak::upgrade) {
            return Ok(purse);
        }
        let purse = Arc::new(Purse::new(client()?, clock.clone()).numbered(known.n_made));
        known.n_made += 1;
        known.purses.insert(credential, Arc::downgrade(&purse));
        Ok(purse)
    }
}

/// Which topics were found in order, and what they take.
pub struct TopicBook {
    connection: Connection,
    plan: TopicPlan,
    known: Mutex<Topics>,
}

impl TopicBook {
    pub fn new(connection: Connection, plan: TopicPlan, known: Topics) -> Self {
        Self { connection, plan, known: Mutex::new(known) }
    }

    pub fn dead_letter(&self) -> &str {
        &self.plan.dead_letter
    }

    /// The largest record that a topic of events takes. A topic that was not named at the start, as of a customer
    /// found later, is checked and created now.
    pub async fn limit_of(&self, topic: &str) -> Result<usize, TopicProblem> {
        let mut known = self.known.lock().await;
        if !known.knows(topic) {
            let plan = TopicPlan { events: vec![topic.to_owned()], ..self.plan.clone() };
            known.extend(topics::prepare(&self.connection, &plan).await?);
        }
        Ok(known.limit_of(topic))
    }

    pub async fn dead_letter_limit(&self) -> usize {
        self.known.lock().await.limit_of(&self.plan.dead_letter)
    }
}

/// The schema of the events, read once.
static CALL_EVENT: LazyLock<Result<Schema, String>> =
    LazyLock::new(|| Schema::parse_str(calls::SCHEMA).map_err(|error| error.to_string()));

#[derive(Debug, thiserror::Error)]
pub enum SchemaProblem {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the schema of calls cannot be read: {0}")]
    Unreadable(String),
    #[error("subject `{subject}` of the schema registry does not have the schema of this version")]
    NotRegistered { subject: String },
}

impl SchemaProblem {
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NotRegistered { .. } => {
                Some("run `callfeed schemas register`, or allow it with `schema_registry.auto_register: true`")
            }
            _ => None,
        }
    }
}

/// Which schema has which id: asked once a topic, not once an event.
pub struct SchemaBook {
    ids: SchemaIds,
    encoders: Mutex<HashMap<String, Arc<Encoder>>>,
}

/// Where the ids of schemas come from.
enum SchemaIds {
    Registry { registry: SchemaRegistry, auto_register: bool },
    Fixed(u32),
}

impl SchemaBook {
    pub fn of_registry(registry: SchemaRegistry, auto_register: bool) -> Self {
        Self { ids: SchemaIds::Registry { registry, auto_register }, encoders: Mutex::default() }
    }

    /// Every subject has this id: for rehearsals, where there is no registry.
    pub fn with_fixed_id(id: u32) -> Self {
        Self { ids: SchemaIds::Fixed(id), encoders: Mutex::default() }
    }

    /// The encoder of events for a topic (TopicNameStrategy: its subject is `<topic>-value`).
    pub async fn encoder(&self, topic: &str) -> Result<Arc<Encoder>, SchemaProblem> {
        let mut encoders = self.encoders.lock().await;
        if let Some(encoder) = encoders.get(topic) {
            return Ok(encoder.clone());
        }
        let schema = CALL_EVENT.as_ref().map_err(|error| SchemaProblem::Unreadable(error.clone()))?;
        let id = self.schema_id(subject_of(topic)).await?;
        let encoder = Arc::new(Encoder::new(schema, id)?);
        encoders.insert(topic.to_owned(), encoder.clone());
        Ok(encoder)
    }

    async fn schema_id(&self, subject: String) -> Result<u32, SchemaProblem> {
        let (registry, auto_register) = match &self.ids {
            SchemaIds::Fixed(id) => return Ok(*id),
            SchemaIds::Registry { registry, auto_register } => (registry, auto_register),
        };
        if *auto_register {
            return Ok(registry.register(&subject, calls::SCHEMA).await?);
        }
        match registry.find(&subject, calls::SCHEMA).await? {
            Some(id) => Ok(id),
            None => Err(SchemaProblem::NotRegistered { subject }),
        }
    }
}

/// The subject of a topic's values.
pub fn subject_of(topic: &str) -> String {
    format!("{topic}-value")
}
