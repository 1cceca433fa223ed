//! Whether the topics are there and fit for their use; and their creation, when that is allowed.
//!
//! The survey asks the cluster, [`judge`] holds the answers against the plan (it is pure), and only [`prepare`]
//! changes anything. Each finding is a [`Fact`] with a remedy, for `callfeed check` and for the running service alike.

mod judge;
mod survey;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::connection::{Connection, InvalidProperty, Unreachable};
use super::fact::Fact;
use super::record::MAX_RECORD_BYTES;
pub(super) use survey::admin;
use survey::{Seen, Survey};

use crate::logging::events;

/// What a topic takes when it says nothing else: Kafka's own default of `max.message.bytes`.
const DEFAULT_LIMIT: usize = 1_048_588;

/// What the state topic must take: a bucket of the ledger is split at half of this.
const STATE_LIMIT: usize = 1024 * 1024;

/// What the dead-letter topic is made to take: the raw JSON of a row whose event was too large for its topic.
const DEAD_LETTER_LIMIT: usize = 10 * 1024 * 1024;

/// The largest batch of several records. Larger ones save nothing, and this much fits any topic that is not unusual.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// How long a new topic may take to be known to the brokers.
const PROPAGATION: Duration = Duration::from_secs(30);

/// The topics that callfeed needs.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    pub state: String,
    pub state_partitions: i32,
    pub dead_letter: String,
    pub events: Vec<String>,
    /// `None`: topics are not to be created.
    pub creation: Option<Creation>,
    /// False for a cluster without an admin interface (the one inside `callfeed demo`): nothing is checked, and
    /// topics come into being when they are used.
    pub manage: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Creation {
    pub replication_factor: i32,
    /// Of the topics of events and dead letters.
    pub partitions: i32,
}

/// What is known of topics that were found in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    limits: BTreeMap<String, usize>,
}

impl Topics {
    /// The largest record ([`super::Record::size`]) that a topic takes.
    pub fn limit_of(&self, topic: &str) -> usize {
        self.limits.get(topic).copied().unwrap_or(DEFAULT_LIMIT).min(MAX_RECORD_BYTES)
    }

    pub fn knows(&self, topic: &str) -> bool {
        self.limits.contains_key(topic)
    }

    /// Adds what was found of further topics.
    pub fn extend(&mut self, found: Topics) {
        self.limits.extend(found.limits);
    }

