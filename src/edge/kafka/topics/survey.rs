//! What the cluster says about topics. Blocks; must not run on the async runtime's own threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::{Creating, Recipe, TopicProblem};
use crate::edge::kafka::access::{self, Granted};
use crate::edge::kafka::connection::{ClientLog, Connection, Inquirer, InvalidProperty, Unreachable};

/// How long one question may take; the first one includes connecting.
const REQUEST: Duration = Duration::from_secs(10);

/// How long the brokers may take to create topics.
const CREATION: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Survey {
    pub brokers: usize,
    pub seen: BTreeMap<String, Seen>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Missing,
    /// The principal may not even ask for it.
    Hidden(RDKafkaErrorCode),
    Present {
        partitions: i32,
        settings: Result<Settings, RDKafkaErrorCode>,
        /// `None`: the brokers do not tell.
        granted: Option<Granted>,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub cleanup_policy: String,
    pub max_message_bytes: usize,
}

impl Survey {
    fn present(&self) -> Vec<String> {
        let present = |(topic, seen): (&String, &Seen)| matches!(seen, Seen::Present { .. }).then(|| topic.clone());
        self.seen.iter().filter_map(present).collect()
    }
}

pub(super) fn take(connection: &Connection, topics: &[String]) -> Result<Survey, TopicProblem> {
    let inquirer = connection.inquirer()?;
    let mut survey = Survey::default();
    for topic in topics {
        let metadata =
            inquirer.fetch_metadata(Some(topic), REQUEST).map_err(|error| unanswered(connection, &inquirer, &error))?;
        survey.brokers = metadata.brokers().len();
        for found in metadata.topics() {
            let partitions = i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
            let seen = match found.error().map(RDKafkaErrorCode::from) {
                // A new topic that has not elected its leaders yet still shows its partitions.
                None | Some(RDKafkaErrorCode::LeaderNotAvailable) if partitions > 0 => {
                    Seen::Present { partitions, settings: Err(RDKafkaErrorCode::Unknown), granted: None }
                }
                None
                | Some(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::LeaderNotAvailable,
                ) => Seen::Missing,
                Some(code) => Seen::Hidden(code),
            };
            survey.seen.insert(found.name().to_owned(), seen);
        }
    }
    add_rights(connection, &inquirer, &mut survey)?;
    add_settings(connection, &mut survey)?;
    Ok(survey)
}

fn add_rights(connection: &Connection, inquirer: &Inquirer, survey: &mut Survey) -> Result<(), TopicProblem> {
    let names = survey.present();
    let answers = access::of_topics(inquirer.client(), &names)
        .map_err(|code| connection.unreachable(format!("topics: {code}")))?;
    for (name, answer) in answers {
        if let Some(Seen::Present { granted, .. }) = survey.seen.get_mut(&name) {
            *granted = Some(answer);
        }
    }
    Ok(())
}

/// Creates topics or asks whether they would be, and returns those that were refused.
pub(super) fn create(
    connection: &Connection,
    recipes: &[Recipe],
    creating: Creating,
) -> Result<Vec<(String, RDKafkaErrorCode)>, TopicProblem> {
    let admin = admin(connection)?;
    let new_topics: Vec<NewTopic<'_>> = recipes.iter().map(new_topic).collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(CREATION))
        .request_timeout(Some(CREATION))
        .validate_only(creating == Creating::Rehearse);
    let results = Handle::current()
        .block_on(admin.create_topics(&new_topics, &options))
        .map_err(|error| connection.unreachable(error.to_string()))?;
    let refused = results.into_iter().filter_map(Result::err);
    // Another replica that starts at the same moment may have been quicker.
    Ok(refused.filter(|(_, code)| *code != RDKafkaErrorCode::TopicAlreadyExists).collect())
}

fn new_topic(recipe: &Recipe) -> NewTopic<'_> {
    let replication = TopicReplication::Fixed(recipe.replication_factor);
    let topic = NewTopic::new(&recipe.topic, recipe.partitions, replication);
    recipe.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
}

fn add_settings(connection: &Connection, survey: &mut Survey) -> Result<(), TopicProblem> {
    let names = survey.present();
    if names.is_empty() {
        return Ok(());
    }
    let admin = admin(connection)?;
    let resources: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let results = Handle::current()
        .block_on(admin.describe_configs(&resources, &options))
        .map_err(|error| connection.unreachable(error.to_string()))?;
    // In the order of the question: a refusal does not name its topic.
    for (name, result) in names.iter().zip(results) {
        if let Some(Seen::Present { settings, .. }) = survey.seen.get_mut(name) {
            *settings = result.and_then(|resource| read_settings(&resource));
        }
    }
    Ok(())
}

fn read_settings(resource: &ConfigResource) -> Result<Settings, RDKafkaErrorCode> {
    debug_assert!(matches!(resource.specifier, OwnedResourceSpecifier::Topic(_)));
    let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone());
    let (Some(cleanup_policy), Some(limit)) = (value("cleanup.policy"), value("max.message.bytes")) else {
        return Err(RDKafkaErrorCode::Unknown);
    };
    let max_message_bytes = limit.parse().map_err(|_| RDKafkaErrorCode::Unknown)?;
    Ok(Settings { cleanup_policy, max_message_bytes })
}

pub(in crate::edge::kafka) fn admin(connection: &Connection) -> Result<AdminClient<ClientLog>, InvalidProperty> {
    let log = connection.log("admin");
    let mask = Arc::clone(&log.mask);
    connection.producer(&[], &[]).create_with_context(log).map_err(|error| InvalidProperty::of(&error, &mask))
}

fn unanswered(connection: &Connection, inquirer: &Inquirer, error: &KafkaError) -> Unreachable {
    // The reason waits in the client's queue, one event a call.
    while inquirer.poll(Duration::from_millis(10)).is_some() {}
    connection.unreachable(inquirer.context().reason(error))
}
