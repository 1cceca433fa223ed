//! From the configuration to what the edges need: names, addresses, and where secrets come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{self, Account, Config, Secret, kafka_properties};
use crate::domain::call::AccountId;
use crate::edge::admin::ReadToken;
use crate::edge::data_api::{self, BadUrl, Client, Http, HttpSettings, HttpSetupError, SecretSource, SecretString};
use crate::edge::kafka::Observer as KafkaObserver;
use crate::edge::kafka::topics::{Creation, TopicPlan, Topics};
use crate::edge::kafka::{
    Connection, Delivery, InvalidProperty, Membership, MembershipSettings, PublisherSettings, Shares, Tenure, Vacancies,
};
use crate::edge::registry::{Credentials as RegistryCredentials, RegistryError, SchemaRegistry};
use crate::metrics::Detail;
use crate::share::Share;

/// The client of the Data API that all credentials share.
pub fn http(config: &Config) -> Result<Http, HttpSetupError> {
    Http::new(&http_settings(config))
}

pub fn http_settings(config: &Config) -> HttpSettings {
    let proxy = match &config.http.proxy {
        config::Proxy::Auto => data_api::Proxy::Auto,
        config::Proxy::None => data_api::Proxy::None,
        config::Proxy::Url(url) => data_api::Proxy::Url(url.expose().to_owned()),
    };
    HttpSettings {
        timeout: config.http.timeout,
        ca_file: config.http.ca_file.clone(),
        proxy,
        memory: config.limits.memory,
    }
}

/// The client of one credential.
pub fn data_api(account: &Account, http: &Http, observer: data_api::Observer, clock: &Clock) -> Result<Client, BadUrl> {
    let credentials = match &account.credentials {
        config::Credentials::Login { login, password } => {
            data_api::Credentials::Login { login: login.clone(), password: source(password) }
        }
        config::Credentials::ApiKey(key) => data_api::Credentials::ApiKey(source(key)),
    };
    let clock = clock.clone();
    let now: data_api::Clock = Arc::new(move || clock.system_time());
    Client::new(http.clone(), &account.base_url, credentials, observer, now)
}

fn source(secret: &Secret) -> SecretSource {
    let secret = secret.clone();
    Arc::new(move || match secret.read() {
        Ok(value) => Ok(SecretString::new(value.expose())),
        Err(error) => Err(error.to_string()),
    })
}

/// Whose numbers the metrics show.
pub fn metrics_detail(config: &Config) -> Detail {
    if config.metrics.per_account { Detail::PerAccount } else { Detail::Sums }
}

/// The token of the admin port, read each time it is asked for.
pub fn admin_token(token: &Secret) -> ReadToken {
    let token = token.clone();
    Arc::new(move || token.read().map(|token| token.expose().to_owned()).map_err(|error| error.to_string()))
}

pub fn registry(config: &Config) -> Result<SchemaRegistry, RegistryError> {
    let settings = &config.schema_registry;
    let password = settings.password.clone().map(|secret| -> crate::edge::registry::ReadSecret {
        Arc::new(move || secret.read().map(|value| value.expose().to_owned()).map_err(|error| error.to_string()))
    });
    let credentials = settings.username.clone().map(|username| RegistryCredentials { username, password });
    SchemaRegistry::new(&settings.url, credentials)
}

/// How to reach Kafka; fails when a secret among the properties cannot be read.
pub fn connection(config: &Config) -> Result<Connection, config::SecretError> {
    let kafka = &config.kafka;
    Ok(Connection {
        bootstrap_servers: kafka.bootstrap_servers.clone(),
        client_id: format!("callfeed-{}", kafka.instance_id),
        producer_properties: revealed(kafka_properties::for_producer(&kafka.properties))?,
        consumer_properties: revealed(kafka_properties::for_consumer(&kafka.properties))?,
    })
}

fn revealed<'a>(
    properties: impl Iterator<Item = (&'a str, &'a Secret)>,
) -> Result<BTreeMap<String, String>, config::SecretError> {
    properties.map(|(name, value)| Ok((name.to_owned(), value.read()?.expose().to_owned()))).collect()
}

pub fn membership(config: &Config, connection: &Connection, tenure: Tenure) -> MembershipSettings {
    MembershipSettings {
        connection: connection.clone(),
        group_id: config.kafka.group_id.clone(),
        tenure,
        topic: config.kafka.state_topic.clone(),
    }
}

/// Of this replica. What the topics take is not known here.
pub fn publisher(config: &Config, connection: &Connection, membership: &Membership) -> PublisherSettings {
    PublisherSettings {
        delivery: match config.kafka.delivery {
            config::Delivery::ExactlyOnce => Delivery::ExactlyOnce,
            config::Delivery::AtLeastOnce => Delivery::AtLeastOnce,
        },
        connection: connection.clone(),
        transactional_id: format!("{}-{}", config.kafka.group_id, config.kafka.instance_id),
        membership: membership.clone(),
        state_topic: config.kafka.state_topic.as_str().into(),
        commit_interval: config.kafka.commit_interval,
        commit_max_events: config.kafka.commit_max_events,
        max_batch_bytes: Topics::default().max_batch_bytes(),
        observer: Arc::new(|_| {}),
    }
}

pub fn vacancies(config: &Config, observer: KafkaObserver) -> Result<Vacancies, config::SecretError> {
    Ok(Vacancies {
        connection: connection(config)?,
        group_id: config.kafka.group_id.clone(),
        topic: config.kafka.state_topic.clone(),
        n_partitions: config.kafka.state_partitions,
        other_topic: config.kafka.dead_letter_topic.clone(),
        observer,
    })
}

/// What a process that ends waits for.
pub fn share(config: &Config, connection: &Connection) -> Result<Share, InvalidProperty> {
    let shares = Shares::of(connection, &config.kafka.group_id, &config.kafka.state_topic)?;
    Ok(Share::new(shares, config.kafka.state_partitions))
}

/// The topics that are known before any account is asked.
pub fn topic_plan(config: &Config) -> TopicPlan {
    let kafka = &config.kafka;
    let enabled = config.accounts.iter().filter(|account| account.enabled);
    let events: BTreeSet<String> = enabled.flat_map(|account| known_topics(config, account)).collect();
    TopicPlan {
        state: kafka.state_topic.clone(),
        state_partitions: kafka.state_partitions,
        dead_letter: kafka.dead_letter_topic.clone(),
        events: events.into_iter().collect(),
        creation: kafka.create_topics.enabled.then_some(Creation {
            replication_factor: kafka.create_topics.replication_factor,
            partitions: kafka.create_topics.partitions,
        }),
        manage: true,
    }
}

fn known_topics(config: &Config, account: &Account) -> Vec<String> {
    let topic = |id: &AccountId| config.topics.calls.for_account(account.service, id);
    match &account.customers {
        _ if topics_are_unknown(config, account) => Vec::new(),
        config::Customers::Ids(ids) => ids.iter().map(|id| topic(&AccountId::of_customer(&account.id, *id))).collect(),
        config::Customers::All | config::Customers::None => vec![topic(&account.id)],
    }
}

/// Agencies whose customers have a topic each, while which customers there are has to be asked.
pub fn accounts_with_unknown_topics(config: &Config) -> impl Iterator<Item = &Account> {
    config.accounts.iter().filter(|account| account.enabled && topics_are_unknown(config, account))
}

fn topics_are_unknown(config: &Config, account: &Account) -> bool {
    account.customers == config::Customers::All && config.topics.calls.is_per_account()
}