    /// For [`super::PublisherSettings`]: a topic's limit is for the batch, so none may be larger than the smallest.
    pub fn max_batch_bytes(&self) -> usize {
        self.limits.values().copied().min().unwrap_or(DEFAULT_LIMIT).min(MAX_BATCH_BYTES)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicProblem {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    InvalidProperty(#[from] InvalidProperty),
    /// Somebody must act. All facts that are not in order.
    #[error("{}", facts.iter().map(Fact::sentence).collect::<Vec<_>>().join("; "))]
    Refused { facts: Vec<Fact> },
}

impl TopicProblem {
    /// Whether another try may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Looks at the cluster and at all topics of the plan, and changes nothing: whether a missing topic may be created is
/// asked of the brokers without creating it.
pub async fn check(connection: &Connection, plan: &TopicPlan) -> Vec<Fact> {
    match inspect(connection, plan).await {
        Ok(facts) => facts,
        Err(TopicProblem::Unreachable(problem)) => vec![Fact::bad(
            "kafka".to_owned(),
            problem.to_string(),
            "see `kafka.bootstrap_servers`, and in `kafka.properties` the security settings that the cluster asks for"
                .to_owned(),
        )],
        Err(TopicProblem::InvalidProperty(problem)) => {
            vec![Fact::bad("kafka".to_owned(), problem.to_string(), "correct `kafka.properties`".to_owned())]
        }
        Err(TopicProblem::Refused { facts }) => facts,
    }
}

async fn inspect(connection: &Connection, plan: &TopicPlan) -> Result<Vec<Fact>, TopicProblem> {
    let survey = look(connection, plan).await?;
    let detail = format!("{} at {}", judge::n_brokers(survey.brokers), connection.bootstrap_servers);
    let found = Fact::good("kafka".to_owned(), detail);
    let judged = judge::judge(connection, plan, &survey);
    let creatable: Vec<String> = survey.missing().map(str::to_owned).collect();
    let refused = creation_refused(connection, plan, &creatable, Creating::Rehearse).await?;
    // What the plan itself forbids says more than the brokers' refusal.
    let replaced = |fact: Fact| match refused.iter().find(|refused| refused.subject == fact.subject) {
        Some(refused) if fact.ok => refused.clone(),
        _ => fact,
    };
    Ok(std::iter::once(found).chain(judged.into_iter().map(replaced)).collect())
}

/// Checks the topics of the plan, and creates the missing ones when that is allowed.
pub async fn prepare(connection: &Connection, plan: &TopicPlan) -> Result<Topics, TopicProblem> {
    if !plan.manage {
        return Ok(Topics::default());
    }
    let survey = look(connection, plan).await?;
    refuse_bad(judge::judge(connection, plan, &survey))?;
    let missing: Vec<String> = survey.missing().map(str::to_owned).collect();
    if missing.is_empty() {
        return Ok(survey.topics());
    }
    create(connection, plan, &missing).await?;
    let survey = look_until_known(connection, plan).await?;
    refuse_bad(judge::judge(connection, plan, &survey))?;
    Ok(survey.topics())
}

/// The number of partitions of a topic; none when it does not exist.
pub async fn n_partitions(connection: &Connection, topic: &str) -> Result<Option<i32>, TopicProblem> {
    let plan = TopicPlan::of_state(topic, 1, None);
    match look(connection, &plan).await?.seen.remove(topic) {
        Some(Seen::Present { partitions, .. }) => Ok(Some(partitions)),
        Some(Seen::Hidden(code)) => {
            Err(TopicProblem::Refused { facts: vec![judge::hidden(connection, &plan, topic, code)] })
        }
        Some(Seen::Missing) | None => Ok(None),
    }
}

/// How a topic is cleaned up; none when it does not exist, or does not show it.
pub async fn cleanup_policy(connection: &Connection, topic: &str) -> Result<Option<String>, TopicProblem> {
    let plan = TopicPlan::of_state(topic, 1, None);
    let seen = look(connection, &plan).await?.seen.remove(topic);
    let Some(Seen::Present { settings: Ok(settings), .. }) = seen else { return Ok(None) };
    Ok(Some(settings.cleanup_policy.trim().to_owned()))
}

/// Refuses what cannot go on, and tells what can but should not be.
fn refuse_bad(facts: Vec<Fact>) -> Result<(), TopicProblem> {
    for doubtful in facts.iter().filter(|fact| fact.ok && fact.remedy.is_some()) {
        tracing::warn!("{}", doubtful.sentence());
    }
    let facts: Vec<Fact> = facts.into_iter().filter(|fact| !fact.ok).collect();
    if facts.is_empty() { Ok(()) } else { Err(TopicProblem::Refused { facts }) }
}

async fn look(connection: &Connection, plan: &TopicPlan) -> Result<Survey, TopicProblem> {
    if !plan.manage {
        return Ok(Survey::default());
    }
    let (connection, topics) = (connection.clone(), plan.topics());
    blocking(move || survey::take(&connection, &topics)).await
}

/// A topic that was just created is not at once known to every broker.
async fn look_until_known(connection: &Connection, plan: &TopicPlan) -> Result<Survey, TopicProblem> {
    let started = Instant::now();
    loop {
        let survey = look(connection, plan).await?;
        if survey.missing().next().is_none() || started.elapsed() > PROPAGATION {
            return Ok(survey);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn create(connection: &Connection, plan: &TopicPlan, missing: &[String]) -> Result<(), TopicProblem> {
    refuse_bad(creation_refused(connection, plan, missing, Creating::Create).await?)?;
    for topic in missing {
        tracing::info!(name: events::TOPIC_CREATED, %topic, "topic created");
    }
    Ok(())
}

/// Whether topics are created, or the brokers only asked whether they would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creating {
    Rehearse,
    Create,
}

/// Creates topics, and tells what the brokers refused. Without permission in the plan there is nothing to do.
async fn creation_refused(
    connection: &Connection,
    plan: &TopicPlan,
    topics: &[String],
    creating: Creating,
) -> Result<Vec<Fact>, TopicProblem> {
    let Some(creation) = plan.creation else { return Ok(Vec::new()) };
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let recipes: Vec<Recipe> = topics.iter().map(|topic| plan.recipe(topic, creation)).collect();
    let client = connection.clone();
    let refused = blocking(move || survey::create(&client, &recipes, creating)).await?;
    Ok(refused.into_iter().map(|(topic, code)| judge::not_created(connection, plan, &topic, code)).collect())
}

/// The client library blocks: its questions are asked on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(question).await {
        Ok(answer) => answer,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// How a topic is made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Recipe {
    topic: String,
    partitions: i32,
    replication_factor: i32,
    settings: Vec<(&'static str, String)>,
}

impl Recipe {
    fn command(&self, connection: &Connection) -> String {
        let settings = self.settings.iter().map(|(name, value)| format!(" --config {name}={value}"));
        format!(
            "kafka-topics.sh --bootstrap-server {} --create --topic {} --partitions {} --replication-factor {}{}",
            connection.bootstrap_servers,
            self.topic,
            self.partitions,
            self.replication_factor,
            settings.collect::<String>()
        )
    }
}

impl TopicPlan {
    /// The state topic alone.
    pub fn of_state(topic: &str, partitions: i32, creation: Option<Creation>) -> Self {
        Self {
            state: topic.to_owned(),
            state_partitions: partitions,
            // The state topic's own rules count first: there is no other topic in this plan.
            dead_letter: topic.to_owned(),
            events: Vec::new(),
            creation,
            manage: true,
        }
    }

    fn topics(&self) -> Vec<String> {
        let mut topics = vec![self.state.clone(), self.dead_letter.clone()];
        topics.extend(self.events.iter().cloned());
        topics.sort();
        topics.dedup();
        topics
    }

    fn recipe(&self, topic: &str, creation: Creation) -> Recipe {
        let is_state = topic == self.state;
        Recipe {
            topic: topic.to_owned(),
            partitions: if is_state { self.state_partitions } else { creation.partitions },
            replication_factor: creation.replication_factor,
            settings: if is_state {
                state_settings()
            } else if topic == self.dead_letter {
                vec![("max.message.bytes", DEAD_LETTER_LIMIT.to_string())]
            } else {
                Vec::new()
            },
        }
    }
}

/// Compacted, and soon: a restore reads what compaction has not yet removed, and the segment in use never is.
fn state_settings() -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "compact".to_owned()),
        ("max.message.bytes", (2 * STATE_LIMIT).to_string()),
        ("segment.bytes", (64 * 1024 * 1024).to_string()),
        ("segment.ms", Duration::from_secs(6 * 3600).as_millis().to_string()),
        ("min.cleanable.dirty.ratio", "0.2".to_owned()),
    ]
}

impl Survey {
    fn missing(&self) -> impl Iterator<Item = &str> {
        let is_missing = |seen: &Seen| matches!(seen, Seen::Missing);
        self.seen.iter().filter(move |(_, seen)| is_missing(seen)).map(|(topic, _)| topic.as_str())
    }

    fn topics(&self) -> Topics {
        let limit = |seen: &Seen| match seen {
            Seen::Present { settings: Ok(settings), .. } => settings.max_message_bytes,
            _ => DEFAULT_LIMIT,
        };
        Topics { limits: self.seen.iter().map(|(topic, seen)| (topic.clone(), limit(seen))).collect() }
    }
}

fn is_authorization(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
    )
}
